import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {createServer, type IncomingMessage, request} from 'node:http';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {json} from 'node:stream/consumers';
import test, {type ExecutionContext} from 'ava';
import type {ServerWebSocket} from 'bun';
import {createControllerGuard} from '../../api/controller-guard.ts';
import {serveGateway} from '../helpers/gateway-world.ts';
import {sendRaw} from '../helpers/raw-http.ts';

const id = '0123456789abcdef01234567';
const path = `/c/${id}/exec/chat?room=1`;
const opening = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

interface Container {
  readonly socket: ServerWebSocket<unknown>;
  readonly request: Request;
  /** Code and reason, once it is closed. */
  readonly closed: Promise<[number, string]>;
}

/** The controller's listener before a container that takes websockets and sends back what comes. */
async function setup(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-gateway-'));
  const socketPath = join(directory, 'control.sock');
  const url = await gatewayTo(t, {socketPath, directory});
  const connected = Promise.withResolvers<Container>();
  const closed = Promise.withResolvers<[number, string]>();
  const container = Bun.serve<{request: Request}>({
    unix: socketPath,
    fetch(asked, server) {
      if (new URL(asked.url).pathname === '/closed')
        return new Response('not today', {status: 403, headers: {'Set-Cookie': 'branchtab_session=planted'}});
      const headers = {'Set-Cookie': 'branchtab_session=planted', 'X-Own': 'kept'};
      server.upgrade(asked, {data: {request: asked}, headers});
      return undefined;
    },
    websocket: {
      idleTimeout: 0,
      backpressureLimit: 256 * 1024 * 1024,
      open: (socket) => connected.resolve({socket, request: socket.data.request, closed: closed.promise}),
      message: (socket, data) => void socket.send(data),
      close: (_, code, reason) => closed.resolve([code, reason]),
    },
  });
  t.teardown(() => container.stop(true));
  return {
    url,
    container,
    connected: connected.promise,
    open(target: string, headers: Record<string, string> = {}) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}${target}`, {headers});
      socket.binaryType = 'arraybuffer';
      t.teardown(() => socket.close());
      return socket;
    },
  };
}

async function gatewayTo(
  t: ExecutionContext,
  {socketPath, directory}: {socketPath: string; directory: string},
): Promise<string> {
  const kitHosts = {domains: ['localhost', 'hoody.com'], aliases: new Map()};
  const refusal = createControllerGuard({allowedHosts: [], kitHosts});
  const url = await serveGateway(t, {
    refusal,
    socketOf: (container) =>
      container === id || container === 'main-1f0c9a3e'
        ? socketPath
        : container === 'f'.repeat(24)
          ? join(directory, 'nobody.sock')
          : null,
    kitHosts,
  });
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  return url;
}

/** What is answered instead of a websocket. */
async function refusedAt(url: string, target: string, headers: Record<string, string> = {}) {
  const asking = request(`${url}${target}`, {headers: {...opening, ...headers}}).end();
  const [answer] = (await once(asking, 'response')) as [IncomingMessage];
  return answer;
}

function rawOpening(target: string, headers: Record<string, string> = {}): string {
  const lines = Object.entries({Host: 'localhost', ...opening, ...headers});
  return `GET ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

test('texts and bytes go both ways, whole, and a close from the client arrives with code and reason', async (t) => {
  const {connected, open} = await setup(t);
  const client = open(path);
  await once(client, 'open');
  const {closed, socket} = await connected;
  const large = 'x'.repeat(2_000_000);
  const bytes = new Uint8Array(70_000).map((_, index) => index % 251);
  for (const sent of ['one', large, bytes, '']) {
    client.send(sent);
    const [{data}] = (await once(client, 'message')) as [MessageEvent];
    const isSame = typeof sent === 'string' ? data === sent : Buffer.from(data).equals(Buffer.from(sent));
    t.true(isSame, String(sent).slice(0, 10));
  }
  socket.send('by itself');
  t.is(((await once(client, 'message')) as [MessageEvent])[0].data, 'by itself');
  client.close(4001, 'enough');
  t.deepEqual(await closed, [4001, 'enough']);
});

test('a close from the container arrives with code and reason', async (t) => {
  const {connected, open} = await setup(t);
  const client = open(path);
  const {socket} = await connected;
  socket.close(4002, 'over');
  const [closed] = (await once(client, 'close')) as [CloseEvent];
  t.deepEqual([closed.code, closed.reason], [4002, 'over']);
});

test('what the container says right behind the handshake is not lost', async (t) => {
  const {connected, open} = await setup(t);
  const client = open(path);
  const message = once(client, 'message');
  (await connected).socket.send('at once');
  t.is(((await message) as [MessageEvent])[0].data, 'at once');
});

test('the container is told the kit and the client, and nothing of the controller’s', async (t) => {
  const {connected, open, url} = await setup(t);
  open(path, {
    Authorization: 'Bearer own',
    Cookie: 'branchtab_session=secret; other=1',
    'X-Branchtab-Kit': 'control',
    'X-Forwarded-For': '6.6.6.6',
    Origin: 'null',
  });
  const {request: asked} = await connected;
  const {headers} = asked;
  t.is(new URL(asked.url).pathname + new URL(asked.url).search, '/chat?room=1');
  t.is(headers.get('x-branchtab-kit'), 'exec');
  t.is(headers.get('x-forwarded-for'), '127.0.0.1');
  t.is(headers.get('authorization'), null);
  t.is(headers.get('cookie'), 'other=1');
  t.is(headers.get('host'), new URL(url).host);
});

test('neither the handshake nor a refusal plants a cookie', async (t) => {
  const {url, container} = await setup(t);
  const client = connect(Number(new URL(url).port), '127.0.0.1');
  client.write(rawOpening(path));
  const [head] = (await once(client, 'data')) as [Buffer];
  t.regex(String(head), /^HTTP\/1\.1 101 /);
  t.regex(String(head), /x-own: kept/i);
  t.regex(String(head), /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
  t.notRegex(String(head), /set-cookie/i);
  client.destroy();
  const refused = await refusedAt(url, `/c/${id}/exec/closed`);
  t.is(refused.statusCode, 403);
  t.is(refused.headers['set-cookie'], undefined);
  t.regex(String(refused.headers['content-security-policy']), /^sandbox/);
  t.is(refused.headers.connection, 'close');
  t.is(String(Buffer.concat(await refused.toArray())), 'not today');
  t.is(container.pendingWebSockets, 0);
});

for (const [what, target, headers, status, code] of [
  ['a container that nobody has', `/c/${'0'.repeat(24)}/exec/chat`, {}, 404, 'CONTAINER_NOT_FOUND'],
  ['a container that does not answer', `/c/${'f'.repeat(24)}/exec/chat`, {}, 503, 'CONTAINER_UNAVAILABLE'],
  ['another kit', `/c/${id}/cron/users/root/runs`, {}, 404, 'NOT_FOUND'],
  ['the API of the controller', '/api/v1/branches', {}, 404, 'NOT_FOUND'],
  ['a foreign host', path, {Host: 'evil.example'}, 421, 'MISDIRECTED_HOST'],
  ['a host that is none of a kit', path, {Host: 'www.hoody.com'}, 421, 'MISDIRECTED_HOST'],
  ['a page that asks the API', '/api/v1/branches', {Origin: 'https://evil.example'}, 403, 'FORBIDDEN'],
  ["a user's token", path, {Authorization: 'Bearer of-ann'}, 403, 'FORBIDDEN'],
  [
    "a user's token, where the name can be guessed",
    '/chat',
    {Host: 'main-1f0c9a3e-exec-1.hoody.com', Authorization: 'Bearer of-ann'},
    403,
    'FORBIDDEN',
  ],
  [
    "a user's token for the cron service",
    `/c/${id}/cron/users/ann/runs`,
    {Authorization: 'Bearer of-ann'},
    404,
    'NOT_FOUND',
  ],
  ['a name that can be guessed', '/chat', {Host: 'main-1f0c9a3e-exec-1.hoody.com'}, 401, 'UNAUTHENTICATED'],
] as const) {
  test(`no websocket: ${what}`, async (t) => {
    const {url} = await setup(t);
    const refused = await refusedAt(url, target, headers);
    t.is(refused.statusCode, status);
    t.is(((await json(refused)) as {code: string}).code, code);
  });
}

test('a websocket comes through by the host of a kit, and by one that can be guessed with the token', async (t) => {
  const {url} = await setup(t);
  for (const headers of [
    {Host: `ctr_${id}-exec-1.hoody.com`},
    {Host: 'main-1f0c9a3e-exec-1.hoody.com', Authorization: 'Bearer own'},
  ]) {
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    client.write(rawOpening('/chat', headers));
    const [head] = (await once(client, 'data')) as [Buffer];
    t.regex(String(head), /^HTTP\/1\.1 101 /);
    client.destroy();
  }
});

test('a client that vanishes is noticed by the container, also one that has only ended its side', async (t) => {
  for (const leave of ['resetAndDestroy', 'end'] as const) {
    const {url, connected} = await setup(t);
    const client = connect({port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true});
    client.write(rawOpening(path));
    await once(client, 'data');
    const {closed} = await connected;
    client[leave]();
    client.resume();
    t.is((await closed)[0], 1006, leave);
    if (leave === 'end') await once(client, 'close');
  }
});

test('a container that dies ends the connection', async (t) => {
  const {connected, open, container} = await setup(t);
  const client = open(path);
  await once(client, 'open');
  const {socket} = await connected;
  const closed = once(client, 'close') as Promise<[CloseEvent]>;
  socket.terminate();
  t.is((await closed)[0].code, 1006);
  await container.stop(true);
  const refused = open(path);
  t.is(((await once(refused, 'close')) as [CloseEvent])[0].wasClean, false);
});

test('a client that does not read holds the container up, and not the memory of the controller', async (t) => {
  const {url, connected} = await setup(t);
  const client = connect(Number(new URL(url).port), '127.0.0.1');
  client.write(rawOpening(path));
  await once(client, 'data');
  client.pause();
  const {socket} = await connected;
  const piece = Buffer.alloc(256 * 1024);
  const pieces = 200;
  for (let sent = 0; sent < pieces; sent += 1) socket.send(piece);
  // As long as the container gets rid of something while the gateway is busy with others, it is not held up.
  let left = socket.getBufferedAmount();
  for (let before = left + 1; left < before; left = socket.getBufferedAmount()) {
    before = left;
    for (let asked = 0; asked < 20; asked += 1) await fetch(`${url}/api/v1/nothing`);
  }
  t.true(left > (pieces * piece.length) / 2, `${left} bytes are left`);
  let received = 0;
  client.on('data', (bytes: Buffer) => {
    received += bytes.length;
  });
  client.resume();
  while (received < pieces * piece.length) await once(client, 'data');
  client.destroy();
});

test('what is sent behind the handshake never reaches the container as a request', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-gateway-'));
  const socketPath = join(directory, 'control.sock');
  const seen: string[] = [];
  // It takes no websockets: to it the handshake is a plain request, and the connection stays open.
  const container = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    outgoing.end('plain');
  });
  container.listen(socketPath);
  await once(container, 'listening');
  t.teardown(() => {
    container.closeAllConnections();
    container.close();
  });
  const url = await gatewayTo(t, {socketPath, directory});
  const smuggled = 'PUT /api/v1/control/schedule HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n';
  const answer = await sendRaw(Number(new URL(url).port), rawOpening(path) + smuggled);
  t.regex(answer, /^HTTP\/1\.1 200 [\s\S]*plain/);
  t.deepEqual(seen, ['GET /chat?room=1']);
});
