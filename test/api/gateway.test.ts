import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {createServer, type IncomingMessage, request, type ServerResponse} from 'node:http';
import {connect, createServer as createNetServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {pumpsPath} from '../../schemas/control.ts';
import {serveGateway} from '../helpers/gateway-world.ts';
import {RawClient} from '../helpers/pipe-world.ts';

const id = '0123456789abcdef01234567';

/** A container that answers with `handle`, and the gateway before it, both on real sockets. */
async function setup(
  t: ExecutionContext,
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-gateway-'));
  const socketPath = join(directory, 'control.sock');
  const container = createServer((incoming, outgoing) => {
    // As a runtime that orders no pumps.
    if (incoming.url === pumpsPath) outgoing.writeHead(404).end();
    else handle(incoming, outgoing);
  });
  container.listen(socketPath);
  await once(container, 'listening');
  const url = await serveGateway(t, {
    socketOf: (container) =>
      container === id || container === 'main-1f0c9a3e'
        ? socketPath
        : container === 'f'.repeat(24)
          ? join(directory, 'nobody.sock')
          : null,
  });
  t.teardown(async () => {
    container.closeAllConnections();
    container.close();
    await rm(directory, {recursive: true, force: true});
  });
  return {port: Number(new URL(url).port), url};
}

const echo = (incoming: IncomingMessage, outgoing: ServerResponse) => {
  outgoing.writeHead(200, {'Content-Type': 'application/json', 'Set-Cookie': 'a=b', 'X-Own': 'kept'});
  outgoing.end(JSON.stringify({url: incoming.url, headers: incoming.headers, method: incoming.method}));
};

/** Sends a request line as it is, which `fetch` would normalise. */
async function rawRequest(port: number, target: string, host = 'localhost'): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test('the target after the kit reaches the container byte for byte', async (t) => {
  const {port} = await setup(t, echo);
  for (const [target, expected] of [
    [`/c/${id}/exec/a%2Fb/../c?x=%20&y`, '/a%2Fb/../c?x=%20&y'],
    [`/c/${id}/exec`, '/'],
    [`/c/${id}/exec?q=1`, '/?q=1'],
    [`/c/${id}/cron//users//root`, '//users//root'],
  ] as const) {
    t.true((await rawRequest(port, target)).includes(JSON.stringify({url: expected}).slice(1, -1)), target);
  }
});

test('a page sees why a pipe refuses it, and may ask every pipe whether it may send a token', async (t) => {
  const {url} = await setup(t, echo);
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, {...init, headers: {Origin: 'https://page.example', ...init.headers}});
  for (const [path, status] of [
    [`/c/${'0'.repeat(24)}/pipe/x`, 404],
    [`/c/${'f'.repeat(24)}/pipe/x`, 503],
  ] as const) {
    const refused = await ask(path);
    t.is(refused.status, status);
    t.is(refused.headers.get('access-control-allow-origin'), 'https://page.example');
  }
  const exec = await ask(`/c/${'0'.repeat(24)}/exec/x`);
  t.is(exec.headers.get('access-control-allow-origin'), null);
  const Host = 'main-1f0c9a3e-pipe.hoody.com';
  const token = await ask('/x', {headers: {Host}});
  t.is(token.status, 401);
  t.is(token.headers.get('access-control-allow-origin'), 'https://page.example');
  const preflight = await ask('/x', {
    method: 'OPTIONS',
    headers: {
      Host,
      'Access-Control-Request-Method': 'PUT',
      'Access-Control-Request-Headers': 'authorization',
    },
  });
  t.is(preflight.status, 204);
  t.regex(preflight.headers.get('access-control-allow-headers') ?? '', /Authorization/);
});

test('a kit is told what was taken off its target, and only by the gateway', async (t) => {
  const {port, url} = await setup(t, echo);
  const prefixOf = async (target: string, host: string) => {
    const response = await fetch(`${url}${target}`, {headers: {Host: host, 'X-Forwarded-Prefix': '/evil'}});
    return ((await response.json()) as {headers: Record<string, string>}).headers['x-forwarded-prefix'];
  };
  t.is(await prefixOf(`/c/${id}/pipe/help`, `127.0.0.1:${port}`), `/c/${id}/pipe`);
  t.is(await prefixOf('/help', `${id}-pipe.localhost`), undefined);
});

