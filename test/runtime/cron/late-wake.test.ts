import test, {type ExecutionContext} from 'ava';
import {type CronWorld, createCronWorld, type WorldOptions} from '../../helpers/cron-world.ts';

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

/** Puts the crontab at half past a minute, lets the machine sleep and waits for its next look at the clock. */
async function sleepThrough(
  t: ExecutionContext,
  {crontab, sleepMs, runs, ...options}: {crontab: string; sleepMs: number; runs: number} & WorldOptions,
): Promise<CronWorld> {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z', ...options});
  await world.put(crontab);
  await world.clock.advance(secondMs);
  world.stepClock(sleepMs);
  await world.clock.advance(30 * secondMs);
  await world.finished(runs);
  return world;
}

/** `HH:MM status reason` of each record, oldest first. */
async function records({runs}: CronWorld): Promise<string[]> {
  return (await runs())
    .map(({scheduled_at, status, reason}) =>
      [scheduled_at.slice(11, 16), status, reason].filter((part) => part !== null).join(' '),
    )
    .reverse();
}

const everyTen = '*/10 * * * * true\n';
const fixedTimes = '5,10,15,20 9 * * * true\n';

test('up to five minutes late, every job runs for every minute', async (t) => {
  const world = await sleepThrough(t, {
    crontab: '* * * * * true\n2,4 9 * * * true\n',
    sleepMs: 4 * minuteMs,
    runs: 7,
  });
  t.deepEqual(await records(world), [
    '09:01 succeeded',
    '09:02 succeeded',
    '09:02 succeeded',
    '09:03 succeeded',
    '09:04 succeeded',
    '09:04 succeeded',
    '09:05 succeeded',
  ]);
});

test('after a sleep of up to three hours, fixed times run for every minute that went by', async (t) => {
  const world = await sleepThrough(t, {crontab: fixedTimes, sleepMs: 17 * minuteMs, runs: 3});
  t.deepEqual(await records(world), ['09:05 succeeded', '09:10 succeeded', '09:15 succeeded']);
});

test('after such a sleep a wildcard job runs for the present minute only, and says what it missed', async (t) => {
  const world = await sleepThrough(t, {crontab: everyTen, sleepMs: 29 * minuteMs + 10 * secondMs, runs: 1});
  t.deepEqual(await records(world), ['09:10 skipped missed', '09:20 skipped missed', '09:30 succeeded']);
});

test('beyond three hours the clock was set: only the present minute runs', async (t) => {
  const world = await sleepThrough(t, {
    crontab: '30 9,10 * * * true\n0 13 * * * true\n',
    sleepMs: 3 * hourMs + 59 * minuteMs,
    runs: 1,
  });
  t.deepEqual(await records(world), ['09:30 skipped missed', '10:30 skipped missed', '13:00 succeeded']);
});

test('of a leap of years only the newest fifty misses are recorded', async (t) => {
  const world = await sleepThrough(t, {crontab: '* * * * * true\n', sleepMs: 4 * 365 * 24 * hourMs, runs: 1});
  const all = await world.runs();
  t.is(all.filter(({reason}) => reason === 'missed').length, 49);
  t.is(all[0]?.status, 'succeeded');
});

test('a minute that has begun is not lost where its line is replaced before anybody looked at the clock', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T10:00:30Z'});
  await world.put('* * * * * echo former\n');
  await world.clock.advance(secondMs);
  world.stepClock(40 * secondMs);
  await world.put('* * * * * echo present\n');
  await world.clock.advance(minuteMs);
  await world.finished(2);
  t.deepEqual(
    (await world.runs()).map(({scheduled_at, command}) => `${scheduled_at.slice(11, 16)} ${command}`),
    ['10:02 echo present', '10:01 echo former'],
  );
});

test('the first minute after a clock went back is not lost, also where that is seen later', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T10:00:30Z'});
  await world.put('* * * * * true\n');
  await world.clock.advance(secondMs);
  world.stepClock(-15 * minuteMs + 5 * secondMs);
  await world.clock.advance(30 * secondMs);
  await world.finished(1);
  t.deepEqual(await records(world), ['09:46 succeeded']);
});

