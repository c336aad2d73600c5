import test from 'ava';
import {type CronWorld, createCronWorld} from '../../helpers/cron-world.ts';

const minuteMs = 60_000;

async function onlyId({cron}: CronWorld): Promise<string> {
  const {entries} = await cron.listEntries('root', {page: 1, limit: 50});
  return entries.find(({id}) => id !== undefined)?.id ?? '';
}

async function outcomes({runs}: CronWorld): Promise<string[]> {
  return (await runs())
    .map(({scheduled_at, status, reason}) => `${scheduled_at.slice(14, 16)} ${status} ${reason}`)
    .reverse();
}

test('a paused entry leaves records of what did not run, until it is resumed', async (t) => {
  const world = await createCronWorld(t);
  await world.put('* * * * * true\n');
  const id = await onlyId(world);
  t.like(await world.cron.pauseEntry('root', id, {reason: 'migration'}), {
    paused: {reason: 'migration', since: '2026-05-18T09:00:00.000Z', until: null},
  });
  await world.clock.advance(minuteMs);
  t.like(await world.cron.resumeEntry('root', id), {paused: null});
  await world.clock.advance(minuteMs);
  await world.finished(1);
  t.deepEqual(await outcomes(world), ['01 skipped entry_paused', '02 succeeded null']);
});

test('a pause ends by itself at its deadline', async (t) => {
  const world = await createCronWorld(t);
  await world.put('* * * * * true\n');
  await world.cron.pauseEntry('root', await onlyId(world), {until: '2026-05-18T09:02:00Z'});
  await world.clock.advance(2 * minuteMs);
  await world.finished(1);
  t.deepEqual(await outcomes(world), ['01 skipped entry_paused', '02 succeeded null']);
  t.like(await world.cron.getEntry('root', await onlyId(world)), {paused: null});
});

test('a pause survives a PUT of other text and a restart', async (t) => {
  const world = await createCronWorld(t);
  await world.put('* * * * * true\n');
  const id = await onlyId(world);
  await world.cron.pauseEntry('root', id, {reason: 'why not'});
  await world.put('# moved down\nA=1\n*   * * * *  true\n');
  const again = await world.reopen();
  t.like(await again.cron.getEntry('root', id), {paused: {reason: 'why not'}});
  await again.clock.advance(minuteMs);
  t.deepEqual(await outcomes(again), ['01 skipped entry_paused']);
});

test('only the entry that was paused is paused', async (t) => {
  const world = await createCronWorld(t);
  await world.put('* * * * * true\n* * * * * echo other\n');
  await world.cron.pauseEntry('root', await onlyId(world), {});
  await world.clock.advance(minuteMs);
  await world.finished(1);
  t.like(
    (await world.runs()).find(({command}) => command === 'echo other'),
    {status: 'succeeded'},
  );
});

test('an instant that comes during a pause runs when that ends', async (t) => {
  const world = await createCronWorld(t);
  const {id} = await world.cron.createEntry('root', {command: 'true', run_at: '2026-05-18T09:05:00Z'});
  await world.cron.pauseEntry('root', id, {until: '2026-05-18T09:10:00Z'});
  await world.clock.advance(9 * minuteMs);
  t.deepEqual(await world.runs(), []);
  await world.clock.advance(2 * minuteMs);
  await world.finished(1);
  t.like((await world.runs())[0], {status: 'succeeded', scheduled_at: '2026-05-18T09:05:00.000Z'});
});

for (const until of ['tomorrow', '2026-05-18T08:00:00Z']) {
  test(`a pause until ${until} is refused`, async (t) => {
    const world = await createCronWorld(t);
    await world.put('* * * * * true\n');
    await t.throwsAsync(world.cron.pauseEntry('root', await onlyId(world), {until}), {code: 'INVALID_BODY'});
  });
}

test('a further try waits no longer than its entry may run', async (t) => {
  const world = await createCronWorld(t);
  await world.put('# branchtab: retries=1\n1 9 * * * false\n');
  await world.clock.advance(minuteMs);
  await world.finished(1);
  await world.cron.pauseEntry('root', await onlyId(world), {});
  await world.clock.advance(minuteMs);
  t.deepEqual(await outcomes(world), ['01 failed null', '01 skipped entry_paused']);
});

test('a pause follows its line to another schedule, and to nobody where that is not clear', async (t) => {
  const world = await createCronWorld(t);
  await world.put('* * * * * echo sync\n');
  await world.cron.pauseEntry('root', await onlyId(world), {reason: 'incident', owner: 'ada'});
  await world.put('*/5 * * * * echo sync\n0 0 * * * echo other\n');
  const again = await world.reopen();
  const entries = async () => (await again.cron.listEntries('root', {page: 1, limit: 50})).entries;
  const paused = (await entries()).filter((entry) => entry.paused !== null);
  t.is(paused.length, 1);
  t.like(paused[0], {line: '*/5 * * * * echo sync', paused: {reason: 'incident', owner: 'ada'}});
  // Two lines with its command: which one is meant, nobody knows.
  await again.put('1 * * * * echo sync\n2 * * * * echo sync\n');
  t.true((await entries()).every((entry) => entry.paused === null));
  // The line is back, and so is its pause.
  await again.put('*/5 * * * * echo sync\n');
  t.like((await entries())[0], {paused: {reason: 'incident'}});
});
