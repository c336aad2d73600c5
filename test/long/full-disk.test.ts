import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {systemClock} from '../../runtime/platform/clock.ts';
import {runListSchema} from '../../schemas/run.ts';
import {startRuntime} from '../helpers/runtime-process.ts';
import {canMount, mountSmallDisk} from '../helpers/small-disk.ts';

const diskTest = canMount ? test : test.skip;
if (!canMount) console.log('SKIP minutes that are due on a full disk: needs root on Linux');

const minuteMs = 60_000;
const lookAgainMs = 200;

diskTest('a minute that is due on a full disk runs once, and only when its run is on record', async (t) => {
  t.timeout(6 * minuteMs);
  const disk = await mountSmallDisk(t, {sizeMiB: 8});
  const outside = await mkdtemp(join(tmpdir(), 'full-disk-'));
  t.teardown(() => rm(outside, {recursive: true, force: true}));
  const {url} = await startRuntime(t, ['--data', join(disk.path, 'store')]);
  const crontab = `* * * * * echo ran >> ${outside}/ran\n`;
  const headers = {'Content-Type': 'text/plain'};
  t.is((await fetch(`${url}/users/root/crontab`, {method: 'PUT', headers, body: crontab})).status, 200);
  const ends = async () => {
    const {items} = runListSchema.parse(await (await fetch(`${url}/users/root/runs?limit=200`)).json());
    return items.filter(({status}) => status === 'succeeded').map(({scheduled_at}) => scheduled_at);
  };
  const lines = async () => (await readFile(join(outside, 'ran'), 'utf8')).split('\n').length - 1;
  const until = async (count: number) => {
    while ((await ends()).length < count) await systemClock.sleep(lookAgainMs);
  };

  await until(1);
  disk.fill();
  const nextMinuteMs = Math.ceil(Date.now() / minuteMs) * minuteMs;
  await systemClock.sleep(nextMinuteMs + 2000 - Date.now());
  t.is((await ends()).length, 1);
  t.is(await lines(), 1);
  disk.free();
  await until(2);
  t.is((await ends())[0], new Date(nextMinuteMs).toISOString());
  t.is(await lines(), 2);
});
