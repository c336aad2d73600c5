import {existsSync, type FSWatcher, watch} from 'node:fs';
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld, isTrue, type RunningController} from '../helpers/controller-world.ts';
import {wrongMinutes} from '../helpers/due-minutes.ts';
import {createPushWorld} from '../helpers/git-world.ts';

const minutely = '* * * * * echo at $HOODY_COMMIT\n';
const alsoHourly = `${minutely}0 * * * * true\n`;

/** Kills the controller as soon as its log says that it took this step. */
async function killAfter(
  controller: RunningController,
  stateDirectory: string,
  action: string,
): Promise<void> {
  const path = join(stateDirectory, 'controller.log');
  const before = (await readFile(path)).length;
  const {promise, resolve} = Promise.withResolvers<void>();
  const look = async () => {
    const text = (await readFile(path)).subarray(before).toString();
    if (text.includes(`"action":"${action}"`)) resolve();
  };
  const watcher: FSWatcher = watch(path, () => void look());
  await promise;
  watcher.close();
  await controller.kill();
}

test('kill -9 of the controller in the middle of create, change, revert and delete converges to the same state', async (t) => {
  t.timeout(240_000);
  const world = await createControllerWorld(t);
  const repository = await createPushWorld(t);
  await repository.push('main', {'README.md': 'no schedule here\n'});
  const up = () => world.up('--repo', repository.origin.path, '--undo-window', '0');
  let controller = await up();
  let activeSinceMs = Number.POSITIVE_INFINITY;

  for (const [index, action] of [
    'create_container',
    'start_container',
    'put_environment',
    'sync_workspace',
    'put_crontab',
  ].entries()) {
    const name = `created-${index}`;
    const killed = killAfter(controller, world.stateDirectory, action);
    const commit = await repository.push(name, {
      '.hoody/crontab': minutely,
      '.hoody/exec/hello.ts': 'return 1;\n',
    });
    await killed;
    controller = await up();
    // The killed one may have come to its end all the same; the next one says so before it has looked.
    const branch = await controller.until(
      name,
      (each) => active(commit)(each) && each.container?.state === 'running',
    );
    activeSinceMs = index === 0 ? Date.now() : activeSinceMs;
    t.is(await controller.crontab(branch), minutely, action);
  }
  t.is((await readdir(join(world.stateDirectory, 'containers'))).length, 5);

  for (const {text, action} of [
    {text: alsoHourly, action: 'put_environment'},
    {text: minutely, action: 'put_crontab'},
    {text: alsoHourly, action: 'sync_workspace'},
  ]) {
    const killed = killAfter(controller, world.stateDirectory, action);
    const commit = await repository.push('created-0', {'.hoody/crontab': text});
    await killed;
    controller = await up();
    t.is(await controller.crontab(await controller.until('created-0', active(commit))), text);
  }
  t.deepEqual(wrongMinutes(await controller.runs('created-0'), 'echo at', activeSinceMs, Date.now()), []);

  for (const name of ['created-1', 'created-2']) {
    const killed = killAfter(controller, world.stateDirectory, 'remove_container');
    await repository.deleteBranch(name);
    await killed;
    controller = await up();
    await controller.untilForgotten(name);
  }
  await controller.kill();
  await repository.deleteBranch('created-3');
  controller = await up();
  await controller.untilForgotten('created-3');
  t.is((await readdir(join(world.stateDirectory, 'containers'))).length, 2);
});

test('a controller that was killed adopts its containers: nothing restarts', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createPushWorld(t, {fixture: 'simple'});
  const first = await world.up('--repo', repository.origin.path);
  const commit = await repository.push('feature/x', {'.hoody/crontab': minutely});
  const before = await first.until('feature/x', active(commit));
  // A start that a kill cuts off is begun anew, so all of them are to be over.
  for (const {branch} of await first.client.branches())
    await first.until(branch, (each) => isTrue(each, 'Ready') && each.container?.state === 'running');
  const runtimes = await runtimesOf(world.stateDirectory);
  t.is(runtimes.length, 3);
  const processes = new Set(await world.processes());
  t.true(runtimes.every((pid) => processes.has(pid)));
  // What ends by itself, such as a helper of a deployment, is no restart; what begins would be one.
  const begun = async () => (await world.processes()).filter((pid) => !processes.has(pid));
  await first.kill();
  t.deepEqual(await begun(), []);

  const second = await world.up('--repo', repository.origin.path);
  const after = await second.until('feature/x', active(commit));
  t.is(after.container?.id, before.container?.id);
  t.deepEqual(await begun(), []);
  t.deepEqual(await runtimesOf(world.stateDirectory), runtimes);
});

/** Process ids of the runtimes that are on record, and run. */
async function runtimesOf(stateDirectory: string): Promise<number[]> {
  const containers = join(stateDirectory, 'containers');
  const pids = (await readdir(containers)).map(async (id) => {
    const {process: known} = JSON.parse(await readFile(join(containers, id, 'container.json'), 'utf8'));
    return Number(known?.runtime.pid);
  });
  return (await Promise.all(pids)).filter((pid) => existsSync(`/proc/${pid}`)).sort();
}

test('a runtime killed with a job running comes back once, its run is interrupted, and the job does not run twice', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await createPushWorld(t, {fixture: 'simple'});
  let controller = await world.up('--repo', repository.origin.path);
  const commit = await repository.push('feature/x', {
    '.hoody/crontab': '@reboot echo started >> starts.txt; sleep 600\n',
    '.hoody/exec/starts.ts': "return require('node:fs').readFileSync('starts.txt', 'utf8');\n",
  });
  await controller.until('feature/x', active(commit));
  // A container start fires @reboot; the PUT above does not.
  await world.run('down');
  controller = await world.up('--repo', repository.origin.path);
  const [before] = await controller.untilRuns('feature/x', ([newest]) => newest?.status === 'running');
  const branch = await controller.until('feature/x', active(commit));
  const id = branch.container?.id ?? '';

  const runtimes = await runtimePids(id);
  t.is(runtimes.length, 1);
  for (const pid of runtimes) process.kill(pid, 'SIGKILL');
  const runs = await controller.untilRuns('feature/x', ([newest]) => newest?.status === 'interrupted');
  await controller.until('feature/x', active(commit));
  const restarted = await runtimePids(id);
  t.is(restarted.length, 1);
  t.notDeepEqual(restarted, runtimes);
  t.is(runs[0]?.id, before?.id);
  // Two container starts, two runs; the restart after the kill adds none.
  t.is(await (await fetch(`${branch.container?.urls.exec}/starts`)).text(), 'started\nstarted\n');
});

/** The runtime itself, told from bubblewrap and jobs by its command line. */
async function runtimePids(containerId: string): Promise<number[]> {
  const id = containerId.replace('ctr_', '');
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const words = (await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (words.includes(id) && words[0]?.endsWith('/branchtab') && words.includes('runtime'))
      found.push(Number(name));
  }
  return found;
}
