import test from 'ava';
import {type CronWorld, createCronWorld} from '../../helpers/cron-world.ts';

const secondMs = 1000;
const minuteMs = 60 * secondMs;

/** Oldest first, such as `09:02 skipped runtime_down`; runs of the schedule alone. */
async function records({runs}: CronWorld): Promise<string[]> {
  return (await runs())
    .filter(({attempt}) => attempt === 1)
    .map(({scheduled_at, status, reason}) => `${scheduled_at.slice(11, 16)} ${status} ${reason}`)
    .reverse();
}

test('a further try that was to come hides no minute that nobody saw', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:01:59Z'});
  await world.put('# branchtab: retries=4\n*/2 * * * * false\n');
  for (const [tries, waitSeconds] of [1, 10, 20, 40].entries()) {
    await world.clock.advance(waitSeconds * secondMs);
    await world.finished(tries + 1);
  }
  t.is((await world.runs())[0]?.scheduled_at, '2026-05-18T09:04:30.000Z');
  world.clock.step(70 * secondMs);
  const again = await world.reopen();
  t.deepEqual(await records(again), ['09:02 failed null', '09:04 skipped runtime_down']);
});

test('a run by hand hides no minute that is not on record yet', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('* * * * * true\n');
  await world.clock.advance(minuteMs);
  await world.finished(1);
  world.clock.step(minuteMs);
  const {entries} = await world.cron.listEntries('root', {page: 1, limit: 1});
  for (const entry of entries) if ('id' in entry) await world.cron.runEntry('root', entry.id ?? '');
  await world.finished(2);
  world.clock.step(minuteMs);
  const again = await world.reopen();
  t.deepEqual(await records(again), [
    '09:01 succeeded null',
    '09:02 skipped runtime_down',
    '09:02 succeeded manual',
    '09:03 skipped runtime_down',
  ]);
});

test('a start at the very instant of a due minute leaves it a record', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('* * * * * true\n');
  world.clock.step(90 * secondMs);
  const again = await world.reopen();
  await again.clock.advance(minuteMs);
  await again.finished(1);
  t.deepEqual(await records(again), [
    '09:01 skipped runtime_down',
    '09:02 skipped runtime_down',
    '09:03 succeeded null',
  ]);
});

test('a crontab that changes before the schedule begins hides no minute that nobody saw', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('* * * * * true\n');
  world.clock.step(2 * minuteMs);
  const again = await world.reopen({state: 'not_started'});
  await again.put('* * * * * true\n# and more\n');
  again.cron.setScheduleState('running');
  again.cron.start({reboot: false});
  t.deepEqual(await records(again), ['09:01 skipped runtime_down', '09:02 skipped runtime_down']);
});

test('a line that is gone before the schedule begins is not made up for', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('# branchtab: catchup=10m\n* * * * * true\n');
  world.clock.step(minuteMs);
  const again = await world.reopen({state: 'not_started'});
  await again.put('');
  again.cron.setScheduleState('running');
  again.cron.start({reboot: false});
  t.deepEqual(await records(again), ['09:01 skipped runtime_down']);
});

test('S49: an entry that expired while no runtime was there is not made up for', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  const input = {schedule: '* * * * *', command: 'true', catchup: '10m'};
  await world.cron.createEntry('root', {...input, expires_at: '2026-05-18T09:01:30Z'});
  world.clock.step(minuteMs);
  const again = await world.reopen();
  t.deepEqual(await records(again), ['09:01 skipped runtime_down']);
});