test('S26: on the host of a kit the whole target reaches the container byte for byte', async (t) => {
  const {port} = await setup(t, echo);
  for (const host of [`ctr_${id}-cron-1.hoody.com`, `${id}-cron-2.localhost:7070`]) {
    for (const target of [
      '/users/root/crontab',
      '/a%2Fb/../c?x=%20&y',
      `/c/${id}/exec/x`,
      '/',
      '/?q',
      '//x',
    ]) {
      const answer = await rawRequest(port, target, host);
      t.true(answer.includes(JSON.stringify({url: target}).slice(1, -1)), `${host} ${target}`);
      t.true(answer.includes('"x-branchtab-kit":"cron"'), `${host} ${target}`);
    }
  }
});

test('a host with a name that can be guessed needs the token, which the container does not see', async (t) => {
  const {url} = await setup(t, echo);
  const ask = (host: string, headers: Record<string, string> = {}) =>
    fetch(`${url}/x`, {headers: {Host: host, ...headers}});
  for (const Authorization of ['', 'Bearer wrong', 'Basic own', 'own']) {
    for (const host of ['main-1f0c9a3e-exec-1.hoody.com', 'nobody-exec-1.hoody.com'])
      t.is((await ask(host, Authorization === '' ? {} : {Authorization})).status, 401, host);
  }
  t.is((await ask('nobody-exec-1.hoody.com', {Authorization: 'Bearer own'})).status, 404);
  const cookie = {Cookie: 'branchtab_session=secret'};
  t.is((await ask('main-1f0c9a3e-exec-1.hoody.com', cookie)).status, 401);
  const answer = await ask('main-1f0c9a3e-exec-1.hoody.com', {Authorization: 'Bearer own'});
  t.is(answer.status, 200);
  const {headers} = (await answer.json()) as {headers: Record<string, string>};
  t.is(headers.authorization, undefined);
});

test('S99: a host with an id that nobody has is 404', async (t) => {
  const {url} = await setup(t, echo);
  for (const container of ['0'.repeat(24), `ctr_${'0'.repeat(24)}`, 'ctr_4d72b9']) {
    const answer = await fetch(`${url}/x`, {headers: {Host: `${container}-cron-1.hoody.com`}});
    t.is(answer.status, 404, container);
    t.is(((await answer.json()) as {code: string}).code, 'CONTAINER_NOT_FOUND');
  }
});

test('on the host of a kit a target that is no path reaches nobody', async (t) => {
  let reached = 0;
  const {port} = await setup(t, (_incoming, outgoing) => {
    reached += 1;
    outgoing.end();
  });
  for (const target of ['*', 'http://evil.example/x', `http://localhost/c/${id}/exec/x`])
    t.regex(await rawRequest(port, target, `${id}-exec-1.localhost`), /^HTTP\/1\.1 4\d\d /);
  t.is(reached, 0);
});

test('the kit is named by the gateway, never by the caller', async (t) => {
  const {url} = await setup(t, echo);
  const answer = await fetch(`${url}/c/${id}/cron/x`, {headers: {'X-Branchtab-Kit': 'exec'}});
  const {headers} = (await answer.json()) as {headers: Record<string, string>};
  t.is(headers['x-branchtab-kit'], 'cron');
});

test("a container never sees the controller's cookie or token, but its own", async (t) => {
  const {url} = await setup(t, echo);
  const first = await fetch(`${url}/c/${id}/exec/`, {
    headers: {Authorization: 'Bearer own', Cookie: 'branchtab_session=secret; other=1'},
  });
  const {headers} = (await first.json()) as {headers: Record<string, string>};
  t.is(headers.authorization, undefined);
  t.is(headers.cookie, 'other=1');
  const second = await fetch(`${url}/c/${id}/exec/`, {headers: {Authorization: 'Bearer script'}});
  t.is(((await second.json()) as {headers: Record<string, string>}).headers.authorization, 'Bearer script');
});

test('answers lose Set-Cookie and carry a sandboxing policy', async (t) => {
  const {url} = await setup(t, (_incoming, outgoing) => {
    outgoing.writeHead(200, {
      'Set-Cookie': 'branchtab_session=stolen',
      'Content-Security-Policy': "script-src 'self'",
      'X-Own': 'kept',
    });
    outgoing.end('<script></script>');
  });
  const answer = await fetch(`${url}/c/${id}/exec/page`);
  t.is(answer.headers.get('set-cookie'), null);
  t.regex(answer.headers.get('content-security-policy') ?? '', /^script-src 'self', sandbox /);
  t.false(answer.headers.get('content-security-policy')?.includes('allow-same-origin'));
  t.is(answer.headers.get('x-own'), 'kept');
});

