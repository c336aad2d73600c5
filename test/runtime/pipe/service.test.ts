import test from 'ava';
import fc from 'fast-check';
import type {JoinOptions, SendOptions} from '../../../runtime/pipe/parties.ts';
import {openPipe} from '../../../runtime/pipe/service.ts';
import type {ByteSink, ByteSource, Frame, SourceReader} from '../../../runtime/platform/byte-flow.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';
import {fuzz} from '../../helpers/fuzz.ts';

/** A sender's connection: what the pump has not asked for stays here. */
class MemorySource implements ByteSource {
  reader: SourceReader | null = null;
  isPaused = false;
  #waiting: (() => void)[] = [];

  start(reader: SourceReader): void {
    this.reader = reader;
    this.#flow();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.#flow();
  }

  bring(what: (reader: SourceReader) => void): void {
    this.#waiting.push(() => this.reader !== null && what(this.reader));
    this.#flow();
  }

  #flow(): void {
    while (this.reader !== null && !this.isPaused) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next();
    }
  }
}

/** A receiver's connection with room for `roomBytes` more. */
class MemorySink implements ByteSink {
  taken = '';
  #pending = '';
  end_: 'end' | 'cut' | null = null;
  mostPending = 0;
  isStalled = false;
  #listener: () => void = () => {};

  get pendingBytes(): number {
    return this.#pending.length;
  }

