import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {journeyOnCluster} from '../helpers/cluster-journey.ts';
import {startTestCluster} from '../helpers/incus-cluster.ts';

const cluster = await startTestCluster('lxd');
const test = ('reason' in cluster ? anyTest.skip : anyTest.serial) as TestFn;
anyTest.after.always('the cluster ends', async () => {
  if (!('reason' in cluster)) await cluster.close();
});

const what =
  'branches run on both members, one that is lost runs elsewhere when its lease is over and never twice, live waits, and nothing is left';

test(`beside a member: ${what}`, async (t) => {
  if ('reason' in cluster) return t.fail();
  return await journeyOnCluster(t, cluster, {socket: cluster.socketPath});
});

test(`on another machine, with a client certificate: ${what}`, async (t) => {
  if ('reason' in cluster) return t.fail();
  const {url, trust} = await cluster.overHttps();
  const directory = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const write = async (name: string, text: string) => {
    const path = join(directory, name);
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