test('S99: an id that nobody has is 404, a container that does not answer is 503 with Retry-After', async (t) => {
  const {url} = await setup(t, echo);
  const unknown = await fetch(`${url}/c/${'0'.repeat(24)}/cron/crontab`);
  t.is(unknown.status, 404);
  t.is(((await unknown.json()) as {code: string}).code, 'CONTAINER_NOT_FOUND');
  const dead = await fetch(`${url}/c/${'f'.repeat(24)}/cron/crontab`);
  t.is(dead.status, 503);
  t.is(dead.headers.get('retry-after'), '1');
});

test('what is no container address is refused or left to others', async (t) => {
  const {url, port} = await setup(t, echo);
  t.is((await fetch(`${url}/api/v1/branches`)).status, 418);
  t.is((await fetch(`${url}/c/${id}/nowhere/x`)).status, 404);
  t.is((await fetch(`${url}/c/${id.toUpperCase()}/exec/x`)).status, 404);
  t.true((await rawRequest(port, `/c/${id}/../../etc/passwd`)).startsWith('HTTP/1.1 404'));
});

test('bodies are streamed both ways without being gathered', async (t) => {
  const {port} = await setup(t, (incoming, outgoing) => {
    outgoing.writeHead(200);
    incoming.pipe(outgoing);
  });
  const outgoing = request({port, host: '127.0.0.1', method: 'POST', path: `/c/${id}/exec/echo`});
  const [first, second] = [randomBytes(65_536), randomBytes(65_536)];
  outgoing.write(first);
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  let received = 0;
  for await (const chunk of answer) {
    received += (chunk as Buffer).length;
    // The second half is sent only after the first came back: nothing waited for the end.
    if (received === first.length) outgoing.end(second);
  }
  t.is(received, first.length + second.length);
});

test('an answer that breaks off does not end cleanly', async (t) => {
  const {url} = await setup(t, (_incoming, outgoing) => {
    outgoing.writeHead(200);
    outgoing.write('half');
    setImmediate(() => outgoing.destroy());
  });
  const answer = await fetch(`${url}/c/${id}/exec/half`);
  await t.throwsAsync(answer.text());
});

test('a client that leaves is noticed by the container', async (t) => {
  const left = Promise.withResolvers<void>();
  const {url} = await setup(t, (_incoming, outgoing) => {
    outgoing.writeHead(200);
    outgoing.write('first');
    outgoing.on('close', () => left.resolve());
  });
  const abort = new AbortController();
  await fetch(`${url}/c/${id}/exec/stream`, {signal: abort.signal});
  abort.abort();
  await left.promise;
  t.pass();
});

test('a body never becomes a second request, whatever the method', async (t) => {
  const seen: string[] = [];
  const {port} = await setup(t, (incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url} ${incoming.headers['x-branchtab-kit']}`);
    incoming.resume();
    outgoing.end();
  });
  const smuggled = 'PUT /api/v1/control/schedule HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n';
  const framed = [
    `Transfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
    `Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  ];
  for (const method of ['GET', 'HEAD', 'DELETE', 'POST', 'OPTIONS']) {
    for (const rest of framed) {
      const socket = connect(port, '127.0.0.1');
      socket.write(`${method} /c/${id}/exec/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${rest}`);
      for await (const _chunk of socket);
    }
  }
  t.deepEqual(
    seen.filter((request) => !/^[A-Z]+ \/x exec$/.test(request)),
    [],
  );
  t.is(seen.length, 10);
});

for (const framing of ['Content-Length', 'Transfer-Encoding'] as const) {
  test(`who reads nothing holds the container up, and not the memory of the controller: ${framing}`, async (t) => {
    const offeredBytes = 256 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024, 'x');
    let takenBytes = 0;
    const {port} = await setup(t, (_incoming, outgoing) => {
      outgoing.writeHead(200, framing === 'Content-Length' ? {[framing]: offeredBytes} : {});
      const fill = () => {
        while (takenBytes < offeredBytes) {
          takenBytes += piece.length;
          if (!outgoing.write(piece)) {
            outgoing.once('drain', fill);
            return;
          }
        }
        outgoing.end();
      };
      fill();
    });
    const client = connect(port, '127.0.0.1');
    client.write(`GET /c/${id}/exec/much HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    await once(client, 'data');
    client.pause();
    // As long as the container gets rid of something while the gateway is busy with others, it is not held up.
    for (let before = -1; before < takenBytes; ) {
      before = takenBytes;
      for (let asked = 0; asked < 20; asked += 1) await rawRequest(port, '/');
    }
    t.true(takenBytes < offeredBytes / 4, `${takenBytes} bytes were taken`);
    let receivedBytes = 0;
    client.on('data', (bytes: Buffer) => {
      receivedBytes += bytes.length;
    });
    client.resume();
    await once(client, 'close');
    t.true(receivedBytes >= offeredBytes - 1024 * 1024, `${receivedBytes} bytes came`);
  });
}

