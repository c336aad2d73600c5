import {chmod, readFile, stat, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {type CommandWorld, createCommandWorld} from '../helpers/command-world.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld, createPushWorld, type GitWorld} from '../helpers/git-world.ts';

const crontab = (line: string) => ({'.hoody/crontab': `${line}\n`});

/** What whoever pushes sees, and how the push ended. */
async function pushed(commands: CommandWorld, clone: GitWorld, ...words: string[]) {
  const child = commands.start(['git', '-c', 'advice.pushUpdateRejected=false', 'push', ...words], {
    cwd: clone.path,
    env: clone.environment,
  });
  const code = await child.exited;
  return {code, text: child.stderr()};
}

async function setup(t: ExecutionContext) {
  t.timeout(300_000);
  const git = await createPushWorld(t);
  const first = await git.push('main', crontab('0 * * * * echo main'));
  const world = await createControllerWorld(t);
  const commands = await createCommandWorld(t);
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  // Without the hook nothing would be seen for days.
  await writeFile(config, 'poll_interval: 7d\n');
  const up = () => world.up('--repo', git.origin.path, '--config', config);
  const install = (...words: string[]) => world.run('hook', 'install', '--repo', git.origin.path, ...words);
  return {git, first, world, commands, up, install, push: pushed.bind(null, commands, git.clone)};
}

test('whoever pushes sees the verdict, and a commit that is to be skipped never runs', async (t) => {
  const {git, first, world, up, install, push} = await setup(t);
  const controller = await up();
  await controller.until('main', active(first));
  const installed = await install();
  t.is(installed.code, 0, installed.stderr);
  t.is(await git.origin.git('config', 'receive.advertisePushOptions'), 'true');

  const second = await git.clone.commit('main', crontab('5 * * * * echo second'));
  const waited = await push(
    '-o',
    'branchtab.wait=5m',
    '-o',
    'other=1',
    '-o',
    'branchtab.nothing',
    'origin',
    'main',
  );
  t.is(waited.code, 0);
  t.regex(
    waited.text,
    new RegExp(`remote: branchtab: main ${second.slice(0, 8)}: active after .*, next run 20`),
  );
  t.regex(waited.text, /branchtab\.nothing is no push option/);
  t.notRegex(waited.text, /other/);

  const broken = await git.clone.commit('main', crontab('61 * * * * echo broken'));
  const stalled = await push('-o', 'branchtab.wait=5m', 'origin', 'main');
  t.regex(stalled.text, new RegExp(`main ${broken.slice(0, 8)}: STALLED\\. \\.hoody/crontab:1:1 .*61`));

  const skipped = await git.clone.commit('main', crontab('7 * * * * echo skipped'));
  await git.clone.commit('new', crontab('8 * * * * echo new'));
  const answer = await push('-o', 'branchtab.skip', 'origin', 'main', 'new');
  t.is(answer.code, 0, answer.text);
  t.regex(answer.text, new RegExp(`main ${skipped.slice(0, 8)}: skipped`));
  const held = await controller.until(
    'main',
    ({revision, conditions}) =>
      revision === skipped &&
      conditions.every(({type, status}) => type !== 'Reconciling' || status === 'False'),
  );
  t.is(held.observed_revision, second);
  t.is(await controller.crontab(held), '5 * * * * echo second\n');
  t.regex(held.conditions[0]?.message ?? '', /pushed to be skipped/);
  t.false(held.history.some(({revision}) => revision === skipped));
  const waiting = await controller.until('new', ({conditions}) => conditions[0]?.reason === 'skipped');
  t.is(waiting.container, null);

  const third = await git.clone.commit('main', crontab('9 * * * * echo third'));
  t.regex((await push('-o', 'branchtab.wait=5m', 'origin', 'main')).text, /active after/);
  t.is((await controller.until('main', active(third))).rollback, null);
  t.is((await world.run('release', 'new')).code, 0);
  const running = await controller.until('new', ({container}) => container?.state === 'running');
  t.is(await controller.crontab(running), '8 * * * * echo new\n');

  const gone = await push('-o', 'branchtab.wait=5m', 'origin', '--delete', 'new');
  t.regex(gone.text, /new deleted: its container is gone/);
  const tags = await push('-o', 'branchtab.wait=5m', 'origin', `${third}:refs/tags/v1`);
  t.notRegex(tags.text, /remote: branchtab/);
});

test('without a controller a push goes through, and only one that is to be skipped is refused', async (t) => {
  const {git, install, push} = await setup(t);
  t.is((await install()).code, 0);
  await git.clone.commit('main', crontab('5 * * * * echo second'));
  const refused = await push('-o', 'branchtab.skip', 'origin', 'main');
  t.is(refused.code, 1);
  t.regex(refused.text, /the push is refused: .*No controller runs/);
  const plain = await push('-o', 'branchtab.wait', 'origin', 'main');
  t.is(plain.code, 0);
  t.regex(plain.text, /No controller runs .*The push itself is done/);
});

test('a hook that runs as somebody else has a token that opens nothing but its repository', async (t) => {
  const {git, first, world, commands, install, push} = await setup(t);
  const token = join(world.stateDirectory, '..', 'deploy-token');
  await writeFile(token, `${'d'.repeat(64)}\n`);
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(
    config,
    `poll_interval: 7d\ndeployers: [{token: {from_file: ${token}}, repositories: ['${git.origin.path}']}]\n`,
  );
  const controller = await world.up('--repo', git.origin.path, '--config', config);
  await controller.until('main', active(first));
  t.is((await install('--controller', controller.url, '--token-file', token)).code, 0);
  await git.clone.commit('main', crontab('5 * * * * echo second'));
  t.regex((await push('-o', 'branchtab.wait=5m', 'origin', 'main')).text, /active after/);
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${controller.url}${path}`, {
      ...init,
      headers: {Authorization: `Bearer ${'d'.repeat(64)}`, 'Content-Type': 'application/json'},
    });
  t.is((await ask('/api/v1/branches')).status, 200);
  for (const path of ['/api/v1/repositories', '/api/v1/tokens', '/', '/api/v1/explanations/main'])
    t.is((await ask(path)).status, 403, path);
  const other = await ask('/hooks/generic', {
    method: 'POST',
    body: JSON.stringify({repository: '/srv/other'}),
  });
  t.is(other.status, 403);
  await writeFile(token, 'x');
  t.regex((await push('-o', 'branchtab.wait=5m', 'origin', 'main:other')).text, /none of `deployers`/);
  t.is(
    (await commands.run(['hook', 'install', '--controller', 'http://x', '--repo', git.origin.path])).code,
    2,
  );
});

test('reference-transaction tells of local commits too, and whoever commits does not wait', async (t) => {
  t.timeout(120_000);
  const repository = await createGitWorld(t);
  const first = await repository.commit('main', crontab('0 * * * * echo main'));
  const world = await createControllerWorld(t);
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', active(first));
  const installed = await world.run(
    'hook',
    'install',
    '--type',
    'reference-transaction',
    '--repo',
    repository.path,
  );
  t.deepEqual(installed.stdout, `wrote ${join(repository.path, '.git/hooks/reference-transaction')}\n`);
  const second = await repository.commit('main', crontab('5 * * * * echo second'));
  await controller.until('main', active(second));
  const deliveries = async () => (await controller.client.deliveries(10)).map(({commit}) => commit);
  // The hook goes on when the commit is done.
  while (!(await deliveries()).includes(second)) await setTimeout(50);
  t.pass();
});

test('a hook that is not ours is left alone, and none is left by us', async (t) => {
  const world = await createCommandWorld(t);
  const {path, git} = await createGitWorld(t, {bare: true});
  const hooks = join(path, 'hooks');
  const run = (...words: string[]) => world.run(['hook', ...words, '--repo', path]);
  const theirs = join(hooks, 'post-receive');
  await git('config', '--unset-all', 'x.y').catch(() => {});
  await writeFile(theirs, '#!/bin/sh\necho theirs\n');
  await chmod(theirs, 0o755);
  const refused = await run('install', '--json');
  t.is(refused.code, 1);
  t.is(JSON.parse(refused.stderr).code, 'HOOK_FOREIGN');
  t.regex(JSON.parse(refused.stderr).message, /Call ours from it.* hook run post-receive --as/);
  t.is(await readFile(theirs, 'utf8'), '#!/bin/sh\necho theirs\n');
  await t.throwsAsync(stat(join(hooks, 'pre-receive')), {code: 'ENOENT'});
  await t.throwsAsync(git('config', 'receive.advertisePushOptions'));
  t.is((await run('uninstall')).stdout, '');
  t.is(await readFile(theirs, 'utf8'), '#!/bin/sh\necho theirs\n');

  await writeFile(join(path, '..', 'elsewhere'), '# x\n# Made by `branchtab hook install`');
  await world.start(['rm', theirs]).exited;
  await symlink(join(path, '..', 'elsewhere'), theirs);
  t.is((await run('install')).code, 1);
  await world.start(['rm', theirs]).exited;

  t.is((await run('install')).code, 0);
  t.is((await run('install')).code, 0);
  t.is((await stat(theirs)).mode & 0o777, 0o755);
  t.deepEqual((await run('uninstall')).stdout.trim().split('\n'), [
    `removed ${join(hooks, 'pre-receive')}`,
    `removed ${theirs}`,
  ]);
  await t.throwsAsync(git('config', 'receive.advertisePushOptions'));

  await git('config', 'receive.advertisePushOptions', 'true');
  t.is((await run('install')).code, 0);
  t.is((await run('install', '--type', 'reference-transaction')).code, 0);
  await t.throwsAsync(stat(theirs), {code: 'ENOENT'});
  t.is((await run('uninstall')).code, 0);
  t.is(await git('config', 'receive.advertisePushOptions'), 'true');

  await git('config', 'core.hooksPath', '/etc/git-hooks');
  t.regex((await run('install')).stderr, /core\.hooksPath leads/);
});
