import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {createServer, type IncomingMessage} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type {KitAlias} from '../../api/kit-address.ts';
import {KIT_HEADER, kits, pumpsPath} from '../../schemas/control.ts';
import {fuzz} from '../helpers/fuzz.ts';
import {serveGateway} from '../helpers/gateway-world.ts';
import {sendRaw} from '../helpers/raw-http.ts';

const id = '0123456789abcdef01234567';
const ownToken = 'Bearer own-token-of-the-controller';

interface Seen {
  readonly url: string;
  readonly rawHeaders: readonly string[];
}

const target = fc
  .tuple(
    fc.constantFrom(
      `/c/${id}/`,
      `/c/${id}/`,
      `/c/${id}/`,
      '/c/',
      `/c/${id.toUpperCase()}/`,
      `//c/${id}/`,
      `http://evil.example/c/${id}/`,
      `/c/${id}%2f`,
      '*',
      '',
    ),
    fc.constantFrom(
      'cron',
      'exec',
      'pipe',
      'notifications',
      'control',
      '',
      'EXEC',
      'exec%00',
      'exec/../cron',
    ),
    fc.oneof(
      fc.constantFrom(
        '',
        '/',
        '//x',
        '?q',
        '/../../api/v1/control',
        '/a%2F..%2Fb',
        '/%00',
        '/#f',
        '/ x',
        '/é',
        '/\t',
        '/a;b=c?d=e&f',
      ),
      fc.stringMatching(/^\/[!-~]{0,30}$/),
    ),
  )
  .map((parts) => parts.join(''));
/** Hosts with the kit that they name, null where they name none. */
const hosts = [
  {host: 'localhost', kit: null},
  {host: 'localhost', kit: null},
  {host: `ctr_${id}-cron-1.hoody.com`, kit: 'cron'},
  {host: `${id}-n-1.localhost:80`, kit: 'notifications'},
  {host: `${id}-watch-1.hoody.com`, kit: null},
  {host: 'main-1f0c9a3e-exec-1.hoody.com', kit: 'exec'},
  {host: 'oncall.hoody.com', kit: 'cron'},
  {host: 'oncall-exec-1.hoody.com', kit: 'exec'},
  {host: 'open.hoody.com', kit: 'exec'},
] as const;
const header = fc.oneof(
  fc.constantFrom<[string, string]>(
    ['X-Branchtab-Kit', 'control'],
    ['x-branchtab-kit', 'exec'],
    ['X-BRANCHTAB-KIT ', 'exec'],
    ['Connection', 'X-Branchtab-Kit, Authorization'],
    ['Authorization', ownToken],
    ['authorization', ownToken.toUpperCase()],
    ['Authorization', 'Bearer of-the-container'],
    ['Cookie', 'branchtab_session=secret-session; a=b'],
    ['cookie', 'a=b;branchtab_session=secret-session'],
    ['X-Forwarded-For', '6.6.6.6'],
    ['Transfer-Encoding', 'chunked'],
    ['Transfer-Encoding', 'chunked, identity'],
    ['Transfer-Encoding ', 'chunked'],
    ['Content-Length', '0'],
    ['Content-Length', '4'],
    ['Content-Length', '+4'],
    ['Expect', '100-continue'],
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['Sec-WebSocket-Version', '13'],
    ['TE', 'trailers'],
    ['Host', 'other'],
  ),
  fc.tuple(fc.stringMatching(/^[A-Za-z-]{1,10}$/), fc.stringMatching(/^[ -~]{0,30}$/)),
);
/** Those that ask for a websocket stand together, or chance would seldom bring them so. */
const asking: readonly [string, string][] = [
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
  ['Sec-WebSocket-Version', '13'],
];
/** Who asks for a websocket waits for its answer, and would wait for ever where a body is announced. */
const framing = /^(?:transfer-encoding|content-length|expect) *$/i;
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: localhost\r\nX-Branchtab-Kit: control\r\n\r\n';
const body = fc.constantFrom(
  '',
  '',
  '0\r\n\r\n',
  `0\r\n\r\n${smuggled}`,
  smuggled,
  `4\r\nabcd\r\n0\r\nX-Branchtab-Kit: control\r\n\r\n`,
  'zz\r\n',
  `5\r\nabc`,
);

