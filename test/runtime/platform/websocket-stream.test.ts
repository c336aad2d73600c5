import {mkdtemp, rm} from 'node:fs/promises';
import {createServer, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openWebsocket, type WebsocketStreamEvents} from '../../../runtime/platform/websocket-stream.ts';

async function socketPath(t: ExecutionContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  return join(directory, 's');
}

function collect() {
  const pieces: Uint8Array[] = [];
  const ended = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const events: WebsocketStreamEvents = {
    data: (bytes) => void pieces.push(bytes),
    drained() {},
    ended: () => ended.resolve(),
    closed: () => closed.resolve(),
  };
  return {events, ended: ended.promise, closed: closed.promise, text: () => Buffer.concat(pieces).toString()};
}

const accept = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';

/** Answers each connection once its request is there. */
async function rawServer(t: ExecutionContext, answer: (socket: Socket) => void): Promise<string> {
  const path = await socketPath(t);
  const server = createServer((socket) => {
    socket.once('data', () => answer(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  return path;
}

for (const size of [0, 1, 125, 126, 65_535, 65_536, 3_000_000]) {
  test(`${size} bytes go there and come back as they are, and the end is told both ways`, async (t) => {
    const path = await socketPath(t);
    const received: Buffer[] = [];
    const server = Bun.serve({
      unix: path,
      fetch: (request, own) => (own.upgrade(request) ? undefined : new Response('no', {status: 400})),
      websocket: {
        message(socket, message) {
          if (typeof message !== 'string') received.push(Buffer.from(message));
          else {
            socket.sendBinary(Buffer.concat(received));
            socket.sendText('');
          }
        },
      },
    });
    t.teardown(() => server.stop(true));
    const heard = collect();
    const stream = await openWebsocket({socketPath: path, path: '/'}, heard.events);
    const sent = 'x'.repeat(size);
    stream.write(Buffer.from(sent));
    stream.finish();
    await heard.ended;
    t.true(heard.text() === sent);
    stream.close();
    await heard.closed;
  });
}

test('frames are read whatever the pieces they come in, and a ping is answered', async (t) => {
  const pong = Promise.withResolvers<Buffer>();
  const frames = Buffer.concat([
    Buffer.from([0x82, 5]),
    Buffer.from('hello'),
    Buffer.from([0x89, 2]),
    Buffer.from('hi'),
    Buffer.from([0x82, 126, 0, 200]),
    Buffer.alloc(200, 0x79),
    Buffer.from([0x81, 0]),
  ]);
  const path = await rawServer(t, (socket) => {
    socket.on('data', (bytes) => pong.resolve(bytes as Buffer));
    void (async () => {
      for (const byte of Buffer.concat([Buffer.from(accept), frames]))
        await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
    })();
  });
  const heard = collect();
  const stream = await openWebsocket({socketPath: path, path: '/'}, heard.events);
  await heard.ended;
  t.is(heard.text(), `hello${'y'.repeat(200)}`);
  const answer = await pong.promise;
  t.is(answer[0], 0x8a);
  t.is(answer.subarray(6, 8).toString(), 'hi');
  stream.close();
});

const refusals: Record<string, string> = {
  'another status': 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n',
  'something else than HTTP': 'SSH-2.0-x\r\n\r\n',
  'a head without an end': `HTTP/1.1 101 x\r\n${'a: b\r\n'.repeat(4000)}`,
};

for (const [what, answer] of Object.entries(refusals)) {
  test(`${what} is no websocket`, async (t) => {
    const path = await rawServer(t, (socket) => socket.end(answer));
    await t.throwsAsync(openWebsocket({socketPath: path, path: '/'}, collect().events), {
      code: 'PROVIDER_UNAVAILABLE',
    });
  });
}

test('a frame that claims to be endless closes the connection', async (t) => {
  const path = await rawServer(t, (socket) =>
    socket.write(Buffer.concat([Buffer.from(accept), Buffer.from([0x82, 127]), Buffer.alloc(8, 0x7f)])),
  );
  const heard = collect();
  await openWebsocket({socketPath: path, path: '/'}, heard.events);
  await heard.closed;
  t.is(heard.text(), '');
});

test('where nobody listens it is told', async (t) => {
  const path = await socketPath(t);
  await t.throwsAsync(openWebsocket({socketPath: path, path: '/'}, collect().events), {
    code: 'PROVIDER_UNAVAILABLE',
  });
});
