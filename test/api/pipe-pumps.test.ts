import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {connect, createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {Frame} from '../../runtime/platform/byte-flow.ts';
import type {Exchange} from '../../runtime/platform/http-exchange.ts';
import {RELAYED_HEADER} from '../../schemas/control.ts';
import {serveGateway} from '../helpers/gateway-world.ts';
import {type OrderingRuntime, startOrderingRuntime} from '../helpers/ordering-runtime.ts';
import {createPipeWorld, gatewayContainer, RawClient, untilStatus} from '../helpers/pipe-world.ts';

const chunked = {'Transfer-Encoding': 'chunked'};
const lengthBytes = 8 * 1024 * 1024;

/** A gateway that reaches the kit through a socket which counts what passes it; `cut` breaks all its connections. */
async function countedWorld(t: ExecutionContext) {
  const world = await createPipeWorld(t);
  const directory = await mkdtemp(join(tmpdir(), 'bt-pumps-'));
  const socketPath = join(directory, 'control.sock');
  const counted = {bytes: 0};
  const sockets = new Set<ReturnType<typeof connect>>();
  const server = createServer({allowHalfOpen: true}, (near) => {
    const far = connect({path: world.controlSocket, allowHalfOpen: true});
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('data', ({length}: Buffer) => {
        counted.bytes += length;
      });
      one.on('error', () => other.destroy());
      one.pipe(other);
    }
  });
  server.listen(socketPath);
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await rm(directory, {recursive: true, force: true});
  });
  const gateway = await serveGateway(t, {
    socketOf: (container) => (container === gatewayContainer ? socketPath : null),
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {world, url: `${gateway}/c/${gatewayContainer}/pipe`, counted, cut};
}

/** What `bytes` are in one chunk, or as they are. */
function framed(bytes: Buffer, isChunked: boolean): Buffer {
  if (!isChunked) return bytes;
  return Buffer.concat([
    Buffer.from(`${bytes.length.toString(16)}\r\n`),
    bytes,
    Buffer.from('\r\n0\r\n\r\n'),
  ]);
}

/** After the answer's head. */
function contentOf(client: RawClient): Buffer {
  const {bytes} = client;
  const content = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);
  return client.header('transfer-encoding') === null ? content : unchunked(content);
}

