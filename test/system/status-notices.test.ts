import {rename} from 'node:fs/promises';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const previews = ['p1', 'p2', 'p3', 'p4'];

test('status says that deletions are held and how to let them through', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path, '--branches', 'main,p*');
  for (const name of previews) {
    const commit = await repository.commit(name, {'.hoody/crontab': '0 * * * * true\n'});
    await controller.until(name, active(commit));
  }
  // Packed refs vanish in one step; loose ones go one by one, and the first may be let go before the rest is missed.
  await repository.git('pack-refs', '--all', '--prune');
  await repository.gitWithInput(
    previews.map((name) => `delete refs/heads/${name}\n`).join(''),
    'update-ref',
    '--stdin',
  );
  for (const name of previews) await controller.until(name, ({container}) => container?.state === 'paused');
  const held = await world.run('status');
  t.is(held.code, 5);
  t.regex(held.stdout, /4 of 4 previews are gone at once; .*reconcile --confirm-deletions/);
  t.is((await world.run('reconcile', '--confirm-deletions')).code, 0);
  t.notRegex((await world.run('status')).stdout, /gone at once/);
});

test('status says that a repository cannot be read', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', ({container}) => container?.state === 'running');
  await rename(repository.path, `${repository.path}-away`);
  await world.run('reconcile', 'main');
  t.true(
    (await world.run('status')).stdout.includes(
      `${repository.path} ${repository.path}: listing its branches`,
    ),
  );
  await rename(`${repository.path}-away`, repository.path);
  await world.run('reconcile', 'main');
  t.false((await world.run('status')).stdout.includes('listing its branches'));
});

test('what a job wrote into a file that a push changes is kept beside it, and status says so until it is removed', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const crontab = [
    '# branchtab: name=tune',
    '0 3 1 1 * echo "tuned $$" >"$HOODY_WORKSPACE/rates.txt"',
    '# branchtab: name=kept',
    '0 3 1 1 * cd "$HOODY_WORKSPACE" && head rates.txt*',
    '# branchtab: name=tidy',
    '0 3 1 1 * rm "$HOODY_WORKSPACE"/rates.txt.local-*',
    '',
  ].join('\n');
  const controller = await world.up('--repo', repository.path);
  const push = async (rates: string | null) => {
    const commit = await repository.commit('feature/x', {'.hoody/crontab': crontab, 'rates.txt': rates});
    await controller.until('feature/x', active(commit));
  };
  const run = async (job: string) => {
    const {code, stdout, stderr} = await world.run('run', 'feature/x', job);
    t.is(code, 0, stderr);
    return stdout;
  };
  const told = async () => {
    await world.run('reconcile', 'feature/x');
    const {stdout} = await world.run('status', 'feature/x');
    const json = await world.run('status', 'feature/x', '--json');
    const {notices} = await controller.client.branch('feature/x');
    for (const notice of notices) {
      t.true(stdout.includes(notice), stdout);
      t.true(json.stdout.includes(JSON.stringify(notice)), json.stdout);
    }
    return notices.filter((notice) => notice.includes('Jobs had changed files'));
  };

  await push('1\n');
  await run('tune');
  t.deepEqual(await told(), []);
  await push('2\n');
  const first = await run('kept');
  t.regex(first, /rates\.txt <==\n2\n/);
  t.regex(first, /rates\.txt\.local-1 <==\ntuned \d+\n/);
  const [notice, ...others] = await told();
  t.regex(notice ?? '', /stays as rates\.txt\.local-1 until somebody removes it/);
  t.deepEqual(others, []);

  // The second time, where the push removes the file.
  await run('tune');
  await push(null);
  const second = await run('kept');
  t.notRegex(second, /rates\.txt <==/);
  t.regex(second, /rates\.txt\.local-1 <==\ntuned \d+\n\n==> rates\.txt\.local-2 <==\ntuned \d+\n/);
  t.regex((await told()).join(), /stays as rates\.txt\.local-2 and 1 more until somebody removes it/);

  // It goes to the trash with its branch, and comes back with it.
  const tip = await repository.git('rev-parse', 'feature/x');
  await repository.deleteBranch('feature/x');
  await controller.until('feature/x', ({container}) => container?.state === 'stopped');
  t.deepEqual(await told(), []);
  await repository.git('branch', 'feature/x', tip);
  await controller.until(
    'feature/x',
    (branch) => active(tip)(branch) && branch.container?.state === 'running',
  );
  t.regex((await told()).join(), /rates\.txt\.local-2 and 1 more/);
  t.is(await run('kept'), second);
  await run('tidy');
  t.deepEqual(await told(), []);
});
