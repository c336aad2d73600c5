import {Database} from 'bun:sqlite';
import {join} from 'node:path';
import test from 'ava';
import {type CronWorld, createCronWorld} from '../../helpers/cron-world.ts';

const secondMs = 1000;
const minuteMs = 60 * secondMs;

/** Until the returned function is called, no run can be recorded, as on a full disk. */
function fillDisk(directory: string): () => void {
  const database = new Database(join(directory, 'cron', 'runs.db'));
  database.run(
    "CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
  );
  return () => {
    database.run('DROP TRIGGER full');
    database.close();
  };
}

test('a run that cannot be claimed does not start, and does once it can be', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('1 9 * * * echo ran\n');
  const free = fillDisk(world.directory);
  await world.clock.advance(minuteMs);
  t.deepEqual(await world.runs(), []);
  free();
  await world.clock.advance(30 * secondMs);
  await world.finished(1);
  const [run, ...others] = await world.runs();
  t.deepEqual(others, []);
  t.is(run?.status, 'succeeded');
  t.is(run?.scheduled_at, '2026-05-18T09:01:00.000Z');
});

test('runs that could not be claimed for longer than five minutes are recorded with the reason', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('1,9 9 * * * echo ran\n');
  const free = fillDisk(world.directory);
  await world.clock.advance(9 * minuteMs);
  free();
  await world.clock.advance(30 * secondMs);
  await world.finished(1);
  t.deepEqual(
    (await world.runs()).map(({scheduled_at, status, reason}) => ({scheduled_at, status, reason})),
    [
      {scheduled_at: '2026-05-18T09:09:00.000Z', status: 'succeeded', reason: null},
      {scheduled_at: '2026-05-18T09:01:00.000Z', status: 'skipped', reason: 'storage_full'},
    ],
  );
});

test('an end that cannot be recorded is, once it can be', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.put('1 9 * * * echo ran; exit 3\n');
  const database = new Database(join(world.directory, 'cron', 'runs.db'));
  database.run(
    "CREATE TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
  );
  await world.clock.advance(minuteMs);
  await world.finished(1);
  t.like((await world.runs())[0], {status: 'running', started_at: null});
  database.run('DROP TRIGGER full');
  database.close();
  await world.clock.advance(30 * secondMs);
  t.like((await world.runs())[0], {
    status: 'failed',
    exit_code: 3,
    stdout: 'ran\n',
    started_at: '2026-05-18T09:01:00.000Z',
  });
});

test('a run of its own instant that cannot be recorded waits, and runs once', async (t) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  await world.cron.createEntry('root', {command: 'echo once', run_at: '2026-05-18T09:01:00Z'});
  const free = fillDisk(world.directory);
  await world.clock.advance(10 * minuteMs);
  free();
  await world.clock.advance(minuteMs);
  await world.finished(1);
  t.deepEqual(
    (await world.runs()).map(({status, scheduled_at}) => ({status, scheduled_at})),
    [{status: 'succeeded', scheduled_at: '2026-05-18T09:01:00.000Z'}],
  );
  t.is(await world.text(), '');
});

const goneMeanwhile = test.macro<[(world: CronWorld, id: string) => Promise<unknown>]>(async (t, act) => {
  const world = await createCronWorld(t, {at: '2026-05-18T09:00:30Z'});
  const input = {schedule: '1 9 * * *', command: 'true', expires_at: '2026-05-18T09:02:00Z'};
  const {id} = await world.cron.createEntry('root', input);
  const free = fillDisk(world.directory);
  await world.clock.advance(minuteMs);
  await act(world, id);
  free();
  await world.clock.advance(30 * secondMs);
  t.deepEqual(
    (await world.runs()).map(({scheduled_at, status, reason}) => ({scheduled_at, status, reason})),
    [{scheduled_at: '2026-05-18T09:01:00.000Z', status: 'skipped', reason: 'storage_full'}],
  );
});

test('S49: a run that waits for room does not start when its entry has expired', goneMeanwhile, ({clock}) =>
  clock.advance(minuteMs),
);
test('a run that waits for room does not start when its entry is deleted', goneMeanwhile, ({cron}, id) =>
  cron.deleteEntry('root', id),
);
test('a run that waits for room does not start when its entry is disabled', goneMeanwhile, ({cron}, id) =>
  cron.updateEntry('root', id, {enabled: false}),
);
