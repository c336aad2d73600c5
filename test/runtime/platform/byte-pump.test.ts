import {createHash, randomBytes} from 'node:crypto';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import {type Duct, openDuct} from '../../../runtime/platform/byte-duct.ts';
import {createPump, type Pump} from '../../../runtime/platform/byte-pump.ts';
import {type Exchange, serveExchanges} from '../../../runtime/platform/http-exchange.ts';
import {fuzz} from '../../helpers/fuzz.ts';
import type {Teardown} from '../../helpers/git-world.ts';
import {RawClient} from '../../helpers/pipe-world.ts';

const program = fileURLToPath(new URL('../../../runtime/start.ts', import.meta.url));
const duct = openDuct({program});
const helpedDuct = openDuct({program, fromBytes: 0});
const onLinux = duct === null ? test.skip : test;

/** One sender's connection and those of its receivers, with a pump between them that counts what passes it by. */
async function startPump(
  t: Teardown,
  {n, bytes, through = duct}: {n: number; bytes: number; through?: Duct | null},
) {
  const counts = {seen: 0, unseen: 0};
  const arrived = Promise.withResolvers<Pump>();
  const over = Promise.withResolvers<'delivered' | 'cut'>();
  const waiting: Exchange[] = [];

  function start({body}: Exchange): Pump {
    const sinks = waiting.map(({respond}) => respond({status: 200, fields: [], lengthBytes: bytes}));
    const pump = createPump(
      body,
      {
        onBytes: ({length}) => {
          counts.seen += length;
        },
        onUploaded() {},
        onDelivered() {
          for (const sink of sinks) sink.end();
          over.resolve('delivered');
        },
        onCut() {
          for (const sink of sinks) sink.cut();
          over.resolve('cut');
        },
      },
      () =>
        through && {
          ...through,
          move(...parameters) {
            const moved = through.move(...parameters);
            counts.unseen += moved;
            return moved;
          },
        },
    );
    for (const [index, sink] of sinks.entries()) {
      pump.add(sink);
      waiting[index]?.onLeft(() => pump.remove(sink));
    }
    pump.start();
    return pump;
  }

  const server = await serveExchanges(
    {kind: 'tcp', host: '127.0.0.1', port: 0},
    {
      handle(exchange) {
        if (exchange.head.method === 'PUT') arrived.resolve(start(exchange));
        else waiting.push(exchange);
        if (waiting.length === n) joined.resolve();
      },
      refuse: (error) => over.reject(error),
    },
  );
  const joined = Promise.withResolvers<void>();
  t.teardown(() => server.close({graceMs: 0}));
  const receivers = await Promise.all(Array.from({length: n}, () => RawClient.open(server.url, 'GET', '/')));
  await joined.promise;
  const sender = await RawClient.open(server.url, 'PUT', '/', {headers: {'Content-Length': String(bytes)}});
  return {counts, sender, receivers, pump: await arrived.promise, over: over.promise};
}

function bodyOf(client: RawClient): Buffer {
  const {bytes} = client;
  return bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);
}

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

onLinux('most bytes of a fast sender pass us by, and each receiver has all of them', async (t) => {
  const content = randomBytes(24_000_001);
  const {counts, sender, receivers, pump, over} = await startPump(t, {n: 3, bytes: content.length});
  sender.write(content);
  t.is(await over, 'delivered');
  for (const receiver of receivers) await receiver.untilClosed();
  for (const receiver of receivers) t.is(hashOf(bodyOf(receiver)), hashOf(content));
  t.is(counts.seen + counts.unseen, content.length);
  t.is(pump.bytes, content.length);
  t.true(counts.unseen > content.length / 2, JSON.stringify(counts));
});

onLinux('who reads nothing stops the sender, and has all in the end', async (t) => {
  const content = randomBytes(32_000_000);
  const {counts, sender, receivers, pump, over} = await startPump(t, {n: 2, bytes: content.length});
  const [stalled, reading] = receivers;
  stalled?.pause();
  sender.write(content);
  while (!pump.isStalled) await Bun.sleep(5);
  const moved = pump.bytes;
  await Bun.sleep(100);
  t.is(pump.bytes, moved);
  t.true(moved < content.length);
  t.true(counts.unseen > 0);
  stalled?.resume();
  t.is(await over, 'delivered');
  for (const receiver of [stalled, reading]) {
    await receiver?.untilClosed();
    t.is(receiver && hashOf(bodyOf(receiver)), hashOf(content));
  }
});

