import {join} from 'node:path';
import test from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const page = {page: 1, limit: 50};

test('overlap=forbid skips a run while the one before goes on, and says so', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('# branchtab: overlap=forbid\n* * * * * until [ -e go ]; do sleep 0.02; done\n* * * * * true\n');
  await clock.advance(2 * minuteMs);
  await put(
    '# branchtab: overlap=forbid\n* * * * * until [ -e go ]; do sleep 0.02; done\n* * * * * touch go\n',
  );
  await clock.advance(minuteMs);
  await finished(4);
  t.deepEqual(
    (await runs())
      .filter(({command}) => command.startsWith('until'))
      .map(({scheduled_at, status, reason}) => [scheduled_at.slice(14, 16), status, reason]),
    [
      ['03', 'skipped', 'overlap'],
      ['02', 'skipped', 'overlap'],
      ['01', 'succeeded', null],
    ],
  );
});

test('overlap=replace ends the run before with its whole group, then starts the next', async (t) => {
  const {clock, put, finished, runs, wrote} = await createCronWorld(t);
  await put('# branchtab: overlap=replace\n* * * * * sleep 60 & echo $!; wait\n');
  await clock.advance(minuteMs);
  const child = Number(await wrote());
  await clock.advance(minuteMs);
  await finished(1);
  t.deepEqual(
    (await runs()).map(({scheduled_at, status, reason}) => [scheduled_at.slice(14, 16), status, reason]),
    [
      ['02', 'running', null],
      ['01', 'interrupted', 'replaced'],
    ],
  );
  t.true(child > 1);
  t.throws(() => process.kill(child, 0), {code: 'ESRCH'});
});

test('S49: a run that waits for the one it replaces does not begin when its entry has expired meanwhile', async (t) => {
  const {clock, cron, finished, runs, wrote} = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await cron.createEntry('root', {
    schedule: '* * * * *',
    command: "trap '' TERM; echo on; sleep 60; sleep 60",
    overlap: 'replace',
    expires_at: '2026-05-18T09:02:05Z',
  });
  await clock.advance(30_000);
  t.is(await wrote(), 'on\n');
  await clock.advance(70_000);
  await finished(2);
  t.deepEqual(
    (await runs()).map(({status, reason, started_at}) => [status, reason, started_at]),
    [
      ['skipped', 'expired', null],
      ['interrupted', 'replaced', '2026-05-18T09:01:00.000Z'],
    ],
  );
});

test('a run over its time gets TERM, and KILL after a grace; its output stays', async (t) => {
  const {clock, put, finished, runs, wrote} = await createCronWorld(t);
  await put(
    `# branchtab: timeout=30s\n* * * * * trap 'echo TERM' TERM; echo up; while :; do sleep 0.05; done\n`,
  );
  await clock.advance(minuteMs);
  await wrote();
  await clock.advance(40 * secondMs);
  await finished(1);
  const [run] = await runs();
  t.like(run, {
    status: 'timed_out',
    reason: 'timeout',
    exit_code: null,
    signal: 'SIGKILL',
    duration_ms: 40_000,
  });
  t.regex(run?.stdout ?? '', /^up\n/);
});

test('what a job does in the grace after TERM is part of its run', async (t) => {
  const {clock, put, finished, runs, wrote} = await createCronWorld(t);
  await put(
    `# branchtab: timeout=30s\n* * * * * (trap 'echo tidied; exit' TERM; echo up; while :; do sleep 0.05; done)\n`,
  );
  await clock.advance(minuteMs);
  await wrote();
  await clock.advance(30 * secondMs);
  await finished(1);
  t.like((await runs())[0], {status: 'timed_out', stdout: 'up\ntidied\n'});
});

test('a job that ends in time is not ended', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('# branchtab: timeout=30s\n1 9 * * * true\n');
  await clock.advance(minuteMs);
  await finished(1);
  await clock.advance(hourMs);
  t.like((await runs())[0], {status: 'succeeded', reason: null});
});

test('a failed run is tried again after growing waits, each try with a record of its own', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('# branchtab: retries=2\n1 9 * * * echo x >> tries; [ $(wc -l < tries) -ge 3 ]\n');
  await clock.advance(minuteMs);
  await finished(1);
  const waiting = await runs();
  t.deepEqual(
    waiting.map(({attempt, status, reason, started_at}) => [attempt, status, reason, started_at === null]),
    [
      [2, 'running', 'retry', true],
      [1, 'failed', null, false],
    ],
  );
  await clock.advance(10 * secondMs);
  await finished(2);
  await clock.advance(20 * secondMs);
  await finished(3);
  t.deepEqual(
    (await runs()).map(({attempt, status, reason, scheduled_at}) => [
      attempt,
      status,
      reason,
      scheduled_at.slice(14, 19),
    ]),
    [
      [3, 'succeeded', 'retry', '01:30'],
      [2, 'failed', 'retry', '01:10'],
      [1, 'failed', null, '01:00'],
    ],
  );
});