  write({payload}: Frame): boolean {
    const text = Buffer.from(payload).toString('latin1');
    if (!this.isStalled) {
      this.taken += text;
      return true;
    }
    this.#pending += text;
    this.mostPending = Math.max(this.mostPending, this.#pending.length);
    return false;
  }

  end(): void {
    this.end_ ??= 'end';
  }

  cut(): void {
    this.end_ ??= 'cut';
  }

  onDrained(listener: () => void): void {
    this.#listener = listener;
  }

  go(): void {
    this.isStalled = false;
    this.taken += this.#pending;
    this.#pending = '';
    this.#listener();
  }
}

const join: JoinOptions = {
  terms: {receivers: {min: 1, max: 1}, isLive: false},
  key: null,
  waitMs: 300_000,
  sha256: false,
};
const send: SendOptions = {
  ...join,
  transferId: null,
  bytesPerSecond: null,
  slow: 'wait',
  idleMs: 300_000,
  heartbeatMs: null,
  receipts: false,
};

function setup() {
  const clock = new FakeClock();
  const pipe = openPipe({clock, randomId: () => crypto.randomUUID()});
  const receiver = (options: Partial<JoinOptions> = {}, label: string | null = null) => {
    const sink = new MemorySink();
    let began = false;
    const refusals: string[] = [];
    const place = pipe.receive(
      'x',
      {
        label,
        begin: () => {
          began = true;
          return sink;
        },
        refuse: (error) => void refusals.push(error.code),
      },
      {...join, ...options},
    );
    return {sink, place, refusals, hasBegun: () => began};
  };
  const sender = (options: Partial<SendOptions> = {}, boundary: string | null = null) => {
    const source = new MemorySource();
    const log: string[] = [];
    let isClosed = false;
    const place = pipe.send(
      'x',
      {
        source,
        boundary,
        metadata: {contentType: null, contentDisposition: null, lengthBytes: null, notes: new Map()},
        accept() {},
        say: ({message}) => void log.push(message),
        close() {
          isClosed = true;
        },
      },
      {...send, ...options},
    );
    return {
      source,
      log,
      place,
      isClosed: () => isClosed,
      chunk: (text: string) => source.bring((reader) => reader.chunk(Buffer.from(text, 'latin1'))),
      end: () => source.bring((reader) => reader.end()),
      cut: () => source.bring((reader) => reader.cut()),
    };
  };
  return {clock, pipe, receiver, sender};
}

const of = (n: number) => ({terms: {receivers: {min: n, max: n}, isLive: false}});

test('a sender that stalls for idle seconds is told 60 s before, and then the transfer ends', async (t) => {
  const {clock, receiver, sender} = setup();
  const to = receiver();
  const from = sender();
  from.chunk('a');
  await clock.advance(239_000);
  t.false(from.log.some((line) => line.includes('ends in')));
  await clock.advance(3000);
  t.true(
    from.log.some((line) => line.includes('ends in 60 s')),
    from.log.join('\n'),
  );
  t.is(to.sink.end_, null);
  await clock.advance(60_000);
  t.is(to.sink.end_, 'cut');
  t.is(from.log.at(-1), 'Transfer failed: nothing moved for too long.');
  t.true(from.isClosed());
});

test('S84: with idle= a pause of four hours is borne, and the transfer goes on', async (t) => {
  const {clock, receiver, sender} = setup();
  const to = receiver();
  const from = sender({idleMs: 4 * 3_600_000});
  from.chunk('before ');
  await clock.advance(3.9 * 3_600_000);
  from.chunk('after');
  from.end();
  t.is(to.sink.taken, 'before after');
  t.is(from.log.at(-1), 'Transfer complete.');
});

test('S82: one stalled receiver stops the sender, and what waits is one piece', (t) => {
  const {receiver, sender} = setup();
  const fast = receiver(of(2));
  const slow = receiver(of(2));
  const from = sender(of(2));
  slow.sink.isStalled = true;
  for (const text of ['one', 'two', 'three']) from.chunk(text);
  t.true(from.source.isPaused);
  t.is(fast.sink.taken, 'one');
  t.is(slow.sink.mostPending, 3);
  slow.sink.go();
  from.end();
  t.is(fast.sink.taken, 'onetwothree');
  t.is(slow.sink.taken, 'onetwothree');
});

test('slow=drop lets a receiver go that takes nothing, and the others get everything', async (t) => {
  const {clock, receiver, sender} = setup();
  const fast = receiver(of(2));
  const slow = receiver(of(2), 'alice');
  const from = sender({...of(2), slow: 'drop', receipts: true});
  slow.sink.isStalled = true;
  from.chunk('one');
  from.chunk('two');
  from.end();
  await clock.advance(12_000);
  t.is(slow.sink.end_, 'cut');
  t.is(fast.sink.taken, 'onetwo');
  t.is(fast.sink.end_, 'end');
  t.true(from.log.includes('A receiver disconnected.'));
  t.regex(from.log.at(-3) ?? '', /^Receiver 1 \(alice\): 0 bytes in 1\d\.\d\d s, then it left\.$/);
  t.is(from.log.at(-1), 'Transfer complete.');
});

test('with slow=wait a receiver that takes nothing is waited for, and status says who blocks', async (t) => {
  const {clock, pipe, receiver, sender} = setup();
  receiver(of(2), 'bob');
  const slow = receiver(of(2), 'alice');
  const from = sender(of(2));
  slow.sink.isStalled = true;
  from.chunk('one');
  await clock.advance(60_000);
  t.is(slow.sink.end_, null);
  t.deepEqual(
    pipe.status('x', null, null).readers.map(({name, blocking}) => [name, blocking]),
    [
      ['bob', false],
      ['alice', true],
    ],
  );
});

test('rate= lets so many bytes a second through and says the rate that was measured', async (t) => {
  const {clock, receiver, sender} = setup();
  const to = receiver();
  const from = sender({bytesPerSecond: 50 * 1024});
  from.chunk('x'.repeat(200 * 1024));
  from.end();
  await clock.advance(2000);
  t.true(Math.abs(to.sink.taken.length - 100 * 1024) < 6 * 1024, String(to.sink.taken.length));
  t.true(
    from.log.some((line) => /^Streaming to 1 receiver\(s\) at (?:49|5[0-3])\.\d KB\/s$/.test(line)),
    from.log.join('\n'),
  );
  await clock.advance(2100);
  t.is(to.sink.taken.length, 200 * 1024);
  t.is(from.log.at(-1), 'Transfer complete.');
});

test('heartbeat= writes a line while the sender waits, and none without it', async (t) => {
  const {clock, sender} = setup();
  const from = sender({heartbeatMs: 15_000, ...of(3)});
  await clock.advance(46_000);
  t.is(from.log.filter((line) => line.startsWith('Still waiting, 0 of 3')).length, 3);
});

test('n=2-8 starts with the two that are there when the wait of the sender ends', async (t) => {
  const {clock, receiver, sender} = setup();
  const range = {terms: {receivers: {min: 2, max: 8}, isLive: false}};
  const receivers = [receiver(range), receiver(range)];
  const from = sender({...range, waitMs: 5000});
  from.chunk('to two');
  from.end();
  await clock.advance(4900);
  t.false(receivers.some(({hasBegun}) => hasBegun()));
  await clock.advance(200);
  t.deepEqual(
    receivers.map(({sink}) => sink.taken),
    ['to two', 'to two'],
  );
  t.is(from.log.at(-1), 'Transfer complete.');
});

test('S81: a receiver waits 300 s for a sender and is told 408', async (t) => {
  const {clock, pipe, receiver} = setup();
  const to = receiver();
  await clock.advance(299_900);
  t.deepEqual(to.refusals, []);
  await clock.advance(200);
  t.deepEqual(to.refusals, ['PIPE_TIMED_OUT']);
  t.is(pipe.status('x', null, null).state, 'idle');
});

test('a sender reads that a receiver has left while it waits, and which one', async (t) => {
  const {clock, receiver, sender} = setup();
  const early = receiver(of(3), 'ada');
  const from = sender(of(3));
  receiver({...of(3), waitMs: 1000}, 'bob');
  early.place.left();
  await clock.advance(1100);
  t.deepEqual(from.log.slice(-3), [
    'A receiver was connected (2 of 3).',
    'A receiver disconnected.',
    'A receiver disconnected.',
  ]);
});

test('a key keeps others from the name, from its progress and from its status', (t) => {
  const {pipe, receiver, sender} = setup();
  receiver({key: 'secret'});
  for (const key of [null, 'Secret', 'secre'])
    t.throws(() => sender({key}), {code: 'PIPE_KEY_WRONG'}, String(key));
  t.throws(() => pipe.status('x', null, null), {code: 'PIPE_KEY_WRONG'});
  t.throws(() => pipe.watch('x', 'guess', () => {}), {code: 'PIPE_KEY_WRONG'});
  t.notThrows(() => sender({key: 'secret'}));
});

test('a thousand names may wait, and the next one is refused', (t) => {
  const {pipe} = setup();
  const receiver = {label: null, begin: () => new MemorySink(), refuse() {}};
  for (let index = 0; index < 1000; index += 1) pipe.receive(`name-${index}`, receiver, join);
  t.throws(() => pipe.receive('one more', receiver, join), {code: 'PIPE_CAPACITY'});
});

test('a thousand transfers may run, and the next one is refused on both sides', (t) => {
  const {pipe} = setup();
  const refused: string[] = [];
  const log: string[] = [];
  const sender = () => ({
    source: new MemorySource(),
    boundary: null,
    metadata: {contentType: null, contentDisposition: null, lengthBytes: null, notes: new Map()},
    accept() {},
    say: ({message}: {message: string}) => void log.push(message),
    close() {},
  });
  const receiver = {
    label: null,
    begin: () => new MemorySink(),
    refuse: ({code}: {code: string}) => void refused.push(code),
  };
  for (let index = 0; index <= 1000; index += 1) {
    pipe.receive(`name-${index}`, receiver, join);
    pipe.send(`name-${index}`, sender(), send);
  }
  t.deepEqual(refused, ['PIPE_CAPACITY']);
  t.is(log.at(-1), 'Server at maximum active transfer capacity.');
  t.is(pipe.status('name-1000', null, null).state, 'idle');
});

test('fifty may watch a name, and the next one is refused', (t) => {
  const {pipe} = setup();
  const stops = Array.from({length: 50}, () => pipe.watch('x', null, () => {}));
  t.throws(() => pipe.watch('x', null, () => {}), {code: 'PIPE_CAPACITY'});
  stops[0]?.();
  t.notThrows(() => pipe.watch('x', null, () => {}));
});

test('five hundred names may be watched, and the next one is refused', (t) => {
  const {pipe} = setup();
  const stops = Array.from({length: 500}, (_, index) => pipe.watch(`name-${index}`, null, () => {}));
  t.throws(() => pipe.watch('one-more', null, () => {}), {code: 'PIPE_CAPACITY'});
  t.notThrows(() => pipe.watch('name-7', null, () => {}));
  stops[0]?.();
  t.notThrows(() => pipe.watch('one-more', null, () => {}));
});

test('a live stream has 256 viewers, and the next one is refused', (t) => {
  const {receiver, sender} = setup();
  const live = {terms: {receivers: {min: 1, max: 1}, isLive: true}};
  const from = sender(live);
  const viewers = Array.from({length: 256}, () => receiver(live));
  t.throws(() => receiver(live), {code: 'PIPE_CAPACITY'});
  viewers[0]?.place.left();
  const last = receiver(live);
  from.chunk('on air');
  t.is(last.sink.taken, 'on air');
});

test('a transfer id is known for ten minutes after its end, and only on its name', async (t) => {
  const {clock, pipe, receiver, sender} = setup();
  receiver();
  const from = sender({transferId: 'my-own-transfer-id', sha256: true});
  from.chunk('abc');
  t.throws(() => sender({transferId: 'my-own-transfer-id'}), {code: 'PIPE_TRANSFER_ID_IN_USE'});
  from.end();
  t.like(pipe.status('x', null, 'my-own-transfer-id'), {
    state: 'complete',
    bytesTransferred: 3,
    sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  });
  t.throws(() => pipe.status('y', null, 'my-own-transfer-id'), {code: 'PIPE_TRANSFER_UNKNOWN'});
  await clock.advance(600_000);
  t.throws(() => pipe.status('x', null, 'my-own-transfer-id'), {code: 'PIPE_TRANSFER_UNKNOWN'});
});

test('stopping ends who waits, lets a running transfer finish, and takes nobody more', async (t) => {
  const {clock, pipe, receiver, sender} = setup();
  const to = receiver();
  const from = sender();
  const waiting = {label: null, begin: () => new MemorySink(), refuse: () => void refused.push('refused')};
  const refused: string[] = [];
  pipe.receive('other', waiting, join);
  const stopped = pipe.stop({graceMs: 30_000});
  t.deepEqual(refused, ['refused']);
  t.throws(() => pipe.receive('new', waiting, join), {code: 'SHUTTING_DOWN'});
  await clock.advance(5000);
  from.chunk('still here');
  from.end();
  await stopped;
  t.is(to.sink.taken, 'still here');
  t.is(from.log.at(-1), 'Transfer complete.');
});

test('after the grace a running transfer is cut, and its sender is told why', async (t) => {
  const {clock, pipe, receiver, sender} = setup();
  const to = receiver();
  const from = sender();
  from.chunk('a');
  const stopped = pipe.stop({graceMs: 1000});
  await clock.advance(1100);
  await stopped;
  t.is(to.sink.end_, 'cut');
  t.is(from.log.at(-1), 'Transfer failed: the server is stopping.');
});

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('bring' as const),
        text: fc.string({minLength: 1, maxLength: 5}).map((text) => text.replace(/[^ -~]/g, '.')),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constantFrom('end' as const, 'cut' as const, 'sender_leaves' as const, 'second' as const),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constantFrom('stall' as const, 'go' as const, 'leave' as const),
        receiver: fc.nat({max: 3}),
      }),
    },
  ),
  {maxLength: 25},
);

