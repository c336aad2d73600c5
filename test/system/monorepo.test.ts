import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const service = (name: string, files: Record<string, string> = {}) => ({
  [`services/${name}/.hoody/crontab`]: '0 3 * * * cat $HOODY_WORKSPACE/name.txt\n',
  [`services/${name}/.hoody/exec/who.ts`]: `return ${JSON.stringify(name)};\n`,
  [`services/${name}/name.txt`]: `${name}\n`,
  ...files,
});

test('a container for each directory of live, and for those that a preview changes', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {bare: true});
  await repository.commit('main', {...service('billing'), ...service('mail'), 'shared.txt': 'shared'});
  await repository.commit('feature/x', {'services/billing/name.txt': 'billing of x\n'});
  const config = join(repository.directory, 'branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({repositories: [{repository: repository.path, paths: ['services/*']}], undo_window: '1h'}),
  );
  const controller = await world.up('--config', config);
  const at = (branch: string, path: string) => (item: Branch) => item.branch === branch && item.path === path;
  const of = async (
    branch: string,
    path: string,
    wanted: (item: Branch) => boolean = (item) => isTrue(item, 'Ready'),
  ) => {
    await controller.until(branch, () => true);
    const signal = AbortSignal.timeout(60_000);
    for await (const _event of controller.client.events({signal})) {
      const found = (await controller.client.branches()).find(at(branch, path));
      if (found !== undefined && wanted(found)) return found;
    }
    throw new Error(`${branch}:${path} did not become as wanted`);
  };

  const live = await of('main', 'services/billing');
  await of('main', 'services/mail');
  const preview = await of('feature/x', 'services/billing');
  t.is((await controller.client.branches()).length, 3);
  const who = (branch: Branch) => fetch(`${branch.container?.urls.exec}/who`).then((answer) => answer.text());
  t.is(await who(preview), 'billing');
  t.is(await who(await of('main', 'services/mail')), 'mail');

  const status = await world.run('status');
  t.regex(status.stdout, /feature\/x:services\/billing/);
  t.regex(status.stdout, /main:services\/mail live/);
  const ran = await world.run('run', 'feature/x:services/billing', 'cat');
  t.regex(ran.stdout, /billing of x/, ran.stderr);
  t.is((await world.run('runs', 'feature/x:services/billing')).code, 0);
  t.is((await world.run('runs', 'feature/x')).code, 0, 'a branch with one directory needs no path');
  const ambiguous = await world.run('runs', 'main');
  t.is(ambiguous.code, 4);
  t.regex(ambiguous.stderr, /use one of main:services\/billing, main:services\/mail/);
  const token = (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim();
  const byKey = await fetch(`${controller.url}/who`, {
    headers: {Host: `${preview.key}-exec-1.localhost`, Authorization: `Bearer ${token}`},
  });
  t.is(await byKey.text(), 'billing');

  const broken = await repository.commit('feature/x', {'services/billing/.hoody/crontab': '* * * *\n'});
  const stalled = await of(
    'feature/x',
    'services/billing',
    (item) => isTrue(item, 'Stalled') && item.revision === broken,
  );
  t.is(
    stalled.conditions.find(({type}) => type === 'Stalled')?.issues?.[0]?.file,
    'services/billing/.hoody/crontab',
  );

  await repository.commit('feature/x', service('billing'));
  const gone = await of('feature/x', 'services/billing', ({conditions}) =>
    conditions.some(({reason}) => reason === 'trashed'),
  );
  t.regex(
    gone.conditions.find(({type}) => type === 'Ready')?.message ?? '',
    /changes nothing of its directory any more/,
  );
  t.is((await of('main', 'services/billing')).container?.id, live.container?.id);

  await repository.commit('main', {
    'services/mail/.hoody/crontab': null,
    'services/mail/.hoody/exec/who.ts': null,
    'services/mail/name.txt': null,
  });
  const kept = await of('main', 'services/mail', ({conditions}) =>
    conditions.some(({reason}) => reason === 'hoody_removed'),
  );
  t.is(kept.container?.state, 'running', 'live is never removed');
});
