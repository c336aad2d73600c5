import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {commandLine} from '../helpers/command-line.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld, importBranches, type Teardown} from '../helpers/git-world.ts';

const minutely = '* * * * * echo tick\n';
const stale = Array.from({length: 300}, (_, index) => `stale/${index}`);

async function repositoryWith(t: Teardown, branches: readonly string[]) {
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  await importBranches(repository, branches, () => ({'.hoody/crontab': minutely}));
  return repository;
}

test('300 branches that were there before start nothing: not unasked, and with a yes live alone', async (t) => {
  t.timeout(180_000);
  const world = await createCommandWorld(t);
  const repository = await repositoryWith(t, stale);
  const state = join(world.directory, 'state');
  const flags = ['--state', state, '--listen', '127.0.0.1:0', '--repo', repository.path];
  t.teardown(() => world.run(['down', '--purge', '--yes', '--state', state]));

  const refused = await world.run(['up', ...flags, '--json']);
  t.is(refused.code, 2);
  t.like(JSON.parse(refused.stderr), {code: 'CONFIRMATION_NEEDED', details: {unasked: 5}});
  t.regex(JSON.parse(refused.stderr).message, /30\d of its branches.*--yes/);

  const words = [...commandLine, 'up', ...flags].map((word) => `'${word}'`).join(' ');
  const inTerminal = () =>
    world.start(['script', '-qefc', `stty cols 160 rows 40; exec ${words}`, '/dev/null'], {
      env: {TERM: 'xterm', SHELL: '/bin/sh', NO_COLOR: '1'},
    });
  const declined = inTerminal();
  const plan = await declined.untilOutput(/Type "yes" to go on: /);
  t.regex(plan, /main +\d jobs? +live: runs\r\n/);
  t.regex(plan, /stale\/\d+ +1 job +waits/);
  t.regex(plan, /and 28\d more/);
  declined.type('no\r');
  t.is(await declined.exited, 1);
  t.regex(declined.stdout(), /Nothing was started/);
  const interrupted = inTerminal();
  await interrupted.untilOutput(/Type "yes" to go on: /);
  interrupted.type('\u0003');
  t.is(await interrupted.exited, 1);
  t.regex(interrupted.stdout(), /Nothing was started/);

  const up = inTerminal();
  await up.untilOutput(/Type "yes" to go on: /);
  up.type('yes\r');
  await up.untilOutput(/main live.*running/);
  const status = async () => (await world.run(['status', '--state', state, '--json'])).stdout;
  const {items} = JSON.parse(await status()) as {items: {branch: string; container: unknown}[]};
  t.true(items.length > stale.length);
  t.deepEqual(
    items.filter(({container}) => container !== null).map(({branch}) => branch),
    ['main'],
  );
  const shown = await world.run(['status', '--state', state]);
  t.is(shown.code, 0, shown.stdout);
  t.regex(shown.stdout, /30\d preview\(s\) that were there before wait for a push or `branchtab release/);
});

test('a preview that waits runs once it is released or pushed, and a restart asks nothing again', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const command = await createCommandWorld(t);
  const repository = await repositoryWith(t, stale.slice(0, 6));
  const flags = ['--state', world.stateDirectory, '--listen', '127.0.0.1:0', '--repo', repository.path];
  const words = [...commandLine, 'up', ...flags].map((word) => `'${word}'`).join(' ');
  const up = command.start(['script', '-qefc', `exec ${words}`, '/dev/null'], {env: {SHELL: '/bin/sh'}});
  await up.untilOutput(/Type "yes" to go on: /);
  up.type('yes\r');
  await up.untilOutput(/main.*running/);
  t.is((await world.run('down')).code, 0);

  const controller = await world.up('--repo', repository.path);
  await controller.until('main', ({container}) => container?.state === 'running');
  const job = await world.run('release', 'stale/0', 'echo', '--json');
  t.is(JSON.parse(job.stderr).code, 'BRANCH_PAUSED');
  t.is((await world.run('release', 'stale/0')).code, 0);
  await controller.until('stale/0', active(await repository.git('rev-parse', 'stale/0')));
  const pushed = await repository.commit('stale/1', {'.hoody/crontab': `${minutely}${minutely}`});
  await controller.until('stale/1', active(pushed));
  const fresh = await repository.commit('fresh', {'.hoody/crontab': minutely});
  await controller.until('fresh', active(fresh));
  const waiting = await controller.client.branch('stale/2');
  t.is(waiting.container, null);
  t.like(
    waiting.conditions.find(({type}) => type === 'Ready'),
    {status: 'False', reason: 'first_contact'},
  );
});

test('with --yes all branches of a repository that is new run at once', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await repositoryWith(t, stale.slice(0, 6));
  const controller = await world.up('--repo', repository.path, '--yes');
  for (const name of stale.slice(0, 6))
    await controller.until(name, ({container}) => container?.state === 'running');
  t.false((await world.run('status')).stdout.includes('wait for a push'));
});

test('a repository that could not be read when it was new is met with care later', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const readable = await createGitWorld(t, {fixture: 'simple', bare: true});
  const repository = await repositoryWith(t, stale.slice(0, 6));
  const damaged = join(repository.path, 'refs/heads/damaged');
  await writeFile(damaged, 'not a commit id\n');
  const controller = await world.up(
    '--repo',
    repository.path,
    '--repo',
    readable.path,
    '--branches',
    'main,stale/*',
  );
  await rm(damaged);
  await world.run('reconcile', '--no-wait');
  const waiting = await controller.until('stale/0', ({conditions}) =>
    conditions.some(({reason}) => reason === 'first_contact'),
  );
  t.is(waiting.container, null);
});