test('a run that is out of tries is not tried again', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('# branchtab: retries=1\n1 9 * * * false\n');
  await clock.advance(minuteMs);
  await finished(1);
  await clock.advance(10 * secondMs);
  await finished(2);
  await clock.advance(hourMs);
  t.is((await runs()).length, 2);
});

test('the next run of the schedule takes the place of a try that waits', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('# branchtab: retries=9\n* * * * * false\n');
  await clock.advance(minuteMs);
  for (const [index, waitMs] of [10 * secondMs, 20 * secondMs, 30 * secondMs].entries()) {
    await finished(index + 1);
    await clock.advance(waitMs);
  }
  await finished(4);
  t.deepEqual(
    (await runs())
      .filter(({started_at, status}) => started_at !== null || status === 'skipped')
      .map(({attempt, status, reason, scheduled_at}) => [
        attempt,
        status,
        reason,
        scheduled_at.slice(14, 19),
      ]),
    [
      [4, 'skipped', 'superseded', '02:10'],
      [1, 'failed', null, '02:00'],
      [3, 'failed', 'retry', '01:30'],
      [2, 'failed', 'retry', '01:10'],
      [1, 'failed', null, '01:00'],
    ],
  );
});

test('a try that waits when the runtime stops is interrupted', async (t) => {
  const world = await createCronWorld(t);
  await world.put('# branchtab: retries=1\n1 9 * * * false\n');
  await world.clock.advance(minuteMs);
  await world.finished(1);
  await world.cron.stop({graceMs: 0, reason: 'shutdown'});
  t.like((await world.runs())[0], {attempt: 2, status: 'interrupted', reason: 'shutdown', started_at: null});
});

test('a try that waits when the runtime dies is interrupted at the next start', async (t) => {
  const world = await createCronWorld(t);
  await world.put('# branchtab: retries=1\n1 9 * * * false\n');
  await world.clock.advance(minuteMs);
  await world.finished(1);
  const again = await createCronWorld(t, {
    directory: join(world.directory, 'cron'),
    at: '2026-05-18T09:02:00Z',
  });
  t.like((await again.runs())[0], {attempt: 2, status: 'interrupted', reason: 'runtime_died_before_start'});
});

test('jitter moves all runs of a line by the same part of it, which differs between containers', async (t) => {
  const text = '# branchtab: jitter=10m\n0 * * * * true\n';
  const firstRun = async (jitterSeed: string) => {
    const {cron, put} = await createCronWorld(t, {jitterSeed, at: '2026-05-18T08:59:00Z'});
    await put(text);
    return cron.summary().next_run?.at ?? '';
  };
  const delays = await Promise.all(
    ['a', 'b', 'c', 'd', 'e'].map(
      async (seed) => Date.parse(await firstRun(seed)) - Date.parse('2026-05-18T09:00:00Z'),
    ),
  );
  t.true(delays.every((delayMs) => delayMs >= 0 && delayMs < 10 * minuteMs && delayMs % secondMs === 0));
  t.true(new Set(delays).size > 1);

  const {clock, finished, put, runs} = await createCronWorld(t, {
    jitterSeed: 'a',
    at: '2026-05-18T08:59:00Z',
  });
  await put(text);
  await clock.advance(3 * hourMs);
  await finished(3);
  t.deepEqual(
    (await runs()).map(
      ({scheduled_at}) => (Date.parse(scheduled_at) - Date.parse('2026-05-18T00:00:00Z')) % hourMs,
    ),
    [delays[0], delays[0], delays[0]],
  );
});

test('an entry with run_at runs once at its instant and is gone; its record stays', async (t) => {
  const {cron, clock, finished, put, runs, text} = await createCronWorld(t, {
    defaultTimeZone: 'Europe/Berlin',
  });
  await put('0 0 1 1 * true\n');
  const created = await cron.createEntry('root', {command: 'echo once', run_at: '2026-05-18T11:30:20Z'});
  t.like(created, {
    schedule: '30 13 18 5 *',
    schedule_human: 'Once at 2026-05-18T11:30:20Z',
    run_at: '2026-05-18T11:30:20Z',
    next_run: '2026-05-18T11:30:20.000Z',
  });
  await clock.advance(24 * hourMs);
  await finished(1);
  t.is(await text(), '0 0 1 1 * true\n');
  t.deepEqual(
    (await runs()).map(({scheduled_at, stdout, lateness_ms}) => [scheduled_at, stdout, lateness_ms]),
    [['2026-05-18T11:30:20.000Z', 'once\n', 0]],
  );
});

