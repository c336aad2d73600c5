import test from 'ava';
import {conditions, reconcilingConditions, withHistory} from '../../reconciler/status.ts';

const firstMs = Date.parse('2026-01-01T00:00:00Z');
const laterMs = Date.parse('2026-01-01T01:00:00Z');
const revision = 'a'.repeat(40);

test('an applied commit is ready, and nothing else', (t) => {
  const result = conditions({kind: 'synced', revision, drift: false, held: 0, rollback: null}, [], firstMs);
  t.deepEqual(
    result.map(({type, status, reason}) => [type, status, reason]),
    [
      ['Ready', 'True', 'applied'],
      ['Reconciling', 'False', 'idle'],
      ['Stalled', 'False', 'none'],
    ],
  );
});

test('an invalid commit is stalled with its issues and says what stays active', (t) => {
  const issue = {
    file: '.hoody/crontab',
    line: 3,
    column: 1,
    code: 'schedule_invalid',
    message: 'The hour 25 is not one of 0 to 23.',
  };
  const [ready, , stalled] = conditions(
    {kind: 'invalid', revision, issues: [issue], serving: 'b'.repeat(40)},
    [],
    firstMs,
  );
  t.is(stalled?.status, 'True');
  t.deepEqual(stalled?.issues, [issue]);
  t.is(ready?.status, 'False');
  t.is(ready?.message, '.hoody/crontab:3:1 The hour 25 is not one of 0 to 23. Commit bbbbbbbb stays active.');
});

test('a transition time moves only when the status does', (t) => {
  const before = conditions({kind: 'synced', revision, drift: false, held: 0, rollback: null}, [], firstMs);
  const same = conditions(
    {kind: 'synced', revision: 'c'.repeat(40), drift: false, held: 0, rollback: null},
    before,
    laterMs,
  );
  t.is(same[0]?.last_transition_time, '2026-01-01T00:00:00.000Z');
  const failed = conditions(
    {kind: 'failed', failure: {kind: 'retry', reason: 'storage_full', message: 'Full.'}, serving: null},
    same,
    laterMs,
  );
  t.is(failed[0]?.last_transition_time, '2026-01-01T01:00:00.000Z');
  t.is(failed[2]?.last_transition_time, '2026-01-01T00:00:00.000Z');
});

test('work in hand leaves Ready as it was', (t) => {
  const before = conditions({kind: 'synced', revision, drift: false, held: 0, rollback: null}, [], firstMs);
  const during = reconcilingConditions(before, 'd'.repeat(40), laterMs);
  t.is(during.find(({type}) => type === 'Ready')?.status, 'True');
  t.is(during.find(({type}) => type === 'Reconciling')?.status, 'True');
});

test('history keeps the newest ten', (t) => {
  const entry = (at: string) => ({at, revision, outcome: 'applied' as const, message: '', duration_ms: 1});
  const history = Array.from({length: 12}, (_, index) => String(index)).reduce(
    (all, at) => withHistory(all, entry(at)),
    [] as ReturnType<typeof withHistory>,
  );
  t.is(history.length, 10);
  t.is(history[0]?.at, '11');
});
