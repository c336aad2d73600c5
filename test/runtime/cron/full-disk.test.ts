import {Database} from 'bun:sqlite';
import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type CronHttp, createCronHttp} from '../../helpers/cron-http.ts';
import {canMount, mountSmallDisk, type SmallDisk} from '../../helpers/small-disk.ts';

const diskTest = canMount ? test : test.skip;
if (!canMount) console.log('SKIP cron on a full disk: needs root on Linux');

const secondMs = 1000;
const minuteMs = 60 * secondMs;

async function createWorld(t: ExecutionContext): Promise<{world: CronHttp; disk: SmallDisk}> {
  const disk = await mountSmallDisk(t, {sizeMiB: 4});
  const world = await createCronHttp(t, {
    directory: join(disk.path, 'cron'),
    dataDirectory: disk.path,
    at: '2026-05-18T09:00:30Z',
  });
  return {world, disk};
}

/** Oldest first, such as `09:02 skipped storage_full`. */
async function records({runs}: Pick<CronHttp, 'runs'>): Promise<string[]> {
  return (await runs())
    .map(({scheduled_at, status, reason}) => `${scheduled_at.slice(11, 16)} ${status} ${reason}`)
    .reverse();
}

async function refused(t: ExecutionContext, answer: Promise<Response>): Promise<void> {
  const {status, json} = await answer.then(async (response) => ({
    status: response.status,
    json: (await response.json()) as {code: string; message: string},
  }));
  t.is(status, 507, json.message);
  t.is(json.code, 'STORAGE_FULL');
  t.regex(json.message, /Free some space/);
}

diskTest('a PUT on a full disk is refused, the old text stays and free space heals', async (t) => {
  const {world, disk} = await createWorld(t);
  await world.put('0 1 * * * old\n');
  disk.fill();
  await refused(t, world.putText('/users/root/crontab', `0 2 * * * new\n${'#\n'.repeat(5000)}`));
  t.is(await world.text(), '0 1 * * * old\n');
  t.deepEqual(await readdir(join(disk.path, 'cron', 'crontabs')), ['root.crontab']);
  const again = await world.reopen();
  t.is(await again.text(), '0 1 * * * old\n');
  disk.free();
  await again.put('0 2 * * * new\n');
  t.is(await again.text(), '0 2 * * * new\n');
});

diskTest('whatever else needs room is refused too, and changes nothing', async (t) => {
  const {world, disk} = await createWorld(t);
  await world.put('0 0 * * * stays\n');
  const {id} = await world.cron.createEntry('root', {schedule: '0 1 * * *', command: 'true'});
  const text = await world.text();
  disk.fill();
  await refused(t, world.sendJson('POST', '/users/root/entries', {schedule: '0 2 * * *', command: 'true'}));
  await refused(t, world.sendJson('PATCH', `/users/root/entries/${id}`, {command: 'false'}));
  await refused(t, world.send('DELETE', `/users/root/entries/${id}`));
  await refused(t, world.sendJson('POST', `/users/root/entries/${id}/pause`, {}));
  await refused(t, world.sendJson('POST', `/users/root/entries/${id}/run`, {}));
  t.is(await world.text(), text);
  t.like(await world.cron.getEntry('root', id), {paused: null, last_run: null});
});

diskTest('S49: an entry that ends on a full disk does not run, and the crontab can be read', async (t) => {
  const {world, disk} = await createWorld(t);
  await world.put('0 1 * * * stays\n');
  const input = {schedule: '* * * * *', command: 'true', expires_at: '2026-05-18T09:00:50Z'};
  await world.cron.createEntry('root', input);
  disk.fill();
  await world.clock.advance(minuteMs);
  t.is((await world.get('/users/root/crontab')).status, 200);
  t.is(await world.text(), '0 1 * * * stays\n');
  t.deepEqual(await records(world), []);
  disk.free();
  const written = new Promise<void>((resolve) => {
    world.cron.on(({type}) => {
      if (type === 'crontab_changed') resolve();
    });
  });
  await world.clock.advance(5 * secondMs);
  await written;
  const again = await world.reopen();
  t.is(await again.text(), '0 1 * * * stays\n');
});

diskTest(
  'a due minute on a full disk does not run unclaimed, and has its record once there is room',
  async (t) => {
    const {world, disk} = await createWorld(t);
    await world.put('1,9 9 * * * touch ran-$$\n');
    disk.fill();
    await world.clock.advance(9 * minuteMs);
    t.deepEqual(await records(world), []);
    disk.free();
    await world.clock.advance(30 * secondMs);
    await world.finished(1);
    t.deepEqual(await records(world), ['09:01 skipped storage_full', '09:09 succeeded null']);
    const ran = (await readdir(disk.path)).filter((name) => name.startsWith('ran-'));
    t.is(ran.length, 1);
  },
);

diskTest('a job that fills the disk does not lose its end', async (t) => {
  const {world, disk} = await createWorld(t);
  await world.put('1 9 * * * dd if=/dev/zero of=flood bs=4k 2>/dev/null; echo full; exit 3\n');
  await world.clock.advance(minuteMs);
  await world.finished(1);
  t.deepEqual(await records(world), ['09:01 running null']);
  await rm(join(disk.path, 'flood'));
  await world.clock.advance(30 * secondMs);
  t.deepEqual(await records(world), ['09:01 failed null']);
  t.like((await world.runs())[0], {exit_code: 3, stdout: 'full\n'});
});

diskTest(
  'a service that starts on a full disk serves what there is, and records when there is room',
  async (t) => {
    const {world, disk} = await createWorld(t);
    await world.put('* * * * * true\n');
    world.clock.step(minuteMs);
    disk.fill();
    const again = await world.reopen();
    t.is(await again.text(), '* * * * * true\n');
    disk.free();
    await again.clock.advance(minuteMs);
    await again.finished(1);
    t.deepEqual(await records(again), ['09:01 skipped runtime_down', '09:02 succeeded null']);
  },
);

diskTest('what a killed runtime left running is interrupted as soon as there is room for that', async (t) => {
  const {world, disk} = await createWorld(t);
  await world.put('1 9 * * * echo ran\n');
  await world.clock.advance(minuteMs);
  await world.finished(1);
  const database = new Database(join(disk.path, 'cron', 'runs.db'));
  database.run("UPDATE runs SET status = 'running', finished_ms = NULL, exit_code = NULL");
  database.close();
  disk.fill();
  const again = await world.reopen();
  t.deepEqual(await records(again), ['09:01 running null']);
  disk.free();
  await again.clock.advance(30 * secondMs);
  t.deepEqual(await records(again), ['09:01 interrupted runtime_died']);
  t.is((await again.runs())[0]?.stdout, 'ran\n');
});
