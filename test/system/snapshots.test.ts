import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const secret = 'sk_live_0123456789abcdef';

test('S27: previews start from the snapshot that each applied commit of live makes, without its data, entries and secrets', async (t) => {
  const world = await createControllerWorld(t);
  const directory = join(world.stateDirectory, '..');
  const config = join(directory, 'branchtab.yaml');
  const secretFile = join(directory, 'secret');
  await writeFile(secretFile, secret, {mode: 0o600});
  await writeFile(
    config,
    JSON.stringify({
      environments: [
        {branches: ['**'], from: 'main-snapshot'},
        {branches: ['live'], snapshot: 'main-snapshot', secrets: {KEY: {from_file: secretFile}}},
      ],
    }),
  );
  const repository = await createGitWorld(t);
  const crontab =
    '# branchtab: name=install\n0 1 1 1 * mkdir -p "$HOODY_WORKSPACE/built" && echo "for all" >"$HOODY_WORKSPACE/built/cache" && echo rows >events.db\n';
  const first = await repository.commit('main', {'.hoody/crontab': crontab, 'README.md': 'one\n'}, 'one', {
    from: null,
  });
  const controller = await world.up('--repo', repository.path, '--config', config);
  const main = await controller.until('main', active(first));
  t.is((await world.run('run', 'main', 'install')).code, 0);
  const entries = `${main.container?.urls.cron}/users/root/entries`;
  const entry = {schedule: '0 3 * * *', command: 'echo of live'};
  const made = await fetch(entries, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify(entry),
  });
  t.is(made.status, 201);
  const second = await repository.commit('main', {'README.md': 'two\n'});
  await controller.until('main', active(second));
  t.deepEqual(
    JSON.parse((await world.run('snapshots', 'list', '--json')).stdout).items[0].container_id,
    main.container?.id,
  );

  const third = await repository.commit('feature/x', {'README.md': 'three\n'});
  const preview = await controller.until('feature/x', active(third));
  const inside = (branch: Branch, path: string) =>
    join(world.stateDirectory, 'containers', branch.container?.id.slice('ctr_'.length) ?? '', path);
  t.is(await readFile(inside(preview, 'srv/built/cache'), 'utf8'), 'for all\n');
  t.is(await readFile(inside(preview, 'srv/README.md'), 'utf8'), 'three\n');
  t.true(existsSync(inside(main, 'data/events.db')));
  t.false(existsSync(inside(preview, 'data/events.db')));
  const listed = await (await fetch(`${preview.container?.urls.cron}/users/root/crontab`)).text();
  t.false(listed.includes('echo of live'));
  const found = await promisify(execFile)('grep', [
    '-rl',
    secret,
    join(world.stateDirectory, 'snapshots'),
  ]).catch(({code}: {code: number}) => code);
  t.is(found, 1);
});
