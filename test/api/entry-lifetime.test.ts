import test, {type ExecutionContext} from 'ava';
import {entryListSchema, managedEntrySchema} from '../../schemas/cron-api.ts';
import {type Run, type RunList, runListSchema} from '../../schemas/run.ts';
import {bodyOf, type CronHttp, createCronHttp} from '../helpers/cron-http.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const kept = '0 0 1 1 * /srv/jobs/yearly\n';

/** An entry of me beside a line that stays, posted when the clock shows `at`. */
async function post(t: ExecutionContext, at: string, entry: {schedule: string; expires_at: string}) {
  const world = await createCronHttp(t, {at});
  await world.put(kept);
  const body = {...entry, command: 'true'};
  const created = await world.sendJson('POST', '/users/me/entries', body);
  t.is(created.status, 201);
  return {...world, entry: await bodyOf(created, managedEntrySchema)};
}

/** Goes on in steps of the schedule; waits for each run, as it would be over long before the next. */
async function live(
  {clock, cron, events, finished}: CronHttp,
  {untilMs, stepMs}: {untilMs: number; stepMs: number},
): Promise<void> {
  while (clock.now() < untilMs) {
    const nextMs = Math.min(untilMs, Math.floor(clock.now() / stepMs) * stepMs + stepMs);
    await clock.advance(nextMs - clock.now());
    const over = events.filter(({type}) => type === 'run_finished').length;
    await finished(over + cron.summary().running_jobs);
  }
}

/** Oldest first. */
async function allRuns({get}: CronHttp, entryId: string): Promise<Run[]> {
  const runs: Run[] = [];
  let query: string | null = `entry=${entryId}&limit=200`;
  while (query !== null) {
    const {items, next_cursor}: RunList = await bodyOf(get(`/users/me/runs?${query}`), runListSchema);
    runs.push(...items);
    query = next_cursor === null ? null : `entry=${entryId}&limit=200&cursor=${next_cursor}`;
  }
  return runs.reverse();
}

function every(stepMs: number, fromMs: number, beforeMs: number): string[] {
  const due: string[] = [];
  for (let atMs = fromMs; atMs < beforeMs; atMs += stepMs) due.push(new Date(atMs).toISOString());
  return due;
}

async function idsOf({get}: CronHttp): Promise<(string | null)[]> {
  const {entries} = await bodyOf(get('/users/me/entries'), entryListSchema);
  return entries.map((item) => (item.type === 'managed' ? item.id : null));
}

test('S58: a shift from Monday 09:00 to Friday 09:00 pages 192 times, and not once at its end or after', async (t) => {
  t.timeout(120_000);
  const endMs = Date.parse('2026-05-08T09:00:00Z');
  const world = await post(t, '2026-05-04T08:59:59Z', {
    schedule: '*/30 * * * *',
    expires_at: '2026-05-08T09:00:00Z',
  });
  await live(world, {untilMs: endMs - 1, stepMs: 30 * minuteMs});
  t.deepEqual(await idsOf(world), [world.entry.id, null]);
  await world.clock.advance(1);
  t.deepEqual(await idsOf(world), [null], 'gone at 09:00:00.000 sharp');
  t.is(await world.text(), kept);
  await live(world, {untilMs: endMs + 24 * hourMs, stepMs: 30 * minuteMs});

  const runs = await allRuns(world, world.entry.id);
  t.is(runs.length, 192);
  t.deepEqual(
    runs.map(({scheduled_at}) => scheduled_at),
    every(30 * minuteMs, Date.parse('2026-05-04T09:00:00Z'), endMs),
  );
  t.true(runs.every(({status, attempt}) => status === 'succeeded' && attempt === 1));
  t.is(world.events.filter(({type}) => type === 'run_started').length, 192);
});

test('S95: an entry of 48 hours runs in each of its minutes, and after 49 hours the list is as it was', async (t) => {
  t.timeout(300_000);
  const startMs = Date.parse('2026-05-04T11:14:00Z');
  const endMs = startMs + 48 * hourMs;
  const world = await post(t, '2026-05-04T11:14:00Z', {
    schedule: '* * * * *',
    expires_at: '2026-05-06T11:14:00Z',
  });
  await live(world, {untilMs: endMs - 1, stepMs: minuteMs});
  t.deepEqual(await idsOf(world), [world.entry.id, null]);
  await live(world, {untilMs: startMs + 49 * hourMs, stepMs: minuteMs});
  t.deepEqual(await idsOf(world), [null]);
  t.is(await world.text(), kept);

  const runs = await allRuns(world, world.entry.id);
  t.deepEqual(
    runs.map(({scheduled_at}) => scheduled_at),
    every(minuteMs, startMs + minuteMs, endMs),
  );
  t.true(runs.every(({status}) => status === 'succeeded'));
  t.is(world.events.filter(({type}) => type === 'run_started').length, runs.length);
});
