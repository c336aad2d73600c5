import test from 'ava';
import {createQueue} from '../../reconciler/queue.ts';
import {FakeClock} from '../helpers/fake-clock.ts';

function setup(concurrency = 1) {
  const clock = new FakeClock();
  const started: string[] = [];
  const aborted: string[] = [];
  const finishers = new Map<string, () => void>();
  const queue = createQueue({
    clock,
    concurrency,
    work: (key, signal) =>
      new Promise((resolve) => {
        started.push(key);
        finishers.set(key, resolve);
        signal.addEventListener('abort', () => {
          aborted.push(key);
          resolve();
        });
      }),
  });
  const finish = async (key: string) => {
    finishers.get(key)?.();
    await clock.advance(0);
  };
  return {clock, queue, started, aborted, finish};
}

test('a key that waits is one item however often it is added', async (t) => {
  const {queue, started, finish} = setup();
  queue.add('busy');
  queue.add('a');
  queue.add('a');
  await finish('busy');
  await finish('a');
  t.deepEqual(started, ['busy', 'a']);
  t.is(queue.size, 0);
});

test('a key added while it is worked on is worked on once more', async (t) => {
  const {queue, started, finish} = setup();
  queue.add('a');
  queue.add('a');
  queue.add('a');
  await finish('a');
  await finish('a');
  t.deepEqual(started, ['a', 'a']);
});

test('the same key is never worked on twice at the same time', async (t) => {
  const {queue, started} = setup(4);
  queue.add('a');
  queue.add('a');
  queue.add('b');
  t.deepEqual(started, ['a', 'b']);
});

test('urgent keys go before what waits', async (t) => {
  const {queue, started, finish} = setup();
  queue.add('busy');
  queue.add('a');
  queue.add('live', {first: true});
  await finish('busy');
  t.deepEqual(started, ['busy', 'live']);
});

test('what is only looked at again goes after what waits, and is not put back by that', async (t) => {
  const {queue, started, finish} = setup();
  queue.add('busy');
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key, {last: true});
  t.is(queue.size, 5);
  queue.add('changed');
  queue.add('changed', {last: true});
  queue.add('c');
  queue.add('d', {first: true});
  t.is(queue.report().waiting, 5);
  for (const key of ['busy', 'd', 'changed', 'c', 'a', 'b']) await finish(key);
  t.deepEqual(started, ['busy', 'd', 'changed', 'c', 'a', 'b']);
  t.is(queue.size, 0);
});

test('a delayed key comes when its time has come, and only its newest delay counts', async (t) => {
  const {clock, queue, started} = setup();
  queue.addAfter('a', 1000);
  queue.addAfter('a', 5000);
  await clock.advance(4999);
  t.deepEqual(started, []);
  await clock.advance(1);
  t.deepEqual(started, ['a']);
});

test('adding a key replaces its delay', async (t) => {
  const {clock, queue, started, finish} = setup();
  queue.addAfter('a', 1000);
  queue.add('a');
  await finish('a');
  await clock.advance(2000);
  t.deepEqual(started, ['a']);
});

test('cancel aborts the work in hand', async (t) => {
  const {clock, queue, aborted} = setup();
  queue.add('a');
  queue.cancel('a', new Error('newer'));
  await clock.advance(0);
  t.deepEqual(aborted, ['a']);
});

test('close aborts, drops what waits and ends', async (t) => {
  const {queue, started, aborted} = setup();
  queue.add('a');
  queue.add('b');
  queue.addAfter('c', 10);
  await queue.close();
  queue.add('d');
  t.deepEqual(started, ['a']);
  t.deepEqual(aborted, ['a']);
});

test('work that takes too long is told to end, and one that does not end loses its place', async (t) => {
  const clock = new FakeClock();
  const reasons: unknown[] = [];
  const stuck: string[] = [];
  const started: string[] = [];
  const hanging = Promise.withResolvers<void>();
  const queue = createQueue({
    clock,
    concurrency: 1,
    onStuck: (key) => stuck.push(key),
    async work(key, signal) {
      started.push(key);
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      if (key === 'hangs') await hanging.promise;
    },
  });
  queue.add('hangs');
  queue.add('next');
  await clock.advance(10 * 60_000 - 1);
  t.deepEqual(reasons, []);
  t.like(queue.report(), {waiting: 1, longestWaitMs: 599_999, working: [{key: 'hangs', stuck: false}]});
  await clock.advance(1);
  t.like(reasons, [{code: 'BACKEND_ERROR'}]);
  t.deepEqual(started, ['hangs']);
  await clock.advance(30_000);
  t.deepEqual(stuck, ['hangs']);
  t.deepEqual(started, ['hangs', 'next']);
  t.like(queue.report(), {waiting: 0, working: [{key: 'hangs', forMs: 630_000, stuck: true}]});
  // Nobody works on it twice at the same time.
  queue.add('hangs');
  await clock.advance(1000);
  t.deepEqual(started, ['hangs', 'next']);
  await queue.idle();
  hanging.resolve();
  await clock.advance(0);
  t.deepEqual(started, ['hangs', 'next', 'hangs']);
  await queue.close();
});

test('the report tells since when keys wait and when others come back', async (t) => {
  const {clock, queue, finish} = setup();
  queue.add('busy');
  queue.add('a');
  queue.addAfter('later', 5000);
  queue.addAfter('soon', 3000);
  await clock.advance(1000);
  queue.add('a', {first: true});
  const dueMs = (ms: number) => clock.now() + ms - 1000;
  t.deepEqual(queue.report(), {
    waiting: 1,
    longestWaitMs: 1000,
    working: [{key: 'busy', forMs: 1000, stuck: false}],
    delayed: [
      {key: 'soon', dueMs: dueMs(3000)},
      {key: 'later', dueMs: dueMs(5000)},
    ],
  });
  await finish('busy');
  await finish('a');
  t.like(queue.report(), {waiting: 0, longestWaitMs: 0, working: []});
});