test('a line that came after a clock went back does not run for a minute before it', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T10:00:30Z'});
  await world.clock.advance(secondMs);
  world.stepClock(-15 * minuteMs + 5 * secondMs);
  await world.clock.advance(25 * secondMs);
  await world.put('* * * * * true\n');
  await world.clock.advance(10 * secondMs);
  t.deepEqual(await records(world), []);
});

test('after a clock went back, fixed times are not repeated and wildcard jobs follow the clock', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:59:30Z'});
  await world.put('0 10 * * * echo fixed\n*/5 * * * * echo wildcard\n');
  await world.clock.advance(minuteMs);
  await world.finished(2);
  world.stepClock(-32 * minuteMs);
  await world.clock.advance(33 * minuteMs);
  await world.finished(8);
  t.deepEqual(await records(world), [
    '09:30 succeeded',
    '09:35 succeeded',
    '09:40 succeeded',
    '09:45 succeeded',
    '09:50 succeeded',
    '09:55 succeeded',
    '10:00 succeeded',
    '10:00 succeeded',
  ]);
});

test('a missed run is made up for once, where its line asks for that and it is not too late', async (t) => {
  const crontab =
    '# branchtab: name=soon catchup=1h\n*/10 * * * * true\n# branchtab: name=never\n*/10 * * * * true\n' +
    '# branchtab: name=late catchup=5m\n*/20 * * * * true\n';
  const world = await sleepThrough(t, {crontab, sleepMs: 28 * minuteMs, runs: 1});
  const all = (await world.runs()).reverse();
  const of = (name: string) =>
    all
      .filter(({entry_name}) => entry_name === name)
      .map(({scheduled_at, status, reason}) => `${scheduled_at.slice(11, 16)} ${status} ${reason}`);
  t.deepEqual(of('soon'), ['09:10 skipped missed', '09:20 succeeded catchup']);
  t.deepEqual(of('never'), ['09:10 skipped missed', '09:20 skipped missed']);
  t.deepEqual(of('late'), ['09:20 skipped missed']);
});

test('where the present minute runs, nothing is made up for', async (t) => {
  const crontab = '# branchtab: catchup=1h\n*/10 * * * * true\n';
  const world = await sleepThrough(t, {crontab, sleepMs: 29 * minuteMs + 10 * secondMs, runs: 1});
  t.deepEqual(await records(world), ['09:10 skipped missed', '09:20 skipped missed', '09:30 succeeded']);
});

test('what went by while no runtime was there is made up for once', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('# branchtab: catchup=10m\n*/2 * * * * true\n');
  world.clock.step(7 * minuteMs);
  const again = await world.reopen();
  await again.finished(1);
  t.deepEqual(await records(again), [
    '09:02 skipped runtime_down',
    '09:04 skipped runtime_down',
    '09:06 succeeded catchup',
  ]);
  const third = await again.reopen();
  t.is((await third.runs()).length, 3);
});

test('a fixed time that summer time swallows runs right after the gap and says so', async (t) => {
  const world = await createCronWorld(t, {at: '2026-03-29T00:58:00Z', defaultTimeZone: 'Europe/Berlin'});
  await world.put('30 2 * * * true\n0 3 * * * true\n*/30 * * * * true\n');
  await world.clock.advance(5 * minuteMs);
  await world.finished(3);
  t.deepEqual(
    (await world.runs())
      .map(({schedule, scheduled_at, reason, lateness_ms}) => [schedule, scheduled_at, reason, lateness_ms])
      .sort(),
    [
      ['*/30 * * * *', '2026-03-29T01:00:00.000Z', null, 0],
      ['0 3 * * *', '2026-03-29T01:00:00.000Z', null, 0],
      ['30 2 * * *', '2026-03-29T01:00:00.000Z', 'dst_gap', 0],
    ],
  );
});