test('a container that reads nothing holds its sender up', async (t) => {
  const arrived = Promise.withResolvers<IncomingMessage>();
  const {port} = await setup(t, (incoming, outgoing) => {
    arrived.resolve(incoming);
    incoming.once('end', () => outgoing.end('read'));
  });
  const lengthBytes = 64 * 1024 * 1024;
  const client = connect(port, '127.0.0.1');
  client.write(
    `PUT /c/${id}/pipe/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${lengthBytes}\r\nConnection: close\r\n\r\n`,
  );
  let isAllTaken = false;
  client.write(Buffer.alloc(lengthBytes), () => {
    isAllTaken = true;
  });
  const incoming = await arrived.promise;
  for (let asked = 0; asked < 100; asked += 1) await rawRequest(port, '/');
  t.false(isAllTaken);
  let readBytes = 0;
  incoming.on('data', (bytes: Buffer) => {
    readBytes += bytes.length;
  });
  let text = '';
  for await (const bytes of client) text += String(bytes);
  t.is(readBytes, lengthBytes);
  t.regex(text, /^HTTP\/1\.1 200 [\s\S]*read/);
});

for (const [what, answer] of [
  ['no answer', ''],
  [
    'another protocol',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  ],
  ['nonsense', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  ['two ways to end', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a line that is no header', 'HTTP/1.1 200 OK\r\nno header\r\n\r\n'],
  ['a head without end', `HTTP/1.1 200 OK\r\n${'X-Much: of it\r\n'.repeat(10_000)}`],
  ['interim answers without end', 'HTTP/1.1 103 Early Hints\r\nX-Much: of it\r\n\r\n'.repeat(10_000)],
] as const) {
  test(`a container that gives ${what} does not answer`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'branchtab-gateway-'));
    const socketPath = join(directory, 'control.sock');
    const container = createNetServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(answer));
    });
    container.listen(socketPath);
    await once(container, 'listening');
    t.teardown(async () => {
      container.close();
      await rm(directory, {recursive: true, force: true});
    });
    const url = await serveGateway(t, {socketOf: () => socketPath});
    const refused = await fetch(`${url}/c/${id}/exec/x`);
    t.is(refused.status, 503);
    t.is(((await refused.json()) as {code: string}).code, 'CONTAINER_UNAVAILABLE');
  });
}

test('with HTTP/1.0 a transfer that breaks off ends as an error, and one that is complete does not', async (t) => {
  const {url} = await setup(t, (incoming, outgoing) => {
    outgoing.writeHead(200);
    outgoing.write('half');
    if (incoming.url === '/whole') outgoing.end(' and half');
    else setImmediate(() => outgoing.destroy());
  });
  for (const [path, isWhole] of [
    ['/whole', true],
    ['/cut', false],
  ] as const) {
    const client = await RawClient.open(`${url}/c/${id}/pipe`, 'GET', path, {version: '1.0'});
    await client.untilClosed();
    t.is(client.body, isWhole ? 'half and half' : 'half');
    t.is(client.wasReset, !isWhole);
  }
});

test('a client that waits with its body is told to go on', async (t) => {
  const {port} = await setup(t, (incoming, outgoing) => {
    let text = '';
    incoming.on('data', (bytes) => {
      text += String(bytes);
    });
    incoming.on('end', () => outgoing.end(`${text} ${incoming.headers.expect ?? 'without'}`));
  });
  const client = connect(port, '127.0.0.1');
  client.write(
    `PUT /c/${id}/exec/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`,
  );
  const [first] = (await once(client, 'data')) as [Buffer];
  t.is(String(first), 'HTTP/1.1 100 Continue\r\n\r\n');
  client.write('body');
  let text = '';
  for await (const bytes of client) text += String(bytes);
  t.regex(text, /^HTTP\/1\.1 200 [\s\S]*body without/);
});
