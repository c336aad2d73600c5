import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const crontab = (command: string) => ({'.hoody/crontab': `0 3 1 1 * ${command}\n`});

test('S33: a merged preview is torn down before the live branch runs what it brought, and a new commit brings it back', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path, '--undo-window', '0');
  const commit = await repository.commit('feature/billing', crontab('billing'));
  const preview = await controller.until('feature/billing', active(commit));
  await repository.git('update-ref', 'refs/heads/main', commit);
  const live = await controller.until('main', active(commit));
  const merged = await controller.until('feature/billing', ({container}) => container === null);
  t.like(
    merged.conditions.find(({type}) => type === 'Ready'),
    {status: 'False', reason: 'merged'},
  );
  t.is((await world.run('status', 'feature/billing')).code, 0);
  const left = merged.history.find(({message}) => message.includes('merged'));
  const applied = live.history.find(({revision}) => revision === commit);
  t.true((left?.at ?? '') <= (applied?.at ?? ''), `${left?.at} ${applied?.at}`);
  t.is((await fetch(`${preview.container?.urls.cron}/users/root/crontab`)).status, 404);

  const again = await repository.commit('feature/billing', crontab('billing-v2'));
  const back = await controller.until('feature/billing', active(again));
  t.is(await controller.crontab(back), '0 3 1 1 * billing-v2\n');
  await repository.deleteBranch('feature/billing');
  await controller.untilForgotten('feature/billing');
});

test('a branch that the configuration keeps outlives its merge', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(config, 'environments: [{branches: staging, keep: true}]\n');
  const controller = await world.up('--repo', repository.path, '--config', config);
  const commit = await repository.commit('staging', crontab('staging'));
  await controller.until('staging', active(commit));
  await repository.git('update-ref', 'refs/heads/main', commit);
  await controller.until('main', active(commit));
  t.is((await world.run('reconcile')).code, 0);
  t.is((await controller.client.branch('staging')).container?.state, 'running');
});

test('S33: a branch that was merged by a squash and opened again under its name has a container again', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path, '--undo-window', '0');
  const before = await controller.until(
    'feature/x',
    active(await repository.commit('feature/x', crontab('one'))),
  );
  const squashed = await repository.commit('main', crontab('one'), 'squash');
  await controller.until('main', active(squashed));
  await controller.until('feature/x', ({container}) => container === null);
  await repository.deleteBranch('feature/x');
  await controller.untilForgotten('feature/x');

  const reopened = await repository.commit('feature/x', crontab('two'));
  const after = await controller.until('feature/x', active(reopened));
  t.not(after.container?.id, before.container?.id);
  t.is(await controller.crontab(after), '0 3 1 1 * two\n');
});
