import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import type {Call} from '../../runtime/exec/call.ts';
import {frameKinds} from '../../runtime/exec/call-frames.ts';
import {connectHost} from '../../runtime/exec/host-link.ts';
import {awaitFrames, maxPayloadBytes} from '../../runtime/platform/frame-socket.ts';
import {fuzz} from '../helpers/fuzz.ts';

const headerBytes = 9;

test('frames are read the same in whatever pieces they come', async (t) => {
  const frame = fc.record({
    kind: fc.nat({max: 255}),
    channel: fc.nat(),
    payload: fc.uint8Array({maxLength: 40}),
  });
  await fuzz(
    t,
    fc.asyncProperty(
      fc.array(frame, {maxLength: 6}),
      fc.array(fc.nat({max: 300}), {maxLength: 6}),
      async (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(encode));
        const seen = await readBack(pathIn(t), bytes, cuts);
        const sent = frames.map(({kind, channel, payload}) => [
          kind,
          channel,
          Buffer.from(payload).toString('hex'),
        ]);
        if (JSON.stringify(seen) !== JSON.stringify(sent)) throw new Error(JSON.stringify(seen));
      },
    ),
    {runs: 150},
  );
});

test('whatever a host says, its exchange ends and the runtime goes on', async (t) => {
  const head = fc.constantFrom(
    '{"status":200,"headers":["a","b"],"failed":false}',
    '{"status":200,"headers":["content-length","3"],"failed":false}',
    '{"status":"200","headers":[],"failed":false}',
    '{"status":200}',
    'null',
    '{',
    '',
  );
  const frame = fc.record({
    kind: fc.constantFrom(...Object.values(frameKinds), 0, 99),
    channel: fc.constantFrom(1, 1, 1, 2),
    payload: fc.oneof(
      head.map((text) => Buffer.from(text)),
      head.map((text) => Buffer.from(`${text}\nbody`)),
      fc.uint8Array({maxLength: 8}).map((bytes) => Buffer.from(bytes)),
    ),
  });
  const outcomes = new Set<string>();
  await fuzz(
    t,
    fc.asyncProperty(fc.array(frame, {maxLength: 6}), async (frames) => {
      outcomes.add(await askHost(pathIn(t), Buffer.concat(frames.map(encode))));
    }),
    {runs: 300},
  );
  t.deepEqual([...outcomes].toSorted(), ['answered', 'failed']);
});

test('a frame that is too long ends the connection', async (t) => {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(maxPayloadBytes + 1);
  header[4] = frameKinds.answer;
  t.is(await askHost(pathIn(t), header), 'failed');
});

let paths = 0;
function pathIn(t: ExecutionContext): string {
  paths += 1;
  const directory = mkdtempSync(join(tmpdir(), 'bt-frames-'));
  t.teardown(() => rmSync(directory, {recursive: true, force: true}));
  return join(directory, `${paths}.sock`);
}

function encode({kind, channel, payload}: {kind: number; channel: number; payload: Uint8Array}): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(payload.length);
  header[4] = kind;
  header.writeUInt32LE(channel, 5);
  return Buffer.concat([header, payload]);
}

async function readBack(path: string, bytes: Buffer, cuts: readonly number[]): Promise<unknown[]> {
  const seen: unknown[] = [];
  const closed = Promise.withResolvers<void>();
  awaitFrames(path, () => ({
    frame: (kind, channel, payload) => seen.push([kind, channel, payload.toString('hex')]),
    closed: closed.resolve,
  }));
  const socket = await Bun.connect({unix: path, socket: {data() {}}});
  const at = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length];
  for (const [index, end] of at.slice(1).entries()) {
    socket.write(bytes.subarray(at[index], end));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  await closed.promise;
  return seen;
}

/** What comes of a call to a host that answers with these bytes and then ends. */
async function askHost(path: string, bytes: Buffer): Promise<'answered' | 'failed'> {
  const listener = Bun.listen({
    unix: path,
    socket: {
      data(socket) {
        socket.write(bytes);
        socket.end();
      },
    },
  });
  const link = await connectHost(path);
  const outcome = Promise.withResolvers<'answered' | 'failed'>();
  link.exchange(
    {call, method: 'GET', headers: [], hasBody: false},
    {
      head() {},
      body() {},
      end: () => outcome.resolve('answered'),
      breakOff: () => outcome.resolve('failed'),
      fail: () => outcome.resolve('failed'),
      drain() {},
    },
  );
  const ended = await outcome.promise;
  link.close();
  listener.stop(true);
  return ended;
}

const call: Call = {
  executionId: 'x',
  slot: 0,
  script: {file: 'a.ts', compiled: null},
  pre: null,
  post: null,
  parameters: {},
  target: '/a',
  clientIp: '',
  rawBody: false,
  awaitsPromises: true,
  environmentFiles: [],
};