test('S82 S88: the bytes reach every receiver that stays, in order and once, or the transfer is marked failed', async (t) => {
  await fuzz(
    t,
    fc.asyncProperty(fc.integer({min: 1, max: 4}), fc.nat({max: 4}), steps, async (n, early, list) => {
      const {clock, pipe, receiver, sender} = setup();
      const come = (count: number) => Array.from({length: count}, () => receiver(of(n)));
      const before = come(Math.min(early, n));
      const from = sender({...of(n), transferId: 'the-transfer-itself', idleMs: 20_000});
      const receivers = [...before, ...come(n - before.length)];
      const left = new Set<number>();
      let brought = '';
      let isEnded = false;
      for (const step of list) {
        const target = 'receiver' in step ? receivers[step.receiver] : undefined;
        if (step.type === 'bring' && !isEnded) {
          brought += step.text;
          from.chunk(step.text);
        } else if ((step.type === 'end' || step.type === 'cut') && !isEnded) {
          isEnded = true;
          from[step.type]();
        } else if (step.type === 'sender_leaves') from.place.left();
        else if (step.type === 'stall' && target !== undefined) target.sink.isStalled = true;
        else if (step.type === 'go') target?.sink.go();
        else if (step.type === 'leave' && 'receiver' in step && target !== undefined) {
          left.add(step.receiver);
          target.place.left();
        } else if (step.type === 'second') await clock.advance(1000);
      }
      for (const {sink} of receivers) sink.go();
      // Whatever still hangs is ended by the idle limit.
      await clock.advance(22_000);
      const final = pipe.status('x', null, 'the-transfer-itself');
      if (pipe.status('x', null, null).state !== 'idle') throw new Error('the name is not free');
      if (!from.isClosed()) throw new Error('the sender was not told the end');
      const isComplete = from.log.at(-1) === 'Transfer complete.';
      if (isComplete !== (final.state === 'complete')) throw new Error(`${final.state}: ${from.log.at(-1)}`);
      for (const [index, {sink}] of receivers.entries()) {
        if (!brought.startsWith(sink.taken)) throw new Error(`${sink.taken} is no part of ${brought}`);
        if (left.has(index)) continue;
        if (isComplete ? sink.end_ !== 'end' || sink.taken !== brought : sink.end_ !== 'cut')
          throw new Error(`${final.state}, but a receiver has ${sink.taken} of ${brought} and ${sink.end_}`);
      }
    }),
    {runs: 500},
  );
});
