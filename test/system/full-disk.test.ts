import {join, resolve} from 'node:path';
import test from 'ava';
import {startRuntime} from '../helpers/runtime-process.ts';
import {canMount, mountSmallDisk} from '../helpers/small-disk.ts';

const diskTest = canMount ? test : test.skip;
if (!canMount) console.log('SKIP a runtime on a full disk: needs root on Linux');

diskTest(
  'on a full disk a runtime refuses what needs room, starts again, and free space heals it',
  async (t) => {
    const disk = await mountSmallDisk(t, {sizeMiB: 8});
    const flags = ['--data', join(disk.path, 'store')];
    const ask = async (url: string, method: string, path: string, body: unknown) => {
      const headers = {'Content-Type': 'application/json'};
      const answer = await fetch(url + path, {method, headers, body: JSON.stringify(body)});
      const {code} = (await answer.json()) as {code?: string};
      return `${answer.status} ${code ?? ''}`.trim();
    };
    const text = async (url: string) =>
      (await fetch(`${url}/users/root/crontab`, {headers: {Accept: 'text/plain'}})).text();
    const crontab = '0 1 1 1 * old\n';
    const put = (url: string, next: string) => ask(url, 'PUT', '/users/root/crontab', {crontab: next});
    const entry = {schedule: '@yearly', command: 'true'};

    const first = await startRuntime(t, flags);
    t.is(await put(first.url, crontab), '200');
    disk.fill();
    t.is(await put(first.url, '0 2 1 1 * new\n'), '507 STORAGE_FULL');
    t.is(await ask(first.url, 'POST', '/users/root/entries', entry), '507 STORAGE_FULL');
    t.is(await text(first.url), crontab);

    process.kill(first.pid, 'SIGKILL');
    const second = await startRuntime(t, flags);
    t.is(await text(second.url), crontab);
    t.is(await put(second.url, '0 2 1 1 * new\n'), '507 STORAGE_FULL');
    disk.free();
    t.is(await put(second.url, '0 2 1 1 * new\n'), '200');
    t.is(await ask(second.url, 'POST', '/users/root/entries', entry), '201');
  },
);

diskTest('a runtime that finds no room for its first files says so and exits 1', async (t) => {
  const disk = await mountSmallDisk(t, {sizeMiB: 1});
  disk.fill();
  const words = ['runtime', '--data', join(disk.path, 'store'), '--listen', '127.0.0.1:0'];
  const started = Bun.spawn({
    cmd: [process.execPath, resolve('runtime/start.ts'), ...words],
    env: {PATH: '/usr/bin:/bin'},
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(() => started.kill('SIGKILL'));
  t.is(
    await new Response(started.stderr).text(),
    'branchtab runtime: The disk of --data is full. Free some space and start it again.\n',
  );
  t.is(await started.exited, 1);
});
