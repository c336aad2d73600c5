import {once} from 'node:events';
import {connect, type Socket} from 'node:net';
import {connect as connectSecurely, type TLSSocket} from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import {
  type ByteSocket,
  type LateCertificate,
  serveByteSockets,
} from '../../../runtime/platform/byte-socket.ts';
import {createHandshakes} from '../../../runtime/platform/handshakes.ts';
import {makeCertificate} from '../../helpers/certificates.ts';

const certificate = makeCertificate({names: ['DNS:localhost']});
const mostUnderWay = 64;

/** A server that answers whatever it hears with the same, and what it was asked for. */
async function serve(t: ExecutionContext, certificateOf: LateCertificate = () => certificate) {
  let asked = 0;
  const accepted: ByteSocket[] = [];
  const accept = (socket: ByteSocket) => {
    accepted.push(socket);
    return {
      data: (bytes: Uint8Array) => {
        if (!socket.write(bytes)) socket.pause();
      },
      drained: () => socket.resume(),
      ended: () => socket.finish(),
      closed() {},
    };
  };
  const server = await serveByteSockets({kind: 'tcp', host: '127.0.0.1', port: 0}, accept, {
    certificate: () => {
      asked += 1;
      return certificateOf();
    },
  });
  t.teardown(() => server.close());
  const port = Number(new URL(server.url).port);
  const plain = async (): Promise<Socket> => {
    const socket = connect({host: '127.0.0.1', port});
    t.teardown(() => socket.destroy());
    // How it ends is what the tests look at.
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  const secure = async (): Promise<TLSSocket> => {
    const {certificate: ca} = await certificate;
    const socket = connectSecurely({host: '127.0.0.1', port, servername: 'localhost', ca});
    t.teardown(() => socket.destroy());
    await once(socket, 'secureConnect');
    return socket;
  };
  return {server, accepted, asked: () => asked, plain, secure};
}

/** However it ends. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

async function echoed(socket: TLSSocket, text: string): Promise<string> {
  const answer = once(socket, 'data');
  socket.write(text);
  return String((await answer)[0]);
}

test('the certificate is asked for at each connection, and what comes before it is there is not lost', async (t) => {
  const ready = Promise.withResolvers<void>();
  const {server, accepted, asked, secure} = await serve(t, async () => {
    await ready.promise;
    return await certificate;
  });
  t.true(server.url.startsWith('https://127.0.0.1:'));
  t.is(asked(), 0);
  const first = secure();
  const second = secure();
  while (asked() < 2) await new Promise((resolve) => setImmediate(resolve));
  t.is(accepted.length, 0);
  ready.resolve();
  t.is(await echoed(await first, 'one'), 'one');
  t.is(await echoed(await second, 'two'), 'two');
  t.is(asked(), 2);
  const [one] = accepted;
  t.is(one?.localAddress, '127.0.0.1');
  t.is(one?.descriptor, -1, 'nothing moves its bytes past the encryption');
  t.true(accepted.some(({remotePort}) => remotePort > 0));
});

test('a connection whose certificate cannot be had ends, and the next one is served', async (t) => {
  let isBroken = true;
  const {plain, secure} = await serve(t, async () => {
    if (isBroken) throw new Error('no key');
    return await certificate;
  });
  await closed(await plain());
  isBroken = false;
  t.is(await echoed(await secure(), 'well'), 'well');
});

for (const {kind, bytes} of [
  {kind: 'plain HTTP', bytes: Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')},
  {kind: 'zeros', bytes: Buffer.alloc(100_000)},
  {kind: 'a handshake that claims to be longer than any', bytes: Buffer.from('16030affff01ffffff', 'hex')},
  {kind: 'an alert', bytes: Buffer.from('15030300020228', 'hex')},
]) {
  test(`a client that sends ${kind} is let go and hears of nothing behind it`, async (t) => {
    const {accepted, plain, secure} = await serve(t);
    const hostile = await plain();
    hostile.resume();
    const isGone = closed(hostile);
    hostile.end(bytes);
    await isGone;
    t.is(accepted.length, 0);
    t.is(await echoed(await secure(), 'well'), 'well');
  });
}

test('a client that leaves in the middle of its handshake leaves nothing', async (t) => {
  const {accepted, plain, secure} = await serve(t);
  for (let left = 0; left < 50; left += 1) {
    const client = await plain();
    client.write(Buffer.from('160301', 'hex'));
    client.resetAndDestroy();
  }
  t.is(await echoed(await secure(), 'well'), 'well');
  t.is(accepted.length, 1);
});

test('of handshakes that are not finished only so many wait; others go on and new ones are served', async (t) => {
  const {plain, secure} = await serve(t);
  const early = await secure();
  const ended: Promise<unknown>[] = [];
  for (let client = 0; client < mostUnderWay; client += 1) ended.push(closed(await plain()));
  const more = await Promise.all(Array.from({length: 8}, () => plain()));
  await Promise.all(ended.slice(0, more.length));
  t.is(await echoed(early, 'still'), 'still');
  t.is(await echoed(await secure(), 'new'), 'new');
  t.true(more.every(({destroyed}) => !destroyed));
});

test('a handshake that takes too long ends', async (t) => {
  const {begin, close} = createHandshakes<undefined>({
    events: {data() {}},
    opened: () => t.fail(),
    timeoutSeconds: 1,
  });
  const made = await certificate;
  const listener = Bun.listen<undefined>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open(raw) {
        raw.pause();
        begin(raw, made);
      },
      drain() {},
    },
  });
  t.teardown(() => {
    listener.stop(true);
    close();
  });
  const slow = connect({host: '127.0.0.1', port: listener.port});
  slow.on('error', () => {});
  slow.write(Buffer.from('160301', 'hex'));
  await closed(slow);
  t.pass();
});

test('a client that does not read is not sent more than the kernel takes, and gets all in the end', async (t) => {
  const {accepted, secure} = await serve(t);
  const client = await secure();
  await echoed(client, 'begin');
  client.pause();
  const piece = Buffer.alloc(1 << 20, 7);
  const pieces = 16;
  for (let sent = 0; sent < pieces; sent += 1) client.write(piece);
  const [server] = accepted;
  while ((server?.pendingBytes ?? 0) === 0) await new Promise((resolve) => setImmediate(resolve));
  t.true((server?.pendingBytes ?? 0) <= 2 * piece.length);
  let received = 0;
  client.on('data', (bytes) => {
    received += bytes.length;
  });
  const end = once(client, 'end');
  client.end();
  client.resume();
  await end;
  t.is(received, pieces * piece.length);
});

test('closing the server ends those that have shaken hands', async (t) => {
  const {server, secure} = await serve(t);
  const client = await secure();
  t.is(await echoed(client, 'well'), 'well');
  const isGone = closed(client);
  client.on('error', () => {});
  server.close();
  await isGone;
  t.pass();
});