function unchunked(content: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = content.indexOf('\r\n', at);
    const size = Number.parseInt(content.toString('latin1', at, lineEnd), 16);
    if (lineEnd === -1 || !(size > 0)) return Buffer.concat(parts);
    parts.push(content.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}

for (const n of [1, 3, 8]) {
  for (const [framing, headers] of [
    ['of known length', {'Content-Length': String(lengthBytes)}],
    ['in chunks', chunked],
  ] as const) {
    test(`bytes ${framing} to ${n} receivers never come to the runtime, which says what it always says`, async (t) => {
      const {url, counted} = await countedWorld(t);
      const sent = randomBytes(lengthBytes);
      const receivers = await Promise.all(
        Array.from({length: n}, () => RawClient.open(url, 'GET', `/x?n=${n}`)),
      );
      await untilStatus(url, '/x', ({activeReceivers}) => activeReceivers === n);
      const sender = await RawClient.open(url, 'PUT', `/x?n=${n}`, {headers});
      sender.write(framed(sent, framing === 'in chunks'));
      await sender.until(`[INFO] Upload complete.\n[INFO] Transfer complete.\n`);
      for (const receiver of receivers) {
        await receiver.untilOver();
        t.true(receiver.isComplete);
        t.true(contentOf(receiver).equals(sent));
      }
      t.true(counted.bytes < lengthBytes / 16, `${counted.bytes} bytes`);
    });
  }
}

for (const [why, path] of [
  ['their hash is wanted', '/x?sha256'],
  ['receipts are wanted', '/x?receipts'],
  ['they are paced', '/x?rate=100m'],
] as const) {
  test(`bytes go through the runtime where ${why}`, async (t) => {
    const {url, counted} = await countedWorld(t);
    const sent = randomBytes(lengthBytes);
    const receiver = await RawClient.open(url, 'GET', '/x');
    const sender = await RawClient.open(url, 'PUT', path, {headers: {'Content-Length': String(lengthBytes)}});
    sender.write(sent);
    await sender.until('Transfer complete.\n');
    await receiver.untilOver();
    t.true(contentOf(receiver).equals(sent));
    t.true(counted.bytes > lengthBytes * 2, `${counted.bytes} bytes`);
  });
}

test('a receiver inside of the container gets the same as one that comes by the gateway', async (t) => {
  const {url, world} = await countedWorld(t);
  const sent = randomBytes(lengthBytes);
  const receivers = await Promise.all([url, world.common].map((at) => RawClient.open(at, 'GET', '/x?n=2')));
  await untilStatus(url, '/x', ({activeReceivers}) => activeReceivers === 2);
  const sender = await RawClient.open(url, 'PUT', '/x?n=2', {
    headers: {'Content-Length': String(lengthBytes)},
  });
  sender.write(sent);
  for (const receiver of receivers) {
    await receiver.untilOver();
    t.true(contentOf(receiver).equals(sent));
  }
});

test('a receiver that does not read is seen to hold the others up, and nothing is stored for it', async (t) => {
  const {url} = await countedWorld(t);
  const slow = await RawClient.open(url, 'GET', '/x?n=2&as=slow');
  slow.pause();
  const other = await RawClient.open(url, 'GET', '/x?n=2&as=other');
  await untilStatus(url, '/x', ({activeReceivers}) => activeReceivers === 2);
  const all = 64 * 1024 * 1024;
  const sender = await RawClient.open(url, 'PUT', '/x?n=2', {headers: {'Content-Length': String(all)}});
  let isTaken = false;
  void sender.writeAll(randomBytes(all)).then(() => {
    isTaken = true;
  });
  const readers = async () => {
    const {readers: all} = (await (await fetch(`${url}/x?status`)).json()) as {
      readers: {name: string; blocking: boolean; bytes: number}[];
    };
    return new Map(all.map((reader) => [reader.name, reader]));
  };
  while (!(await readers()).get('slow')?.blocking) await Bun.sleep(5);
  t.false((await readers()).get('other')?.blocking);
  t.false(isTaken);
  slow.resume();
  await Promise.all([slow, other].map((receiver) => receiver.untilBytes(all)));
  await sender.until('Transfer complete.\n');
});

test('a connection that had a transfer has another one, on either side', async (t) => {
  const {url} = await countedWorld(t);
  const {pathname, host} = new URL(url);
  const head = (method: string, more = '') =>
    `${method} ${pathname}/x HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
  const [receiver, sender] = await Promise.all([RawClient.connect(url), RawClient.connect(url)]);
  const sent = Buffer.alloc(100_000, 'x');
  for (const round of [1, 2]) {
    receiver.write(head('GET'));
    sender.write(head('PUT', `Content-Length: ${sent.length}\r\n`));
    sender.write(sent);
    await receiver.untilBytes(round * sent.length);
    while (sender.text.split('Transfer complete.').length <= round && !sender.isOver) await Bun.sleep(2);
  }
  const heads = receiver.text.match(/HTTP\/1\.1 200/g);
  t.is(heads?.length, 2);
  t.false(receiver.isOver);
});

for (const framing of ['length', 'chunked'] as const) {
  test(`a runtime that dies in the middle cuts a transfer in ${framing}, visibly`, async (t) => {
    const {url, cut} = await countedWorld(t);
    const receiver = await RawClient.open(url, 'GET', '/x');
    const sender = await RawClient.open(url, 'PUT', '/x', {
      headers: framing === 'chunked' ? chunked : {'Content-Length': String(lengthBytes)},
    });
    if (framing === 'chunked') sender.writeChunk('begin');
    else sender.write('begin');
    await receiver.until('begin');
    cut();
    await receiver.untilOver();
    t.false(receiver.isComplete);
    await sender.untilClosed();
    t.pass();
  });
}

/** One receiver, and behind it a sender whose body is kept back. */
async function pair(t: ExecutionContext, runtime: OrderingRuntime, senderHeaders: Record<string, string>) {
  const receiver = await RawClient.open(runtime.url, 'GET', '/x');
  await runtime.until(() => runtime.relayed.size === 1);
  const sender = await RawClient.open(runtime.url, 'PUT', '/x', {headers: senderHeaders});
  await runtime.until(() => runtime.relayed.size === 2);
  const [[to, receiving], [from, sending]] = [...runtime.relayed] as [[number, Exchange], [number, Exchange]];
  t.deepEqual([to, from], [1, 2]);
  const answer = (lengthBytes: number | null) =>
    receiving.respond({status: 200, fields: [], lengthBytes, keepsConnection: true});
  return {receiver, sender, to, from, receiving, sending, answer};
}

test('a body is kept back until an order, also where the sender waits to be told to go on', async (t) => {
  const runtime = await startOrderingRuntime(t);
  const {sender, from, sending} = await pair(t, runtime, {...chunked, Expect: '100-continue'});
  let read = '';
  sending.body.start({
    chunk: (bytes) => {
      read += String(Buffer.from(bytes));
    },
    end: () => sending.respond({status: 200, fields: [], lengthBytes: 0}).end(),
    cut() {},
  });
  await fetch(`${runtime.url.replace(/\/c\/.*/, '')}/other`);
  t.is(sender.text, '');
  runtime.order({order: 'read', from});
  await sender.until('100 Continue');
  sender.writeChunk('hello');
  sender.endChunks();
  await sender.untilOver();
  t.is(read, 'hello');
});

test('a runtime that knows nothing of orders is relayed as ever', async (t) => {
  const runtime = await startOrderingRuntime(t, {answersPumps: false});
  const asking = fetch(`${runtime.url}/x`, {method: 'PUT', body: 'x'.repeat(100_000)});
  await runtime.until(() => runtime.relayed.size === 1);
  const [exchange] = runtime.relayed.values();
  let bytes = 0;
  exchange?.body.start({
    chunk: ({length}) => {
      bytes += length;
    },
    end: () => exchange.respond({status: 204, fields: [], lengthBytes: 0}).end(),
    cut() {},
  });
  t.is((await asking).status, 204);
  t.is(bytes, 100_000);
  t.is(exchange?.head.fields.get(RELAYED_HEADER), undefined);
});

test('what a client says of itself in the header is not believed', async (t) => {
  const runtime = await startOrderingRuntime(t, {answersPumps: false});
  void fetch(`${runtime.url}/x`, {headers: {[RELAYED_HEADER]: '0123456789abcdef.7'}}).catch(() => {});
  await runtime.until(() => runtime.relayed.size === 1);
  t.deepEqual([...runtime.relayed.keys()], [1]);
});

for (const [what, announced, sent, pumped] of [
  ['more than was announced', 5, {'Content-Length': '100000'}, 'x'.repeat(100_000)],
  ['an unknown number where one was announced', 5, chunked, 'x'.repeat(5)],
] as const) {
  test(`an answer never holds ${what}: its rest could be taken for the next one`, async (t) => {
    const runtime = await startOrderingRuntime(t);
    const {receiver, sender, to, from, answer} = await pair(t, runtime, sent);
    answer(announced);
    sender.write(framed(Buffer.from(pumped), 'Transfer-Encoding' in sent));
    runtime.order({order: 'pump', from, to: [to]});
    await runtime.until(() => !runtime.isOpen());
    await receiver.until('\r\n\r\n');
    t.regex(receiver.text, /\r\n\r\n$/);
  });
}

test('what the runtime sends beside a pump does not come behind its bytes', async (t) => {
  const runtime = await startOrderingRuntime(t);
  const sent = 'x'.repeat(100_000);
  const {receiver, sender, to, from, answer} = await pair(t, runtime, {
    'Content-Length': String(sent.length),
  });
  const sink = answer(sent.length);
  runtime.order({order: 'pump', from, to: [to]});
  sender.write(sent.slice(1));
  await receiver.untilBytes(sent.length - 1);
  sink.write(new Frame(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')));
  sender.write('x');
  await runtime.until(() => runtime.news.some(({news}) => news === 'delivered'));
  sink.cut();
  await receiver.untilOver();
  t.is(receiver.body, sent);
});

test('an answer whose end the runtime says before its bytes are there is cut', async (t) => {
  const runtime = await startOrderingRuntime(t);
  const {receiver, sender, to, from, answer} = await pair(t, runtime, {'Content-Length': '100000'});
  const sink = answer(100_000);
  runtime.order({order: 'pump', from, to: [to]});
  sender.write('begin');
  await receiver.until('begin');
  sink.write(new Frame(Buffer.alloc(100_000)));
  sink.end();
  await receiver.untilClosed();
  t.is(receiver.body, 'begin');
});

for (const [what, say] of [
  ['no JSON', 'hello\n'],
  ['no order', '{"order":"dance","from":1}\n'],
  ['a number that is none', '{"order":"read","from":-1}\n'],
  ['a line without end', 'x'.repeat(70_000)],
  ['a pump from a receiver', '{"order":"pump","from":1,"to":[1]}\n'],
  ['a pump of what is read', '{"order":"read","from":2}\n{"order":"pump","from":2,"to":[1]}\n'],
  ['two senders for one', '{"order":"pump","from":2,"to":[1]}\n{"order":"pump","from":2,"to":[1]}\n'],
] as const) {
  test(`a runtime that says ${what} gives no orders any more, and its bodies are read as any other`, async (t) => {
    const runtime = await startOrderingRuntime(t);
    const {sender, sending} = await pair(t, runtime, chunked);
    runtime.say(say);
    await runtime.until(() => !runtime.isOpen());
    const later = await RawClient.open(runtime.url, 'PUT', '/y', {headers: chunked});
    await runtime.until(() => runtime.last() !== sending);
    const exchange = runtime.last();
    exchange?.body.start({
      chunk: () => exchange.respond({status: 204, fields: [], lengthBytes: 0}).end(),
      end() {},
      cut() {},
    });
    later.writeChunk('read');
    if (exchange?.head.fields.has(RELAYED_HEADER)) {
      const number = Number(exchange.head.fields.get(RELAYED_HEADER)?.split('.')[1]);
      runtime.order({order: 'read', from: number});
    }
    await later.untilOver();
    t.is(later.status, 204);
    sending.respond({status: 204, fields: [], lengthBytes: 0}).end();
    await sender.untilOver();
    t.is(sender.status, 204);
  });
}
