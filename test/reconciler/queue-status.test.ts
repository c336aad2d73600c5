import test from 'ava';
import {queueNotices} from '../../cli/queue-notices.ts';
import type {Paint} from '../../cli/terminal.ts';
import {logSlowQueue} from '../../reconciler/queue-status.ts';
import type {QueueStatus} from '../../schemas/queue.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {createReconcilerWorld} from '../helpers/reconciler-world.ts';

const same = (text: string) => text;
const paint: Paint = {red: same, yellow: same, green: same, dim: same, bold: same};
const quiet: QueueStatus = {waiting: 0, longest_wait_ms: 0, working: [], failing: []};

test('a branch that fails is among the failing with its next try, and leaves them when it is in order', async (t) => {
  const world = await createReconcilerWorld(t, {undoWindowMs: 0});
  await world.git.commit('main', {'.hoody/crontab': '0 * * * * true\n'});
  await world.start();
  await world.settle();
  t.regex(world.controller?.metrics() ?? '', /^branchtab_reconciles_total\{outcome="applied"\} 1$/m);
  t.regex(world.controller?.metrics() ?? '', /^branchtab_active_seconds_count 1$/m);
  t.regex(world.controller?.metrics() ?? '', /^branchtab_branches\{state="ready"\} 1$/m);
  await world.fault('cut_git', 'main');
  await world.fault('kill_runtime', 'main');
  await world.advance(100);
  const {failing = []} = world.controller?.queue() ?? {};
  t.like(failing, [{branch: 'main', failures: 1}]);
  t.is(Date.parse(failing[0]?.retry_at ?? ''), world.nowMs() - 100 + 750);
  t.regex(failing[0]?.message ?? '', /repository\.git/);
  t.regex(world.controller?.metrics() ?? '', /^branchtab_queue_failing 1$/m);
  await world.mend();
  await world.advance(20_000);
  t.deepEqual(world.controller?.queue(), quiet);
});

test('a slow queue is said in the log once, and so is its end', async (t) => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const lines: string[] = [];
  const note = (message: string) => void lines.push(message);
  let now = quiet;
  const ended = logSlowQueue(() => now, {
    clock,
    log: {info: note, warn: note, error: note},
    signal: stop.signal,
  }).catch(() => {});
  const work = {key: 'a-1', branch: 'a', for_ms: 61_000, stuck: false};
  await clock.advance(60_000);
  now = {...quiet, waiting: 3, longest_wait_ms: 60_000, working: [work]};
  await clock.advance(120_000);
  t.deepEqual(lines, ['branches wait long for their turn', 'the work on a branch takes long']);
  now = quiet;
  await clock.advance(30_000);
  t.is(lines.at(-1), 'branches wait no longer for their turn');
  stop.abort();
  await ended;
});

test('status says what keeps branches from their turn, and nothing where nothing does', (t) => {
  t.is(queueNotices({...quiet, waiting: 2, longest_wait_ms: 900}, paint), '');
  const work = {key: 'a-1', branch: 'a\u001b[2J', for_ms: 640_000};
  t.is(
    queueNotices(
      {
        waiting: 4,
        longest_wait_ms: 90_000,
        working: [
          {...work, stuck: true},
          {...work, branch: 'b', for_ms: 70_000, stuck: false},
        ],
        failing: [{key: 'c-1', branch: 'c', failures: 3, retry_at: '2026-01-01T00:00:05Z', message: 'no'}],
      },
      paint,
    ),
    [
      'queue 4 branch(es) wait for their turn, one for 90 s.',
      'a\ufffd[2J The work on it hangs for 640 s and does not end; others go on. Start the controller again.',
      'b The work on it takes 70 s by now; it is given up after ten minutes.',
      'c It failed 3 time(s); it is tried again at 2026-01-01T00:00:05Z, others do not wait for it.',
      '',
    ].join('\n'),
  );
});
