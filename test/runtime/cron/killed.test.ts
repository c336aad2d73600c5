import {Database} from 'bun:sqlite';
import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readTextIfPresent} from '../../../runtime/platform/durable-file.ts';
import type {Run} from '../../../schemas/run.ts';
import {type CronWorld, createCronWorld} from '../../helpers/cron-world.ts';
import {type OperationName, otherText, rawText} from '../../helpers/faults/cron-operations.ts';
import {type KilledOperation, killOperation} from '../../helpers/faults/killed-operation.ts';
import {canTrace} from '../../helpers/faults/ptrace.ts';

const tracedTest = canTrace() ? test.serial : test.serial.skip;
if (!canTrace()) console.log('SKIP cron killed between two steps: needs Linux and leave to trace a child');

const killsAtOnce = 4;

/** The crontab, as raw text and the names of its entries, before and after. */
interface Expected {
  readonly before: Contents;
  readonly after: Contents;
  /** Time alone brings it about, so that a new start does it too. */
  readonly inevitable?: boolean;
}

interface Row extends Expected {
  readonly operation: OperationName;
  /** In front of the title. */
  readonly claim?: string;
}

interface Contents {
  readonly raw: string;
  readonly names: readonly (string | null)[];
  readonly paused?: boolean;
}

const plain: Contents = {raw: rawText, names: []};
const withEntry: Contents = {raw: rawText, names: ['an entry']};

const killed = test.macro<[Row]>(async (t, {operation, before, after, inevitable = false}) => {
  t.timeout(60_000);
  const whole = await killOperation(t, operation, 0);
  t.false(whole.killed);
  t.true(whole.acknowledged);
  const allowed = inevitable ? [after] : [before, after];
  await check(t, 'not killed', whole, {allowed: [after], inevitable});
  const steps = whole.steps.map((_, index) => index + 1);
  let kills = 0;
  while (steps.length > 0) {
    const some = steps.splice(0, killsAtOnce);
    await Promise.all(
      some.map(async (step) => {
        const end = await killOperation(t, operation, step);
        if (end.killed) kills += 1;
        const label = `killed before step ${step}: ${end.steps.at(-1)}`;
        await check(t, label, end, {allowed: end.acknowledged ? [after] : allowed, inevitable});
      }),
    );
  }
  // Two runs of the same operation may differ by a step.
  t.true(kills > whole.steps.length / 2);
  t.log(`killed before ${kills} of ${whole.steps.length} steps`);
});

/** What has to hold once the service is back, three minutes after the operation began. */
async function check(
  t: ExecutionContext,
  label: string,
  {directory, id}: KilledOperation,
  {allowed, inevitable}: {allowed: readonly Contents[]; inevitable: boolean},
): Promise<void> {
  const ranBefore = await linesOfJobs(directory);
  const isOutdated = inevitable && (await storedText(directory)) !== allowed[0]?.raw;
  const world = await createCronWorld(t, {
    directory: join(directory, 'cron'),
    dataDirectory: directory,
    at: '2026-05-18T09:03:30Z',
  });
  // Before anybody reads the crontab, which would do it too.
  if (isOutdated) await changedByItself(world);
  await world.clock.advance(60_000);
  for (let count = 1; (await world.runs()).some(({status}) => status === 'running'); count += 1)
    await world.finished(count);

  const contents = await contentsOf(world);
  const isAllowed = allowed.some((each) => Bun.deepEquals({paused: false, ...each}, contents));
  t.true(isAllowed, `${label}: ${JSON.stringify(contents)}`);
  if (id !== null && !inevitable) await t.notThrowsAsync(world.cron.getEntry('root', id), label);
  t.deepEqual(await leftovers(directory), [], label);
  t.is(integrity(directory), 'ok', label);
  const ran = await linesOfJobs(directory);
  const due = ['1', '2', '3', '4'].filter((word) => contents.raw.includes(`echo ${word} `));
  t.deepEqual(wrongRuns(await world.runs(), ran, [...new Set([...due, ...ranBefore])]), [], label);
}