onLinux('a receiver that leaves takes nothing from the others', async (t) => {
  const content = randomBytes(24_000_000);
  const {counts, sender, receivers, over} = await startPump(t, {n: 3, bytes: content.length});
  const [leaving, ...staying] = receivers;
  sender.write(content.subarray(0, 12_000_000));
  await leaving?.untilBytes(10_000_000);
  leaving?.leave();
  sender.write(content.subarray(12_000_000));
  t.is(await over, 'delivered');
  for (const receiver of staying) {
    await receiver.untilClosed();
    t.is(hashOf(bodyOf(receiver)), hashOf(content));
  }
  t.true(counts.unseen > 0);
});

onLinux('a sender that breaks off is never a clean end', async (t) => {
  const content = randomBytes(20_000_000);
  const {counts, sender, receivers, over} = await startPump(t, {n: 2, bytes: content.length + 1});
  sender.write(content);
  await receivers[0]?.untilBytes(8_000_000);
  sender.leave();
  t.is(await over, 'cut');
  for (const receiver of receivers) {
    await receiver.untilClosed();
    t.false(receiver.isComplete);
    const got = bodyOf(receiver);
    t.true(content.subarray(0, got.length).equals(got));
  }
  t.true(counts.unseen > 0);
});

onLinux('what comes after the announced length is passed on to nobody', async (t) => {
  const content = randomBytes(8_000_000);
  const {counts, sender, receivers, over} = await startPump(t, {n: 2, bytes: content.length});
  sender.write(Buffer.concat([content, randomBytes(3_000_000)]));
  t.is(await over, 'delivered');
  for (const receiver of receivers) {
    await receiver.untilClosed();
    t.is(hashOf(bodyOf(receiver)), hashOf(content));
  }
  t.is(counts.seen + counts.unseen, content.length);
  t.true(counts.unseen > 0);
});

test('where bytes are lost on the way the transfer breaks off', async (t) => {
  const through: Duct = {
    widen() {},
    move() {
      throw new Error('lost');
    },
  };
  const {sender, receivers, over} = await startPump(t, {n: 2, bytes: 8_000_000, through});
  sender.write(randomBytes(8_000_000));
  t.is(await over, 'cut');
  for (const receiver of receivers) {
    await receiver.untilClosed();
    t.false(receiver.isComplete);
  }
});

for (const {n, through, who} of [
  {n: 3, through: duct, who: 'one thread'},
  {n: 7, through: helpedDuct, who: 'two threads'},
])
  onLinux(`by ${who}: whatever the sizes and whoever pauses, bytes stay whole and in order`, async (t) => {
    const stall = fc.record({receiver: fc.nat(n - 1), atBytes: fc.nat(6_000_000), ms: fc.nat(15)});
    const pieces = fc.array(fc.integer({min: 1, max: 3_000_000}), {minLength: 1, maxLength: 5});
    await fuzz(
      t,
      fc.asyncProperty(pieces, fc.array(stall, {maxLength: 4}), async (sizes, stalls) => {
        const content = randomBytes(sizes.reduce((sum, size) => sum + size, 0));
        const {counts, sender, receivers, over} = await startPump(t, {n, through, bytes: content.length});
        const stalling = stalls.map(async ({receiver, atBytes, ms}) => {
          const client = receivers[receiver];
          await client?.untilBytes(Math.min(atBytes, content.length));
          client?.pause();
          await Bun.sleep(ms);
          client?.resume();
        });
        let at = 0;
        for (const size of sizes) {
          sender.write(content.subarray(at, at + size));
          at += size;
          await Bun.sleep(1);
        }
        t.is(await over, 'delivered');
        await Promise.all(stalling);
        for (const receiver of receivers) {
          await receiver.untilClosed();
          t.true(bodyOf(receiver).equals(content));
        }
        t.is(counts.seen + counts.unseen, content.length);
      }),
      {runs: 15},
    );
  });
