import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {type Run, runListSchema} from '../../schemas/run.ts';
import {createControllerWorld, isTrue, type RunningController} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const hourly = '0 * * * * true\n';
const ready = (branch: Branch) => isTrue(branch, 'Ready');
const because = (reason: string) => (branch: Branch) =>
  branch.conditions.some((condition) => condition.type === 'Ready' && condition.reason === reason);

async function written(controller: RunningController, name: string): Promise<string> {
  const branch = await controller.until(name, ready);
  return (await fetch(`${branch.container?.urls.exec}/note`)).text();
}

const noteScript = `import {existsSync, readFileSync, writeFileSync} from 'node:fs';
const before = existsSync('note.txt') ? readFileSync('note.txt', 'utf8') : 'nothing';
writeFileSync('note.txt', 'written once');
return before;`;

test('S32 S33: a deleted branch goes to the trash and comes back with its files when it is pushed again', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const commit = await repository.commit('feature/x', {
    '.hoody/crontab': hourly,
    '.hoody/exec/note.ts': noteScript,
  });
  const controller = await world.up('--repo', repository.path);
  t.is(await written(controller, 'feature/x'), 'nothing');
  const before = await controller.until('feature/x', ready);

  await repository.deleteBranch('feature/x');
  const trashed = await controller.until('feature/x', because('trashed'));
  t.is(trashed.container?.state, 'stopped');
  t.is((await fetch(`${before.container?.urls.cron}/users/root/crontab`)).status, 404);
  t.is((await world.run('status')).code, 0);

  await repository.git('branch', 'feature/x', commit);
  t.is(await written(controller, 'feature/x'), 'written once');
  t.is((await controller.until('feature/x', ready)).container?.id, before.container?.id);
});

test('restore brings a container back paused while git lacks the branch', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const commit = await repository.commit('feature/x', {
    '.hoody/crontab': hourly,
    '.hoody/exec/note.ts': noteScript,
  });
  const controller = await world.up('--repo', repository.path);
  await written(controller, 'feature/x');
  t.is((await world.run('restore', 'feature/x')).code, 1);

  await repository.deleteBranch('feature/x');
  await controller.until('feature/x', because('trashed'));
  const restored = await world.run('restore', 'feature/x');
  t.is(restored.code, 0, restored.stderr);
  const paused = await controller.until('feature/x', (branch) => branch.container?.state === 'paused');
  t.is(await (await fetch(`${paused.container?.urls.exec}/note`)).text(), 'written once');
  t.is((await world.run('reconcile')).code, 5);
  t.is((await controller.until('feature/x', because('restored_without_branch'))).container?.state, 'paused');

  await repository.git('branch', 'feature/x', commit);
  t.is((await controller.until('feature/x', ready)).container?.state, 'running');
});

test('the live branch keeps its schedule when git loses it, until it is forgotten by hand', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path, '--undo-window', '0');
  await controller.until('main', ready);
  await repository.git('update-ref', '-d', 'refs/heads/main');
  const orphaned = await controller.until('main', because('orphaned'));
  t.is(orphaned.container?.state, 'running');

  t.is((await world.run('forget', 'main')).code, 2);
  const forgotten = await world.run('forget', 'main', '--yes');
  t.is(forgotten.code, 0, forgotten.stderr);
  await controller.untilForgotten('main');
  const left = await readdir(join(world.stateDirectory, 'containers'));
  t.false(left.includes(orphaned.container?.id.replace('ctr_', '') ?? ''));
});

test('most previews vanishing at once are paused and kept until that is confirmed', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {bare: true});
  const previews = ['p1', 'p2', 'p3', 'p4'];
  for (const name of ['main', ...previews])
    await repository.commit(name, {'.hoody/crontab': hourly}, name, {from: null});
  const controller = await world.up('--repo', repository.path, '--undo-window', '0');
  for (const name of previews) await controller.until(name, ready);

  // Packed refs vanish in one step; loose ones go one by one.
  await repository.git('pack-refs', '--all', '--prune');
  await repository.gitWithInput(
    previews.map((name) => `delete refs/heads/${name}\n`).join(''),
    'update-ref',
    '--stdin',
  );
  for (const name of previews)
    t.is((await controller.until(name, because('branch_missing'))).container?.state, 'paused');
  const told = await controller.until(
    'p1',
    ({conditions}) =>
      conditions.find(({type}) => type === 'Ready')?.message.includes('confirm-deletions') === true,
  );
  t.true(because('branch_missing')(told));
  t.is((await world.run('reconcile')).code, 5);
  t.is((await controller.client.branches()).length, 5);

  await world.run('reconcile', '--confirm-deletions', '--no-wait');
  for (const name of previews) await controller.untilForgotten(name);
  t.is((await readdir(join(world.stateDirectory, 'containers'))).length, 1);
  t.is((await controller.until('main', ready)).container?.state, 'running');
});

