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

const jobs = '# branchtab: name=quick\n0 3 1 1 * true\n# branchtab: name=slow\n0 3 1 1 * exec sleep 60\n';

test('runs, time and disk of a preview are bounded and told with the key to change; of live they are only told', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(
    config,
    `environments:
  - {branches: '**', limits: {runs_per_day: 1}}
  - {branches: 'slow/*', limits: {run_time: 1s, runs_per_day: none}}
`,
  );
  const commit = await repository.commit('main', {'.hoody/crontab': jobs});
  const controller = await world.up('--repo', repository.path, '--config', config);
  await controller.until('main', active(commit));
  for (const name of ['p', 'slow/a'])
    await controller.until(name, active(await repository.commit(name, {'.hoody/crontab': jobs}, name)));

  t.is((await world.run('run', 'p', 'quick')).code, 0);
  const refused = await world.run('run', 'p', 'quick');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /limits\.runs_per_day.*branchtab\.yaml/);
  const ended = await world.run('run', 'slow/a', 'slow');
  t.is(ended.code, 1);
  t.regex(ended.stderr, /timed_out \(limit_run_time\)/);
  t.is((await world.run('run', 'main', 'quick')).code, 0);
  t.is((await world.run('run', 'main', 'quick')).code, 0);

  await controller.until('main', ({notices}) => notices.length > 0);
  await controller.until('slow/a', ({notices}) => notices.length > 0);
  await controller.until('p', ({notices}) => notices.length > 0);
  const {stdout, code} = await world.run('status');
  t.is(code, 0);
  t.regex(
    stdout,
    /^p notice\n {2}limits\.runs_per_day is 1, and it is reached: .* refused today\. Raise it/m,
  );
  t.regex(
    stdout,
    /^slow\/a notice\n {2}limits\.run_time is 1 s, and it is reached: 1 run was ended at that today/m,
  );
  t.regex(
    stdout,
    /^main notice\n {2}2 runs were started today, more than the 1 that a preview may .*Nothing is refused/m,
  );
});

test('a preview is held to half a CPU and 512 MB where the host can do that, live to nothing, and a change reaches both', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(config, '');
  const eat = '# branchtab: name=eat\n0 3 1 1 * exec dd bs=700M count=1 if=/dev/zero of=/dev/null\n';
  const commit = await repository.commit('main', {'.hoody/crontab': eat});
  const first = await world.up('--repo', repository.path, '--config', config);
  await first.until('main', active(commit));
  const preview = await first.until('p', active(await repository.commit('p', {'.hoody/crontab': eat}, 'p')));
  if (preview.container?.unenforced.includes('memory')) {
    t.regex((await world.run('status')).stdout, /limits\.memory.*not enforced/);
    return;
  }
  t.is((await world.run('run', 'main', 'eat')).code, 0);
  const killed = await world.run('run', 'p', 'eat');
  t.regex(killed.stderr, /killed_from_outside/);
  const at = (await first.runs('p'))[0]?.scheduled_at ?? '';
  t.regex((await world.run('why', 'p', 'eat', '--at', at)).stdout, /limits\.memory of branchtab\.yaml/);

  await first.stop();
  await writeFile(config, `environments: [{branches: '**', limits: {memory: 2GB}}]\n`);
  const second = await world.up('--repo', repository.path, '--config', config);
  await second.until('p', ({history}) => history[0]?.message.startsWith('Bound what p uses') === true);
  t.is((await world.run('run', 'p', 'eat')).code, 0);
});
