import {readFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {createIncusClient} from '../../api/incus-client.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {openWebsocket} from '../../runtime/platform/websocket-stream.ts';
import {derOf, makeCertificate} from './certificates.ts';
import {askIncus, type TestIncus} from './incus-daemon.ts';

/** The same server as it is reached from another machine. */
export async function overHttps(server: TestIncus): Promise<TestIncus> {
  const {socketPath} = server;
  // Other servers of this host have other addresses.
  const [first = 0, second = 0] = crypto.getRandomValues(new Uint8Array(2));
  const host = `127.${64 + (first % 64)}.${second}.1:8443`;
  await askIncus(socketPath, 'PATCH', '/1.0', {config: {'core.https_address': host}});
  const ours = await makeCertificate({names: ['DNS:client']});
  await askIncus(socketPath, 'POST', '/1.0/certificates', {
    type: 'client',
    name: 'branchtab',
    certificate: derOf(ours.certificate),
  });
  // Its own certificate, which is for the name of this host and not for that address.
  const authority = await readFile(join(dirname(socketPath), 'server.crt'), 'utf8');
  const at = {url: `https://${host}`, trust: {...ours, authority}};
  const incus = createIncusClient({at, openWebsocket, clock: systemClock});
  const untilAnswering = async () => {
    while ((await incus.facts().catch(() => null)) === null) await Bun.sleep(20);
  };
  await untilAnswering();
  return {
    ...server,
    at,
    incus,
    async revive() {
      await server.revive();
      await untilAnswering();
    },
  };
}