test('a repository that cannot be read changes nothing, and is read again when it is back', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path, '--undo-window', '0');
  const before = await controller.until('main', ready);
  const token = (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim();
  const repositoryError = async () => {
    const answer = await fetch(`${controller.url}/api/v1/repositories`, {
      headers: {Authorization: `Bearer ${token}`},
    });
    const {items} = (await answer.json()) as {items: {error: {code: string; message: string} | null}[]};
    return items[0]?.error ?? null;
  };

  await writeFile(join(repository.path, 'refs/heads/damaged'), 'not a commit id\n');
  await world.run('reconcile');
  t.is((await repositoryError())?.code, 'REPOSITORY_UNREADABLE');
  t.is((await controller.until('main', ready)).container?.id, before.container?.id);

  await rm(join(repository.path, 'refs/heads/damaged'));
  await world.run('reconcile');
  t.is(await repositoryError(), null);
});

test('a branch that is in its repository cannot be forgotten', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', ready);
  const {code, stderr} = await world.run('forget', 'main', '--yes', '--json');
  t.is(code, 1);
  t.is(JSON.parse(stderr).code, 'BRANCH_PRESENT');
});

test('what a branch did is told after it is gone, by its name', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const commit = await repository.commit('feature/x', {
    '.hoody/crontab': '# branchtab: name=report\n0 3 1 1 * echo 14 rows; exit 3\n',
  });
  const controller = await world.up('--repo', repository.path, '--undo-window', '0');
  await controller.until('feature/x', ready);
  await world.run('run', 'feature/x', 'report');
  const [run] = await controller.runs('feature/x');
  await repository.deleteBranch('feature/x');
  await controller.untilForgotten('feature/x');

  const at = run?.scheduled_at ?? '';
  const told = await world.run('runs', 'feature/x', '--on', at.slice(0, 10));
  t.is(told.code, 0, told.stderr);
  t.regex(told.stdout, /report +failed: manual +3 /);
  t.regex((await world.run('logs', 'feature/x')).stdout, /14 rows/);
  t.regex((await world.run('runs', 'feature/x', '--on', '2020-01-01')).stderr, /No runs in that time/);
  const why = await world.run('why', 'feature/x', 'report', '--at', at);
  t.regex(why.stdout, new RegExp(`failed \\(manual\\), commit ${commit.slice(0, 8)}, exit code 3`));
  t.regex(
    (await world.run('why', 'feature/x', 'report', '--at', '2020-01-01T00:00:00Z')).stdout,
    /No run of that minute/,
  );
  t.is((await world.run('runs', 'feature/never')).code, 4);
});

for (const {undo, gone} of [
  {undo: '0', gone: 'removed'},
  {undo: '1h', gone: 'in the trash'},
]) {
  test(`what a branch did is told when its runtime was dead by then: ${gone}`, async (t) => {
    const world = await createControllerWorld(t);
    const repository = await createGitWorld(t, {fixture: 'simple'});
    await repository.commit('feature/x', {
      '.hoody/crontab': [
        '# branchtab: name=report',
        '0 3 1 1 * echo 14 rows',
        '# branchtab: name=boot',
        '@reboot echo booted',
        '# branchtab: name=tick',
        '* * * * * echo tick',
        '',
      ].join('\n'),
    });
    const flags = ['--repo', repository.path, '--undo-window', undo];
    const first = await world.up(...flags);
    const branch = await first.until('feature/x', ready);
    const ours = await first.untilRuns('feature/x', (runs) =>
      runs.some(({entry_name, status}) => entry_name === 'boot' && status === 'succeeded'),
    );
    t.is((await world.run('run', 'feature/x', 'report')).code, 0);
    await first.kill();
    const id = branch.container?.id.slice('ctr_'.length) ?? '';
    for (const pid of await world.processes()) {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      if (environment.includes(id)) process.kill(pid, 'SIGKILL');
    }
    const deadAt = new Date().toISOString();
    await repository.deleteBranch('feature/x');
    const second = await world.up(...flags);
    if (undo === '0') await second.untilForgotten('feature/x');
    else await second.until('feature/x', because('trashed'));

    const told = await world.run('runs', 'feature/x', '--json');
    t.is(told.code, 0, told.stderr);
    const runs: Run[] = runListSchema.parse(JSON.parse(told.stdout)).items;
    t.true(runs.some(({entry_name, status}) => entry_name === 'report' && status === 'succeeded'));
    // It is started for its records alone: neither the minutes since then nor its @reboot lines are run.
    t.deepEqual(
      runs.filter(({started_at}) => started_at !== null && started_at > deadAt),
      [],
    );
    t.is(
      runs.filter(({entry_name, started_at}) => entry_name === 'boot' && started_at !== null).length,
      ours.filter(({entry_name}) => entry_name === 'boot').length,
    );
    const at = runs.find(({entry_name}) => entry_name === 'report')?.scheduled_at ?? '';
    t.regex((await world.run('why', 'feature/x', 'report', '--at', at)).stdout, /succeeded/);
  });
}