test('whatever is sent, a container sees its kit, one request for one, and nothing of the controller’s', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-fuzz-gateway-'));
  const seen: Seen[] = [];
  /** Requests by number of the run: a container may see a request after its sender has gone. */
  const asked: {target: string; host: string; kit: string | null; token: boolean}[] = [];
  const container = createServer((incoming: IncomingMessage, outgoing) => {
    seen.push({url: incoming.url ?? '', rawHeaders: incoming.rawHeaders});
    incoming.resume();
    outgoing.setHeader('Set-Cookie', 'branchtab_session=planted');
    outgoing.end('from the container');
  });
  let upgraded = 0;
  container.on('upgrade', (incoming: IncomingMessage, socket) => {
    // The gateway's own question; what it relays always names a kit.
    if (incoming.url === pumpsPath && !incoming.rawHeaders.includes(KIT_HEADER)) {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    upgraded += 1;
    seen.push({url: incoming.url ?? '', rawHeaders: incoming.rawHeaders});
    socket.end(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSet-Cookie: branchtab_session=planted\r\n\r\nfrom the container',
    );
  });
  container.listen(join(directory, 'control.sock'));
  await once(container, 'listening');
  const url = await serveGateway(t, {
    socketOf: (known) => (known === id || known.startsWith('main-') ? join(directory, 'control.sock') : null),
    kitHosts: {
      domains: ['localhost', 'hoody.com'],
      aliases: new Map<string, KitAlias>([
        ['oncall', {container: 'main-1f0c9a3e', kit: 'cron', public: false}],
        ['open', {container: id, kit: 'exec', public: true}],
      ]),
    },
    isOwnAuthorization: (value) => value === ownToken,
    userOf: () => null,
  });
  t.teardown(async () => {
    container.closeAllConnections();
    container.close();
    await rm(directory, {recursive: true, force: true});
  });
  const port = Number(new URL(url).port);
  let reached = 0;
  await fuzz(
    t,
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'get', 'PUT', 'CONNECT'),
      target,
      fc.constantFrom(...hosts),
      fc.array(header, {maxLength: 4}),
      body,
      fc.constantFrom('plain', 'plain', 'websocket', 'websocket of a script'),
      async (anyMethod, anyTarget, {host, kit}, others, sent, protocol) => {
        const asksForWebsocket = protocol !== 'plain';
        const [method, wanted] =
          protocol === 'websocket of a script'
            ? ['GET', `/c/${id}/exec?${others.length}`]
            : [anyMethod, anyTarget];
        const headers = asksForWebsocket
          ? [...others.filter(([name]) => !framing.test(name)), ...asking]
          : others;
        const run =
          asked.push({target: wanted, host, kit, token: headers.some(([, value]) => value === ownToken)}) - 1;
        const lines = [
          ['Host', host] as const,
          ['X-Run', String(run)] as const,
          ...headers,
          ['Connection', 'close'] as const,
        ].map(([name, value]) => `${name}: ${value}\r\n`);
        const answer = await sendRaw(
          port,
          Buffer.from(`${method} ${wanted} HTTP/1.1\r\n${lines.join('')}\r\n${sent}`, 'latin1'),
          // Who announces no body and ends has gone.
          {endAfterWrite: !asksForWebsocket && headers.some(([name]) => framing.test(name))},
        );
        if (/set-cookie/i.test(answer.split('\r\n\r\n', 1)[0] ?? ''))
          throw new Error(`a cookie was planted: ${answer}`);
        for (const {url, rawHeaders} of seen.splice(0)) {
          reached += 1;
          const pairs = rawHeaders.flatMap((name, index) =>
            index % 2 === 0 ? [[name.toLowerCase(), rawHeaders[index + 1] ?? ''] as const] : [],
          );
          const from = pairs.find(([name]) => name === 'x-run')?.[1];
          const asker = asked[Number(from)];
          if (from === undefined || asker === undefined) throw new Error(`nobody asked for ${url}`);
          const seenKit = pairs.filter(([name]) => name === 'x-branchtab-kit').map(([, value]) => value);
          const kitOfPath = kits.find((known) => asker.target.startsWith(`/c/${id}/${known}`));
          if (seenKit.join() !== (asker.kit ?? kitOfPath))
            throw new Error(`kit ${seenKit} for ${JSON.stringify(asker)}`);
          if (/^(?:main-|oncall)/.test(asker.host) && !asker.token)
            throw new Error(`no token in ${JSON.stringify(asker)}`);
          if (url === '/smuggled') throw new Error('a request was smuggled');
          const rest = asker.target.slice(asker.kit === null ? `/c/${id}/${kitOfPath}`.length : 0);
          if (url !== (rest.startsWith('/') ? rest : `/${rest}`))
            throw new Error(`${JSON.stringify(url)} for ${JSON.stringify(asker)}`);
          const text = pairs.map((pair) => pair.join(': ')).join('\n');
          if (text.includes(ownToken) || text.includes('secret-session') || text.includes('6.6.6.6'))
            throw new Error(`leaked: ${text}`);
        }
      },
    ),
    {runs: 400},
  );
  t.true(reached > 0);
  t.true(upgraded > 0);
});
