import test, {type ExecutionContext} from 'ava';
import {type ScheduledScript, scheduledScript} from '../../../runtime/exec/schedule-scan.ts';
import {createScriptSchedules, type FireOutcome} from '../../../runtime/exec/schedules.ts';
import type {ScheduledRun} from '../../../schemas/exec-operations.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';

const done: FireOutcome = {status: 'success', httpStatus: 200, executionId: 'x', error: null};

function setup(t: ExecutionContext, {isOpen = () => true}: {isOpen?: () => boolean} = {}) {
  const clock = new FakeClock(Date.parse('2026-05-01T00:00:30Z'));
  const runs: ScheduledRun[] = [];
  const fired: string[] = [];
  const waiting: PromiseWithResolvers<FireOutcome>[] = [];
  const schedules = createScriptSchedules({
    clock,
    isOpen,
    fire({scriptPath}) {
      fired.push(scriptPath);
      const end = Promise.withResolvers<FireOutcome>();
      waiting.push(end);
      return end.promise;
    },
    record: (run) => runs.push(run),
  });
  t.teardown(() => schedules.stop());
  /** Lets the oldest running script end. */
  const finish = async (outcome: FireOutcome = done) => {
    waiting.shift()?.resolve(outcome);
    await clock.advance(0);
  };
  return {clock, schedules, runs, fired, finish};
}

function scripts(texts: Readonly<Record<string, string>>): ScheduledScript[] {
  return Object.entries(texts).flatMap(
    ([path, schedule]) => scheduledScript(path, `// @schedule ${schedule}`) ?? [],
  );
}

test('a script runs at its minutes, in UTC', async (t) => {
  const {clock, schedules, fired, runs, finish} = setup(t);
  schedules.reload(scripts({'a.ts': '*/2 * * * *', 'b.ts': '0 1 * * *'}), {dryRun: false});
  t.deepEqual(
    schedules.list().map(({scriptPath, nextRun}) => [scriptPath, nextRun]),
    [
      ['a.ts', '2026-05-01T00:02:00.000Z'],
      ['b.ts', '2026-05-01T01:00:00.000Z'],
    ],
  );
  await clock.advance(89_000);
  t.deepEqual(fired, []);
  await clock.advance(1000);
  t.deepEqual(fired, ['a.ts']);
  await finish();
  t.like(runs, {0: {scriptPath: 'a.ts', trigger: 'schedule', scheduledAt: '2026-05-01T00:02:00.000Z'}});
});

test('a script that still runs is left out, with a record', async (t) => {
  const {clock, schedules, fired, runs, finish} = setup(t);
  schedules.reload(scripts({'a.ts': '* * * * *'}), {dryRun: false});
  await clock.advance(30_000);
  t.is(schedules.runningCount(), 1);
  await clock.advance(60_000);
  t.deepEqual(fired, ['a.ts']);
  t.like(runs, {length: 1, 0: {status: 'skipped'}});
  await finish({...done, status: 'error', httpStatus: 500, error: 'broken'});
  t.like(runs, {length: 2, 1: {status: 'error', error: 'broken'}});
  t.is(schedules.runningCount(), 0);
});

test('nothing starts while the container is held', async (t) => {
  const {clock, schedules, fired, runs} = setup(t, {isOpen: () => false});
  schedules.reload(scripts({'a.ts': '* * * * *'}), {dryRun: false});
  await clock.advance(30_000);
  t.deepEqual(fired, []);
  t.like(runs, {length: 1, 0: {status: 'skipped'}});
});

test('a reload says what is added, kept and removed, and a dry one changes nothing', async (t) => {
  const {clock, schedules, fired} = setup(t);
  schedules.reload(scripts({'a.ts': '5 0 * * *', 'b.ts': '6 0 * * *'}), {dryRun: false});
  const next = scripts({'a.ts': '5 0 * * *', 'c.ts': '1 0 * * *'});
  const report = {added: ['c.ts'], kept: ['a.ts'], removed: ['b.ts']};
  t.deepEqual(schedules.reload(next, {dryRun: true}), {dryRun: true, ...report});
  t.is(schedules.list().length, 2);
  t.deepEqual(schedules.reload(next, {dryRun: false}), {dryRun: false, ...report});
  await clock.advance(30_000);
  t.deepEqual(fired, ['c.ts']);
  schedules.reload([], {dryRun: false});
  await clock.advance(3_600_000);
  t.deepEqual(fired, ['c.ts']);
});

test('a manual start is left out while the script runs, unless it is forced', async (t) => {
  const {schedules, fired, finish} = setup(t);
  schedules.reload(scripts({'a.ts': '0 0 1 1 *'}), {dryRun: false});
  const first = schedules.trigger('a.ts', {force: false});
  t.like(await schedules.trigger('a.ts', {force: false}), {triggered: false, status: 'skipped'});
  const forced = schedules.trigger('a.ts', {force: true});
  t.deepEqual(fired, ['a.ts', 'a.ts']);
  await finish();
  await finish();
  t.like(await first, {triggered: true, scriptPath: 'a.ts', status: 'success'});
  t.like(await forced, {triggered: true});
  await t.throwsAsync(schedules.trigger('none.ts', {force: false}), {message: /has no @schedule/});
});

for (const [text, issue] of [
  ['61 * * * *', /minute/],
  ['@reboot', /crontab/],
  ['every day', /./],
] as const) {
  test(`@schedule ${text} never runs and says why`, (t) => {
    const [script] = scripts({'a.ts': text});
    t.is(script?.schedule, null);
    t.regex(script?.issue ?? '', issue);
  });
}

test('a script that is switched off, or has no schedule, is not among them', (t) => {
  t.is(scheduledScript('a.ts', '// @enabled false\n// @schedule * * * * *'), null);
  t.is(scheduledScript('a.ts', 'return "// @schedule * * * * *"'), null);
});
