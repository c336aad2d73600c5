import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {journeyOnCluster} from '../helpers/cluster-journey.ts';
import type {TestCluster} from '../helpers/incus-cluster.ts';

/** Registers what a person sees of a whole controller over a cluster, however it reaches that. */
export function registerClusterControllerContract(
  name: string,
  cluster: TestCluster | {readonly reason: string},
): void {
  const test = ('reason' in cluster ? anyTest.skip : anyTest.serial) as TestFn;
  anyTest.after.always(`${name} ends`, async () => {
    if (!('reason' in cluster)) await cluster.close();
  });

  const what =
    'branches run on both members, one that is lost runs elsewhere when its lease is over and never twice, live waits, and nothing is left';

  test(`${name}, asked beside a member: ${what}`, async (t) => {
    if ('reason' in cluster) return t.fail();
    return await journeyOnCluster(t, cluster, {socket: cluster.socketPath});
  });

  test(`${name}, asked from another machine with a client certificate: ${what}`, async (t) => {
    if ('reason' in cluster) return t.fail();
    const {url, trust} = await cluster.overHttps();
    const directory = await mkdtemp(join(tmpdir(), 'bt-'));
    t.teardown(() => rm(directory, {recursive: true, force: true}));
    const write = async (file: string, text: string) => {
      const path = join(directory, file);
      await writeFile(path, text, {mode: 0o600});
      return path;
    };
    return await journeyOnCluster(t, cluster, {
      url,
      client_certificate: await write('client.crt', trust.certificate),
      client_key: await write('client.key', trust.key),
      server_certificate: await write('server.crt', trust.authority),
    });
  });
}