/** What is wrong with the records of the jobs that write one word each into the file `ran`; `due` were these. */
function wrongRuns(runs: readonly Run[], ran: readonly string[], due: readonly string[]): string[] {
  const recorded = runs.map(({command}) => /^echo (\w+) /.exec(command)?.[1] ?? command);
  return [
    ...due.filter((word) => !recorded.includes(word)).map((word) => `${word} was due and has no record`),
    ...recorded
      .filter((word, index) => recorded.indexOf(word) !== index)
      .map((word) => `${word} has two records`),
    ...ran.filter((word) => !recorded.includes(word)).map((word) => `${word} ran and has no record`),
    ...runs.flatMap((run, index) => {
      const word = recorded[index] ?? '';
      const times = ran.filter((line) => line === word).length;
      return timesRun(run).includes(times) ? [] : [`${word} ran ${times} times: ${run.status} ${run.reason}`];
    }),
    ...runs
      .filter(({command, status}) => command.startsWith('echo 4 ') && status !== 'succeeded')
      .map(({status, reason}) => `4 was due after the start and is ${status} ${reason}`),
  ];
}

/** How often a job may have run, after what its record says. */
function timesRun({status, reason}: Run): readonly number[] {
  if (status === 'succeeded') return [1];
  return reason === 'runtime_died' ? [0, 1] : [0];
}

async function linesOfJobs(directory: string): Promise<string[]> {
  const text = await readTextIfPresent(join(directory, 'ran'));
  return (text ?? '').split('\n').filter((line) => line !== '');
}

async function storedText(directory: string): Promise<string> {
  return (await readTextIfPresent(join(directory, 'cron', 'crontabs', 'root.crontab'))) ?? '';
}

async function changedByItself({cron, events}: CronWorld): Promise<void> {
  if (events.some(({type}) => type === 'crontab_changed')) return;
  await new Promise<void>((resolve) => {
    cron.on(({type}) => {
      if (type === 'crontab_changed') resolve();
    });
  });
}

async function contentsOf({cron, text}: CronWorld): Promise<Contents> {
  const whole = await text();
  const {entries} = await cron.listEntries('root', {page: 1, limit: 200});
  const managed = entries.flatMap((entry) => (entry.type === 'managed' ? [entry] : []));
  const lines = whole.split('\n');
  const raw = lines.slice(2 * managed.length).join('\n');
  return {raw, names: managed.map(({name}) => name), paused: managed.some(({paused}) => paused !== null)};
}

async function leftovers(directory: string): Promise<string[]> {
  const files = await readdir(join(directory, 'cron', 'crontabs'));
  return files.filter((file) => file !== 'root.crontab');
}

function integrity(directory: string): unknown {
  const database = new Database(join(directory, 'cron', 'runs.db'));
  const answer = database.query('PRAGMA integrity_check').get();
  database.close();
  return (answer as {integrity_check: string}).integrity_check;
}

const changesText: Expected = {before: plain, after: {raw: otherText, names: []}};
const rows: readonly Row[] = [
  {claim: 'S25: ', operation: 'a PUT', ...changesText},
  {operation: 'a PUT of nothing', before: plain, after: {raw: '', names: []}},
  {operation: 'a PUT beside an entry', before: withEntry, after: {...withEntry, raw: otherText}},
  {operation: 'a POST', before: plain, after: withEntry},
  {operation: 'a PATCH', before: withEntry, after: {raw: rawText, names: ['changed']}},
  {operation: 'a DELETE', before: withEntry, after: plain},
  {operation: 'a pause', before: withEntry, after: {...withEntry, paused: true}},
  {operation: 'a fire', before: plain, after: plain},
  {operation: 'a run of its own instant', before: plain, after: plain, inevitable: true},
  {claim: 'S65: ', operation: 'an expiry', before: plain, after: plain, inevitable: true},
  {operation: 'a stop', before: plain, after: plain},
  {operation: 'a start after a crash', before: plain, after: plain},
];
for (const row of rows)
  tracedTest(`${row.claim ?? ''}killed between any two steps of ${row.operation}`, killed, row);
