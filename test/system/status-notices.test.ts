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