test('an instant that went by without a runtime runs when there is one', async (t) => {
  const world = await createCronWorld(t);
  await world.cron.createEntry('root', {command: 'echo once', run_at: '2026-05-18T11:30:00Z'});
  world.clock.step(100 * hourMs);
  const again = await world.reopen();
  await again.finished(1);
  await again.clock.advance(minuteMs);
  const third = await again.reopen();
  t.deepEqual(
    (await third.runs()).map(({scheduled_at, status}) => [scheduled_at, status]),
    [['2026-05-18T11:30:00.000Z', 'succeeded']],
  );
  t.is(await third.text(), '');
});

test('an instant waits out a pause of the schedule', async (t) => {
  const {cron, clock, finished, runs} = await createCronWorld(t, {state: 'paused'});
  await cron.createEntry('root', {command: 'echo once', run_at: '2026-05-18T09:30:00Z'});
  await clock.advance(hourMs);
  t.deepEqual(await runs(), []);
  cron.setScheduleState('running');
  await finished(1);
  t.like((await runs())[0], {status: 'succeeded', lateness_ms: 30 * minuteMs});
});

test('an entry either repeats or runs once', async (t) => {
  const {cron} = await createCronWorld(t);
  const command = 'true';
  const both = {schedule: '* * * * *', run_at: '2026-05-18T10:00:00Z', command};
  await t.throwsAsync(cron.createEntry('root', both), {code: 'INVALID_RUN_AT'});
  await t.throwsAsync(cron.createEntry('root', {run_at: '2026-05-18T08:00:00Z', command}), {
    code: 'INVALID_RUN_AT',
  });
  await t.throwsAsync(cron.createEntry('root', {run_at: 'soon', command}), {code: 'INVALID_RUN_AT'});
  const {id} = await cron.createEntry('root', {run_at: '2026-05-18T10:00:00Z', command});
  t.like(await cron.updateEntry('root', id, {run_at: '2026-05-18T10:07:00Z'}), {
    schedule: '7 10 18 5 *',
    next_run: '2026-05-18T10:07:00.000Z',
  });
  t.like(await cron.updateEntry('root', id, {schedule: '@hourly'}), {schedule: '@hourly', run_at: null});
});

test('options of a managed entry stand in its pair, and each can be unset', async (t) => {
  const {cron, text} = await createCronWorld(t);
  const options = {
    timezone: 'Asia/Kathmandu',
    overlap: 'forbid',
    timeout_seconds: 90,
    retries: 2,
    catchup: '1h',
    jitter: '5m',
  } as const;
  const {id} = await cron.createEntry('root', {schedule: '* * * * *', command: 'true', ...options});
  const kept = 'timezone=Asia/Kathmandu overlap=forbid timeout=90s retries=2 catchup=1h jitter=5m\n';
  t.true((await text()).includes(kept));
  t.like(await cron.getEntry('root', id), options);
  await cron.updateEntry('root', id, {name: 'kept'});
  t.true((await text()).includes(kept));
  const plain = {
    timezone: 'UTC',
    overlap: 'allow',
    timeout_seconds: null,
    retries: 0,
    catchup: 'none',
    jitter: '0',
  };
  const unset = {
    timezone: '',
    overlap: 'allow',
    timeout_seconds: 0,
    retries: 0,
    catchup: 'none',
    jitter: '0',
  } as const;
  t.like(await cron.updateEntry('root', id, unset), plain);
  t.false((await text()).includes('overlap='));
});

for (const input of [{timezone: 'Mars/Base'}, {catchup: 'sometimes'}, {jitter: '2d'}]) {
  test(`${JSON.stringify(input)} is refused`, async (t) => {
    const {cron} = await createCronWorld(t);
    await t.throwsAsync(cron.createEntry('root', {schedule: '@daily', command: 'true', ...input}), {
      code: 'INVALID_BODY',
    });
    t.is((await cron.listEntries('root', page)).total, 0);
  });
}

test('options are not part of who a line is', async (t) => {
  const {cron, put} = await createCronWorld(t);
  const idOf = async () => {
    const items = (await cron.listEntries('root', page)).entries;
    return items.flatMap((item) => (item.id === undefined ? [] : [item.id]));
  };
  await put('*/5 * * * * sync\n');
  const before = await idOf();
  await put('# branchtab: overlap=forbid timeout=1m\n*/5 * * * * sync\n');
  t.deepEqual(await idOf(), before);
});
