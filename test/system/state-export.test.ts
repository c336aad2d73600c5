import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('an export moves what is known of branches to another state directory, and no secret', async (t) => {
  t.timeout(120_000);
  const secret = 'a-very-secret-value';
  const world = await createControllerWorld(t, {STRIPE_KEY: secret});
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const around = join(world.stateDirectory, '..');
  const config = join(around, 'branchtab.yaml');
  await writeFile(
    config,
    "environments:\n  - {branches: '**', secrets: {STRIPE_KEY: {from_env: STRIPE_KEY}}}\n",
  );
  const flags = ['--repo', repository.path, '--config', config];
  await repository.commit('main', {'.hoody/crontab': '0 3 1 1 * true\n'}, 'first');
  const commit = await repository.commit(
    'p',
    {'.hoody/crontab': '0 4 1 1 * echo $STRIPE_KEY\n'},
    'first of p',
  );
  const controller = await world.up(...flags);
  const branch = await controller.until('p', active(commit));
  await controller.until('main', ({observed_revision}) => observed_revision !== null);
  t.is((await world.run('pause', 'p', '--for', '8h', '--owner', 'ops', '--reason', 'incident 12')).code, 0);
  t.is((await world.run('run', 'p', 'echo')).code, 0);

  const file = join(around, 'export.jsonl');
  const exported = await world.run('export', file);
  t.is(exported.code, 0, exported.stderr);
  const text = await readFile(file, 'utf8');
  const token = (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim();
  const id = branch.container?.id.slice('ctr_'.length) ?? '';
  t.is(id.length, 24);
  for (const hidden of [secret, token, id]) t.false(text.includes(hidden), hidden);
  const locked = await world.run('import', file);
  t.is(locked.code, 1);
  t.regex(locked.stderr, /The controller with pid \d+.* owns/);
  await world.run('down', '--purge', '--yes');

  const other = world.second();
  t.is((await other.run('import', join(around, 'nothing'))).code, 2);
  const imported = await other.run('import', file);
  t.is(imported.code, 0, imported.stderr);
  t.regex(imported.stdout, /Imported \d branch\(es\)/);
  t.is((await other.run('import', file)).code, 2);
  const moved = await other.up(...flags);
  const known = await moved.until(
    'p',
    ({container, suspension}) => container !== null && suspension !== null,
  );
  t.is(known.suspension?.reason, 'incident 12');
  t.regex((await other.run('history', 'p')).stdout, new RegExp(`${commit.slice(0, 8)} +applied`));
  // The data of live did not come along, and nobody begins anew without a word.
  const live = await moved.until('main', ({conditions}) =>
    conditions.some(({reason}) => reason === 'data_lost'),
  );
  t.is(live.container, null);
  t.is((await other.run('data', 'restore', 'main', '--without-backup', '--yes')).code, 0);
  await moved.until('main', ({container}) => container?.state === 'running');
});
