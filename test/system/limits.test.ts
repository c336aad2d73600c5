import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('one preview too many says which limit it is and gets its container when another goes', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(config, 'limits: {previews_per_repository: 1}\nundo_window: 0\n');
  const controller = await world.up('--repo', repository.path, '--config', config, '--branches', 'main,p*');
  const first = await repository.commit('p1', {'.hoody/crontab': '0 3 1 1 * one\n'});
  await controller.until('p1', active(first));
  const second = await repository.commit('p2', {'.hoody/crontab': '0 3 1 1 * two\n'});
  const refused = await controller.until('p2', ({conditions}) =>
    conditions.some(({reason}) => reason === 'limit_reached'),
  );
  t.is(refused.container, null);
  t.regex((await world.run('status', 'p2')).stdout, /limits\.previews_per_repository is 1/);
  await repository.deleteBranch('p1');
  await controller.until('p2', active(second));
});
