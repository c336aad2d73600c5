import test from 'ava';
import {createRunLimitsSchema, type RunLimits} from '../../../schemas/limits.ts';
import {createCronWorld} from '../../helpers/cron-world.ts';

const minuteMs = 60_000;
const page = {page: 1, limit: 50};

const bounds = (changes: Partial<RunLimits>): RunLimits =>
  createRunLimitsSchema().parse({
    enforced: true,
    runs_per_day: null,
    run_time_ms: null,
    longest_run_time_ms: null,
    overlap: 'allow',
    disk_bytes: null,
    memory_bytes: null,
    ...changes,
  });

test('beyond the runs of a day no job begins, by schedule or by hand, until the next day or a higher limit', async (t) => {
  let limits = bounds({runs_per_day: 3});
  const world = await createCronWorld(t, {at: '2026-05-18T23:54:30Z', limits: () => limits});
  await world.put('* * * * * true\n');
  await world.clock.advance(5 * minuteMs);
  await world.finished(3);
  const statuses = async () => (await world.runs()).map(({status, reason}) => reason ?? status);
  t.deepEqual(await statuses(), [
    'limit_runs_per_day',
    'limit_runs_per_day',
    'succeeded',
    'succeeded',
    'succeeded',
  ]);
  t.deepEqual(world.cron.summary().limits, [{limit: 'runs_per_day', most: 3, used: 3, refused: 2}]);
  const id = (await world.cron.listEntries('root', page)).entries[0]?.id ?? '';
  await t.throwsAsync(world.cron.runEntry('root', id), {
    code: 'LIMIT_REACHED',
    message: /limits\.runs_per_day/,
  });
  t.regex(
    (await world.cron.why('root', id, Date.parse('2026-05-18T23:58:00Z'))).explanation,
    /limits\.runs_per_day.*branchtab\.yaml/,
  );

  limits = bounds({runs_per_day: 4});
  await world.cron.runEntry('root', id);
  limits = bounds({runs_per_day: 3});
  await world.clock.advance(minuteMs);
  await world.finished(5);
  t.is((await statuses())[0], 'succeeded');
  t.deepEqual(world.cron.summary().limits, []);
});

test('a restart does not begin the day anew', async (t) => {
  const limits = () => bounds({runs_per_day: 2});
  const world = await createCronWorld(t, {limits});
  await world.put('* * * * * true\n');
  await world.clock.advance(minuteMs);
  await world.finished(1);
  const again = await world.reopen({limits});
  await again.clock.advance(2 * minuteMs);
  await again.finished(1);
  t.deepEqual(
    (await again.runs()).map(({status}) => status),
    ['skipped', 'succeeded', 'succeeded'],
  );
});

for (const {title, options, endsAfterMs, reason} of [
  {title: 'says nothing', options: '', endsAfterMs: 10 * minuteMs, reason: 'limit_run_time'},
  {title: 'asks for less', options: 'timeout=2m', endsAfterMs: 2 * minuteMs, reason: 'timeout'},
  {title: 'asks for more', options: 'timeout=20m', endsAfterMs: 20 * minuteMs, reason: 'timeout'},
  {title: 'asks for too much', options: 'timeout=3h', endsAfterMs: 60 * minuteMs, reason: 'limit_run_time'},
  {title: 'asks for no end', options: 'timeout=0', endsAfterMs: 60 * minuteMs, reason: 'limit_run_time'},
]) {
  test(`a run whose job ${title} is ended after ${endsAfterMs / minuteMs} minutes`, async (t) => {
    const limits = () => bounds({run_time_ms: 10 * minuteMs, longest_run_time_ms: 60 * minuteMs});
    const world = await createCronWorld(t, {limits});
    await world.put(
      `${options === '' ? '' : `# branchtab: ${options}\n`}1 9 18 5 * echo on; exec sleep 60\n`,
    );
    await world.clock.advance(minuteMs);
    t.is(await world.wrote(), 'on\n');
    await world.clock.advance(endsAfterMs - 1);
    t.is((await world.runs())[0]?.status, 'running');
    await world.clock.advance(1);
    await world.finished(1);
    t.like((await world.runs())[0], {status: 'timed_out', reason});
    const told = reason === 'limit_run_time' ? 1 : 0;
    t.is(world.cron.summary().limits.length, told);
  });
}

for (const {overlap, options, expected} of [
  {overlap: 'forbid', options: '', expected: 'overlap'},
  {overlap: 'forbid', options: '# branchtab: overlap=allow\n', expected: null},
  {overlap: 'never', options: '# branchtab: overlap=allow\n', expected: 'overlap'},
  {overlap: 'never', options: '# branchtab: overlap=replace\n', expected: 'overlap'},
  {overlap: 'allow', options: '', expected: null},
] as const) {
  test(`with overlap: ${overlap} a second run of ${options.trim() || 'a job that says nothing'} is ${expected === null ? 'begun' : 'skipped'}`, async (t) => {
    const world = await createCronWorld(t, {limits: () => bounds({overlap})});
    await world.put(`${options}* * * * * echo on; exec sleep 60\n`);
    await world.clock.advance(minuteMs);
    t.is(await world.wrote(), 'on\n');
    await world.clock.advance(minuteMs);
    t.is((await world.runs())[0]?.reason, expected);
  });
}

test('on too full a disk no job begins until there is room again', async (t) => {
  let bytes = 2000;
  const measured: (() => void)[] = [];
  const world = await createCronWorld(t, {
    limits: () => bounds({disk_bytes: 1000}),
    async measureDisk() {
      queueMicrotask(() => measured.shift()?.());
      return bytes;
    },
  });
  await world.put('* * * * * true\n');
  // The first minute only learns how much there is.
  await world.clock.advance(minuteMs);
  await world.finished(1);
  await world.clock.advance(minuteMs);
  t.like((await world.runs())[0], {status: 'skipped', reason: 'limit_disk'});
  t.deepEqual(world.cron.summary().limits, [{limit: 'disk', most: 1000, used: 2000, refused: 1}]);
  bytes = 1000;
  await world.clock.advance(2 * minuteMs);
  await world.finished(2);
  t.is((await world.runs())[0]?.status, 'succeeded');
});

test('where limits are only told, everything runs', async (t) => {
  const world = await createCronWorld(t, {
    limits: () =>
      bounds({enforced: false, runs_per_day: 1, run_time_ms: minuteMs, overlap: 'forbid', disk_bytes: 1}),
    measureDisk: async () => 5,
  });
  await world.put('* * * * * true\n1 9 * * * echo on; exec sleep 60\n');
  await world.clock.advance(3 * minuteMs);
  await world.finished(3);
  t.true((await world.runs()).every(({status}) => status === 'succeeded' || status === 'running'));
  t.deepEqual(
    world.cron.summary().limits.map(({limit, used, refused}) => [limit, used, refused]),
    [
      ['runs_per_day', 4, 0],
      ['disk', 5, 0],
    ],
  );
});

test('a job that is killed from outside is told to be so where memory is bounded', async (t) => {
  const world = await createCronWorld(t, {limits: () => bounds({memory_bytes: 2 ** 28})});
  await world.put('1 9 * * * kill -9 $$\n1 9 * * * sh -c "kill -9 \\$\\$"; exit $?\n1 9 * * * exit 1\n');
  await world.clock.advance(minuteMs);
  await world.finished(3);
  t.deepEqual((await world.runs()).map(({reason}) => reason).sort(), [
    'killed_from_outside',
    'killed_from_outside',
    null,
  ]);
});
