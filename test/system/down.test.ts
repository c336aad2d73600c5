import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createCommandWorld} from '../helpers/command-world.ts';
import {active, type ControllerWorld, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

/** Two seconds are promised when no job runs; a busy test machine gets more. */
const boundMs = 10_000;

/** A controller with a running container, and a script that counts in its data directory. */
async function running(t: Parameters<typeof createControllerWorld>[0]) {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const commit = await repository.commit('main', {
    '.hoody/exec/count.ts': `import {appendFileSync, readFileSync} from 'node:fs';
appendFileSync('count.txt', 'x');
return readFileSync('count.txt', 'utf8');
`,
  });
  const up = async () => {
    const controller = await world.up('--repo', repository.path);
    const main = await controller.until(
      'main',
      (branch) => active(commit)(branch) && branch.container?.state === 'running',
    );
    const count = async () => (await fetch(`${main.container?.urls.exec}/count`)).text();
    return {controller, main, count};
  };
  return {world, repository, up};
}

async function gone(world: ControllerWorld): Promise<boolean> {
  return (await world.processes()).length === 0;
}

test('down stops the controller and every container; up starts them again with their data', async (t) => {
  const {world, up} = await running(t);
  const {controller, main, count} = await up();
  t.is(await count(), 'x');
  t.false(await gone(world));
  const startedMs = Date.now();
  const {code, stdout} = await world.run('down', '--json');
  const tookMs = Date.now() - startedMs;
  t.log(`down took ${tookMs} ms`);
  t.true(tookMs < boundMs, `${tookMs} ms`);
  t.is(code, 0);
  t.deepEqual(JSON.parse(stdout), {stopped: 2, removed: 0});
  t.is(await controller.exited, 0);
  t.true(await gone(world));

  const again = await up();
  t.is(again.main.container?.id, main.container?.id);
  t.is(await again.count(), 'xx');
});

test('down after kill -9 of the controller stops its containers', async (t) => {
  const {world, up} = await running(t);
  const {controller} = await up();
  await controller.kill();
  t.false(await gone(world));
  t.is((await world.run('down')).code, 0);
  t.true(await gone(world));
});

test('down works from a directory that is no repository, and twice in a row', async (t) => {
  const {world, up} = await running(t);
  await up();
  const elsewhere = await createCommandWorld(t);
  const words = ['down', '--json', '--state', world.stateDirectory];
  t.like(await elsewhere.run(words), {code: 0, stdout: '{"stopped":2,"removed":0}\n'});
  t.true(await gone(world));
  t.like(await elsewhere.run(words), {code: 0, stdout: '{"stopped":0,"removed":0}\n'});
});

test('down where nothing ever ran says so and makes nothing', async (t) => {
  const world = await createCommandWorld(t);
  const {code, stderr} = await world.run(['down', '--state', join(world.directory, 'state')]);
  t.is(code, 0);
  t.regex(stderr, /Nothing runs/);
  t.false((await readdir(world.directory)).includes('state'));
});

test('down finds a controller whose controller.json is torn', async (t) => {
  const {world, up} = await running(t);
  const {controller} = await up();
  await writeFile(join(world.stateDirectory, 'controller.json'), '{"url": "http');
  t.is((await world.run('down')).code, 0);
  t.is(await controller.exited, 0);
  t.true(await gone(world));
});

test('down --purge lists what is lost and leaves neither files nor processes', async (t) => {
  const {world, up} = await running(t);
  const {main} = await up();
  const {code, stdout, stderr} = await world.run('down', '--purge', '--yes', '--json');
  t.is(code, 0);
  t.deepEqual(JSON.parse(stdout), {stopped: 2, removed: 2});
  t.true(stderr.includes(main.container?.id ?? 'no container'));
  t.regex(stderr, /data directory, hand-made entries and run records/);
  t.true(await gone(world));
  t.deepEqual(await readdir(world.stateDirectory), ['lock']);
});

test('down ends a job that left its session', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const commit = await repository.commit('main', {
    '.hoody/exec/escape.ts': `import {spawn} from 'node:child_process';
spawn('setsid', ['sleep', '4711'], {detached: true, stdio: 'ignore'}).unref();
return 'away';
`,
  });
  const main = await controller.until('main', active(commit));
  t.is(await (await fetch(`${main.container?.urls.exec}/escape`)).text(), 'away');
  const sleeper = await sleeperAmong(await world.processes());
  t.not(sleeper, undefined);
  t.is((await world.run('down')).code, 0);
  t.true(await gone(world));
  t.is(await sleeperAmong([sleeper ?? 0]), undefined);
});

test('down stops a controller on a branch that is stalled too', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  await repository.commit('main', {'.hoody/crontab': '61 * * * * true\n'});
  await controller.until('main', (branch) => isTrue(branch, 'Stalled'));
  t.is((await world.run('down')).code, 0);
  t.true(await gone(world));
});

async function sleeperAmong(pids: readonly number[]): Promise<number | undefined> {
  for (const pid of pids) {
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (words.startsWith('sleep\0') && words.includes('4711')) return pid;
  }
  return undefined;
}
