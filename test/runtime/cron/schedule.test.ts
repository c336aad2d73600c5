import test from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

test('S69: each due minute gives one run', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('*/2 * * * * true\n0 0 1 1 * true\n');
  await clock.advance(6 * minuteMs);
  await finished(3);
  t.deepEqual(
    (await runs()).map(({scheduled_at}) => scheduled_at.slice(11, 16)),
    ['09:06', '09:04', '09:02'],
  );
});

test('S31: a schedule is active as soon as the PUT is answered', async (t) => {
  const {cron, clock, put, finished, runs} = await createCronWorld(t, {at: '2026-05-18T09:00:59.999Z'});
  await put('* * * * * true\n');
  t.is(cron.summary().next_run?.at, '2026-05-18T09:01:00.000Z');
  await clock.advance(1);
  await finished(1);
  t.is((await runs())[0]?.lateness_ms, 0);
});

test('a schedule that is held, paused or without its lease leaves a record of every run that did not happen', async (t) => {
  const {cron, clock, put, finished, runs} = await createCronWorld(t, {state: 'held'});
  await put('* * * * * true\n');
  await clock.advance(minuteMs);
  cron.setScheduleState('paused');
  await clock.advance(minuteMs);
  cron.setScheduleState('lease_expired');
  await clock.advance(minuteMs);
  cron.setScheduleState('running');
  await clock.advance(minuteMs);
  await finished(1);
  t.deepEqual(
    (await runs()).map(({status, reason}) => [status, reason]),
    [
      ['succeeded', null],
      ['skipped', 'lease_expired'],
      ['skipped', 'paused'],
      ['skipped', 'held'],
    ],
  );
});

test('a container is held until it is released', async (t) => {
  const {cron, clock, put, runs} = await createCronWorld(t, {state: 'not_started'});
  cron.start({reboot: false});
  await put('* * * * * true\n');
  await clock.advance(minuteMs);
  t.deepEqual(
    (await runs()).map(({reason}) => reason),
    ['held'],
  );
});

test('a clock that is set back does not run a minute twice', async (t) => {
  const {clock, stepClock, put, finished, runs} = await createCronWorld(t);
  await put('* * * * * true\n');
  await clock.advance(5 * minuteMs);
  await finished(5);
  stepClock(-3 * minuteMs);
  await clock.advance(4 * minuteMs);
  await finished(6);
  t.is((await runs()).length, 6);
});

test('a clock that was far in the future does not stop the schedule', async (t) => {
  const {clock, stepClock, put, finished, runs} = await createCronWorld(t);
  stepClock(4 * 365 * 24 * hourMs);
  await put('0 * * * * true\n30 9 * * * true\n');
  stepClock(-4 * 365 * 24 * hourMs);
  await clock.advance(hourMs + minuteMs);
  await finished(2);
  t.deepEqual(
    (await runs()).map(({scheduled_at}) => scheduled_at.slice(11, 16)),
    ['10:00', '09:30'],
  );
});

test('CRON_TZ applies to its section', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('30 9 * * * echo utc\nCRON_TZ=Asia/Kathmandu\n30 15 * * * echo kathmandu\n');
  await clock.advance(hourMs);
  await finished(2);
  t.deepEqual(
    (await runs()).map(({stdout, scheduled_at}) => [stdout, scheduled_at.slice(11, 16)]),
    [
      ['kathmandu\n', '09:45'],
      ['utc\n', '09:30'],
    ],
  );
});

test('@reboot runs at a start of the container, not at a PUT and not at a restart of the runtime', async (t) => {
  const world = await createCronWorld(t, {reboot: true});
  await world.put('@reboot echo up\n');
  await world.clock.advance(minuteMs);
  t.deepEqual(await world.runs(), []);
  const restarted = await world.reopen({reboot: false});
  await restarted.clock.advance(minuteMs);
  t.deepEqual(await restarted.runs(), []);
  const rebooted = await restarted.reopen({reboot: true});
  await rebooted.finished(1);
  t.deepEqual(
    (await rebooted.runs()).map(({stdout, schedule}) => [stdout, schedule]),
    [['up\n', '@reboot']],
  );
});

test('@reboot of a held container waits for its release', async (t) => {
  const {cron, put, finished, runs} = await createCronWorld(t, {state: 'held', reboot: true});
  await put('@reboot echo up\n');
  t.deepEqual(await runs(), []);
  cron.setScheduleState('running');
  await finished(1);
  cron.setScheduleState('paused');
  cron.setScheduleState('running');
  t.is((await runs()).length, 1);
});

test('the summary names crontabs, the next run and the last one', async (t) => {
  const {cron, clock, put, finished} = await createCronWorld(t);
  t.deepEqual(Object.keys(cron.summary().crontabs), ['root']);
  await put('*/10 * * * * /srv/jobs/sync-stripe.py; false\n0 0 1 1 * /srv/jobs/yearly\n');
  await cron.createEntry('root', {schedule: '0 0 * * *', command: 'true'});
  t.like(cron.summary().crontabs.root, {jobs: 2, managed: 1});
  t.like(cron.summary().next_run, {at: '2026-05-18T09:10:00.000Z'});
  await clock.advance(10 * minuteMs);
  await finished(1);
  t.like(cron.summary(), {
    running_jobs: 0,
    last_run: {status: 'failed', exit_code: 1, scheduled_at: '2026-05-18T09:10:00.000Z'},
    next_run: {at: '2026-05-18T09:20:00.000Z'},
  });
});

test('events tell of changes, starts and ends', async (t) => {
  const {clock, events, put, finished} = await createCronWorld(t);
  await put('* * * * * true\n');
  await put('* * * * * true\n');
  await clock.advance(minuteMs);
  await finished(1);
  t.deepEqual(
    events.map(({type}) => type),
    ['crontab_changed', 'run_started', 'run_finished'],
  );
});

test('S72: 10,000 lines are taken in and scheduled', async (t) => {
  const {cron, put} = await createCronWorld(t);
  const lines = Array.from({length: 10_000}, (_, i) => `${i % 60} ${i % 24} * * * j ${i}\n`).join('');
  await put(lines);
  t.is(cron.summary().crontabs.root?.jobs, 10_000);
});

test('minutes that passed while no runtime was there each have a record, and none is run late', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('* * * * * true\n0 0 1 1 * true\n');
  await world.clock.advance(60_000);
  await world.finished(1);
  world.clock.step(3 * 60_000 + 10_000);
  const again = await world.reopen();
  const runs = await again.runs();
  t.deepEqual(
    runs.map(({scheduled_at, status, reason}) => [scheduled_at, status, reason]),
    [
      ['2026-05-18T09:04:00.000Z', 'skipped', 'runtime_down'],
      ['2026-05-18T09:03:00.000Z', 'skipped', 'runtime_down'],
      ['2026-05-18T09:02:00.000Z', 'skipped', 'runtime_down'],
      ['2026-05-18T09:01:00.000Z', 'succeeded', null],
    ],
  );
});

test('lines are not missed before they were in force', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('* * * * * true\n');
  const again = await world.reopen();
  t.deepEqual(await again.runs(), []);
});

test('of a long downtime the newest fifty minutes have a record', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('* * * * * true\n');
  world.clock.step(24 * 3_600_000);
  const again = await world.reopen();
  const runs = await again.runs();
  t.is(runs.length, 50);
  t.is(runs[0]?.scheduled_at, '2026-05-19T09:00:00.000Z');
});
