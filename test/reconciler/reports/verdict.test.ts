import test from 'ava';
import {newBranchRecord} from '../../../reconciler/branch-record.ts';
import {failureOf} from '../../../reconciler/outcome.ts';
import type {VerdictState} from '../../../reconciler/reports/report.ts';
import {verdictOf, verdictTexts} from '../../../reconciler/reports/verdict.ts';
import {conditions, type Result, reconcilingConditions} from '../../../reconciler/status.ts';
import {AppError} from '../../../schemas/errors.ts';

const [now, before] = ['a'.repeat(40), 'b'.repeat(40)];
const applied = (revision: string) => ({
  revision,
  root_tree: '',
  environment: null,
  deployment: null,
  crontabs: {},
});
const recordWith = (result: Result, {live = false, runs = now} = {}) => ({
  ...newBranchRecord({repository: '/srv/shop', path: '.', branch: 'x', live}),
  revision: now,
  applied: applied(runs),
  conditions: conditions(result, [], 0),
});
const synced: Result = {kind: 'synced', revision: now, rollback: null, drift: false, held: 0};
const issue = {file: '.hoody/crontab', line: 3, column: 1, code: 'schedule_invalid', message: 'No @team.'};
const failed = (error: unknown): Result => ({kind: 'failed', failure: failureOf(error), serving: before});

const cases: readonly {
  readonly title: string;
  readonly record: ReturnType<typeof recordWith>;
  readonly state: VerdictState | null;
}[] = [
  {title: 'is active', record: recordWith(synced), state: 'success'},
  {
    title: 'is being applied',
    record: {...recordWith(synced), conditions: reconcilingConditions([], now, 0)},
    state: 'pending',
  },
  {
    title: 'has a mistake',
    record: recordWith({kind: 'invalid', revision: now, issues: [issue], serving: before}, {runs: before}),
    state: 'failure',
  },
  {
    title: 'was rolled back',
    record: recordWith(
      {...synced, revision: before, rollback: {to: before, bad: now, tip: now, since: '', reason: 'bad'}},
      {runs: before},
    ),
    state: 'failure',
  },
  {
    title: 'cannot be applied for now',
    record: recordWith(failed(new AppError('HOST_FULL', 'of /srv/secret-path'))),
    state: 'error',
  },
  {
    title: 'is live and has lost its data',
    record: recordWith(failed(new AppError('DATA_LOST', 'in /var/lib/secret-path')), {live: true}),
    state: 'failure',
  },
  {
    title: 'is live and has no .hoody any more',
    record: recordWith({kind: 'missing', state: 'live_without_hoody', until: null}, {live: true}),
    state: 'failure',
  },
  {
    title: 'is idle',
    record: recordWith({kind: 'paused', reason: 'idle', until: null}),
    state: 'neutral',
  },
  {
    title: 'waits to be asked for',
    record: recordWith({kind: 'paused', reason: 'first_contact', until: null}),
    state: null,
  },
  {
    title: 'belongs to another controller',
    record: recordWith({kind: 'read_only', message: '', plan: []}),
    state: null,
  },
  {title: 'is merged', record: recordWith({kind: 'missing', state: 'merged', until: null}), state: null},
];
for (const {title, record, state} of cases) {
  test(`of a commit that ${title} the verdict is ${state ?? 'none'}`, (t) => {
    const verdict = verdictOf(record);
    t.is(verdict?.state ?? null, state);
    if (verdict === null) return;
    const said = JSON.stringify(verdictTexts(verdict, null));
    t.notRegex(said, /secret-path/);
    t.true(verdictTexts(verdict, null).title.length <= 140);
  });
}

test('a mistake is named with its place, and its words are a code span', (t) => {
  const [, , {record} = {record: recordWith(synced)}] = cases;
  const verdict = verdictOf(record);
  const texts = verdict === null ? null : verdictTexts(verdict, null);
  t.is(texts?.title, '.hoody/crontab:3:1 No @team.');
  t.is(
    texts?.summary,
    '1 mistake; nothing of this commit is applied. Commit bbbbbbbb stays active.\n\n- `.hoody/crontab:3:1` `No @team.`',
  );
});
