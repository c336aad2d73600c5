import test, {type ExecutionContext} from 'ava';
import {createControllerGuard} from '../../api/controller-guard.ts';
import {serveExchanges} from '../../runtime/platform/http-exchange.ts';
import {rawRequest} from '../helpers/raw-http.ts';

const id = '0123456789abcdef01234567';

/** The guard of a controller with a domain and a public address of its own, on a real socket. */
async function setup(t: ExecutionContext): Promise<string> {
  const guard = createControllerGuard({
    allowedHosts: ['board.example.org'],
    kitHosts: {domains: ['localhost', 'hoody.com'], aliases: new Map()},
  });
  const server = await serveExchanges(
    {kind: 'tcp', host: '127.0.0.1', port: 0},
    {
      handle: ({head, respond}) =>
        respond({status: guard(head)?.status ?? 200, fields: [], lengthBytes: 0}).end(),
      refuse: ({status}, respond) => respond({status, fields: [], lengthBytes: 0}).end(),
    },
  );
  t.teardown(() => server.close({graceMs: 0}));
  return server.url;
}

test('S26: of the domain only the hosts of kits are served', async (t) => {
  const url = await setup(t);
  const statusOf = async (Host: string, target = '/') =>
    (await rawRequest(url, {target, headers: {Host}})).status;
  for (const host of [
    `ctr_${id}-cron-1.hoody.com`,
    `${id}-exec-1.hoody.com:443`,
    'main-1f0c9a3e-pipe-1.hoody.com',
    `${id}-n-1.localhost`,
    'board.example.org',
    'localhost:7070',
  ])
    t.is(await statusOf(host), 200, host);
  for (const host of [
    'hoody.com',
    'www.hoody.com',
    `${id}.hoody.com`,
    `${id}-watch-1.hoody.com`,
    `${id}-cron-1.hoody.com.evil.example`,
    `${id}-cron-1.evil.example`,
    `x.${id}-cron-1.hoody.com`,
    `${id}-cron-1.board.example.org`,
  ]) {
    t.is(await statusOf(host), 421, host);
    t.is(await statusOf(host, `/c/${id}/exec/`), 421, host);
  }
});

test('pages of other sites reach exec and pipe by their hosts, and no other kit', async (t) => {
  const url = await setup(t);
  const foreign: Record<string, string>[] = [
    {Origin: 'https://evil.example'},
    {Origin: 'null'},
    {Origin: `http://${id}-exec-1.hoody.com`},
    {'Sec-Fetch-Site': 'cross-site'},
  ];
  for (const from of foreign) {
    for (const [kit, status] of [
      ['exec', 200],
      ['pipe', 200],
      ['cron', 403],
      ['n', 403],
      ['notifications', 403],
    ] as const) {
      for (const domain of ['hoody.com', 'localhost']) {
        const Host = `ctr_${id}-${kit}-1.${domain}`;
        // A path that would be open elsewhere opens nothing here.
        for (const target of ['/', `/c/${id}/exec/`]) {
          const answer = await rawRequest(url, {target, headers: {Host, ...from}});
          t.is(answer.status, status, `${Host} ${target} ${JSON.stringify(from)}`);
        }
      }
    }
  }
});

test('a page of the host of a kit reaches that host', async (t) => {
  const url = await setup(t);
  const Host = `${id}-cron-1.hoody.com`;
  for (const Origin of [`http://${Host}`, `https://${Host}`])
    t.is((await rawRequest(url, {target: '/', headers: {Host, Origin}})).status, 200);
});
