import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld, createPushWorld} from '../helpers/git-world.ts';

const hourly = '0 * * * * true\n';
const daily = '30 2 * * * true\n';

test('a broken crontab, script or YAML leaves the old schedule, says where, and the next good commit heals it', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const good = await repository.commit('main', {'.hoody/crontab': hourly});
  const before = await controller.until('main', active(good));
  for (const {files, file, line, code} of [
    {
      files: {'.hoody/crontab': `${hourly}61 * * * * true\n`},
      file: '.hoody/crontab',
      line: 2,
      code: /schedule|minute|value/,
    },
    {
      files: {'.hoody/crontab': hourly, '.hoody/exec/broken.ts': 'const a = 1;\nreturn {;\n'},
      file: '.hoody/exec/broken.ts',
      line: 2,
      code: /script/,
    },
    {
      files: {'.hoody/exec/broken.ts': null, '.hoody/exec/scripts.yaml': 'version: 1\nscripts: [a\n'},
      file: '.hoody/exec/scripts.yaml',
      line: 3,
      code: /yaml/,
    },
  ]) {
    const bad = await repository.commit('main', files);
    const stalled = await controller.until(
      'main',
      (branch) => branch.revision === bad && isTrue(branch, 'Stalled') && !isTrue(branch, 'Reconciling'),
    );
    const [issue] = stalled.conditions.find(({type}) => type === 'Stalled')?.issues ?? [];
    t.is(issue?.file, file);
    t.is(issue?.line, line);
    t.true((issue?.column ?? 0) >= 1);
    t.regex(issue?.code ?? '', code);
    t.is(stalled.observed_revision, good);
    t.is(stalled.container?.id, before.container?.id);
    t.is(await controller.crontab(stalled), hourly);
    const status = await world.run('status');
    t.is(status.code, 5);
    t.true(status.stdout.includes(`${file}:${line}:`));
    const log = await readFile(join(world.stateDirectory, 'controller.log'), 'utf8');
    t.true(log.includes(`"file":"${file}","line":${line}`));
  }
  const healed = await repository.commit('main', {'.hoody/exec/scripts.yaml': null, '.hoody/crontab': daily});
  t.is(await controller.crontab(await controller.until('main', active(healed))), daily);
  t.is((await world.run('status')).code, 0);
});

test('a crontab edited by hand is put back, and entries made by hand survive that and the next push', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const first = await repository.commit('main', {'.hoody/crontab': hourly});
  const branch = await controller.until('main', active(first));
  const users = `${branch.container?.urls.cron}/users/root`;
  const created = await fetch(`${users}/entries`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({
      schedule: '15 3 * * *',
      command: 'echo by hand',
      expires_at: '2099-01-01T00:00:00Z',
    }),
  });
  t.is(created.status, 201);
  const {id} = (await created.json()) as {id: string};
  const withEntry = await controller.crontab(branch);

  const edited = await fetch(`${users}/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: withEntry.replace(hourly, daily),
  });
  t.is(edited.status, 200);
  await controller.until('main', ({history}) => history[0]?.message.includes('changed by hand') === true);
  t.is(await controller.crontab(branch), withEntry);

  const second = await repository.commit('main', {'.hoody/crontab': daily});
  await controller.until('main', active(second));
  t.is((await fetch(`${users}/entries/${id}`)).status, 200);
  t.is(await controller.crontab(branch), withEntry.replace(hourly, daily));
});

test('a script written by hand is put back', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const branch = await controller.until('main', (main) => isTrue(main, 'Ready'));
  const exec = branch.container?.urls.exec;
  const before = await (await fetch(`${exec}/hello`)).text();
  const written = await fetch(`${exec}/api/v1/exec/scripts/write`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({path: 'hello.ts', content: 'return {by: "hand"};'}),
  });
  t.is(written.status, 200);
  await controller.until(
    'main',
    ({history}) => history[0]?.message.includes('Deploy') === true && history.length > 1,
  );
  t.is(await (await fetch(`${exec}/hello`)).text(), before);
});

test('S19: a script answers at its bare path, under /scripts and under /scripts/.../run', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const branch = await controller.until('main', (main) => isTrue(main, 'Ready'));
  const exec = branch.container?.urls.exec;
  const answers = await Promise.all(
    ['/hello', '/scripts/hello', '/scripts/hello/run'].map(async (path) => (await fetch(exec + path)).text()),
  );
  t.is(new Set(answers).size, 1);
  t.true(answers[0]?.startsWith('{'));
});

test('S42: slashes, unicode, 200 characters and names that differ only in case each have a container', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {bare: true});
  const names = ['feature/deep/er', 'Grün/naïve-日本', `long/${'x'.repeat(195)}`, 'case', 'Case'];
  for (const name of names)
    await repository.commit(name, {'.hoody/crontab': `0 1 * * * echo ${name.length}\n`}, name, {from: null});
  await repository.git('pack-refs', '--all');
  const controller = await world.up('--repo', repository.path);
  const branches = await Promise.all(
    names.map((name) => controller.until(name, (branch) => isTrue(branch, 'Ready'))),
  );
  t.is(new Set(branches.map(({key}) => key)).size, names.length);
  t.is(new Set(branches.map(({container}) => container?.id)).size, names.length);
  for (const branch of branches)
    t.is(await controller.crontab(branch), `0 1 * * * echo ${branch.branch.length}\n`);
});

test('S35: the environment and the workspace are those of the branch', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const script = `import {readFileSync, existsSync} from 'node:fs';
return {branch: process.env.HOODY_BRANCH, commit: process.env.HOODY_COMMIT, repository: process.env.HOODY_REPOSITORY,
  file: readFileSync(process.env.HOODY_WORKSPACE + '/only.txt', 'utf8'), old: existsSync(process.env.HOODY_WORKSPACE + '/old.txt'),
  home: process.env.HOME === process.cwd(), kits: [process.env.HOODY_CRON_URL, process.env.HOODY_EXEC_URL, process.env.HOODY_PIPE_URL].every((url) => url?.startsWith('http://'))};`;
  const controller = await world.up('--repo', repository.path);
  const ask = async (name: string, commit: string) => {
    const branch = await controller.until(name, active(commit));
    return (await (await fetch(`${branch.container?.urls.exec}/env`)).json()) as Record<string, unknown>;
  };
  const main = await repository.commit('main', {
    '.hoody/exec/env.ts': script,
    'only.txt': 'main',
    'old.txt': '1',
  });
  t.deepEqual(await ask('main', main), {
    branch: 'main',
    commit: main,
    repository: repository.path,
    file: 'main',
    old: true,
    home: true,
    kits: true,
  });
  const feature = await repository.commit('feature/x', {'only.txt': 'feature', 'old.txt': null});
  t.deepEqual(await ask('feature/x', feature), {
    branch: 'feature/x',
    commit: feature,
    repository: repository.path,
    file: 'feature',
    old: false,
    home: true,
    kits: true,
  });
});

test('a detached HEAD without any branch is served as branch HEAD', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  await repository.git('checkout', '--quiet', '--detach');
  const branches = (await repository.git('for-each-ref', '--format=%(refname)', 'refs/heads')).split('\n');
  for (const branch of branches) await repository.git('update-ref', '-d', branch);
  const controller = await world.up('--repo', repository.path);
  t.true((await controller.until('HEAD', (branch) => isTrue(branch, 'Ready'))).live);
});

test('only branches among the globs are served, and live always is', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  for (const name of ['feature/a', 'wip/b']) await repository.commit(name, {'.hoody/crontab': hourly});
  const controller = await world.up('--repo', repository.path, '--branches', 'feature/*');
  await controller.until('feature/a', (branch) => isTrue(branch, 'Ready'));
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  t.false((await controller.client.branches()).some(({branch}) => branch === 'wip/b'));
});

test('branches of a remote repository are fetched and served', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createPushWorld(t, {fixture: 'simple'});
  await writeFile(
    join(world.stateDirectory, '..', 'branchtab.yaml'),
    `repositories: ["file://${repository.origin.path}"]\nfetch_interval: 200ms\nundo_window: 0\ntrust_branches: true\n`,
  );
  const controller = await world.up();
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const pushed = await repository.push('feature/x', {'.hoody/crontab': daily});
  t.is(await controller.crontab(await controller.until('feature/x', active(pushed))), daily);
  await repository.deleteBranch('feature/x');
  await controller.untilForgotten('feature/x');
});

test('an answer to a reconcile request is echoed when it is handled', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const id = await controller.client.reconcile('main');
  t.is((await controller.until('main', ({handled_request}) => handled_request === id)).handled_request, id);
  t.is((await world.run('reconcile')).code, 0);
});

test('of rapid pushes the newest wins', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  let newest = '';
  for (let minute = 0; minute < 20; minute += 1)
    newest = await repository.commit('main', {'.hoody/crontab': `${minute} * * * * true\n`});
  t.is(await controller.crontab(await controller.until('main', active(newest))), '19 * * * * true\n');
});

test('a branch that cannot be applied does not keep the others waiting', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  await repository.commit('stuck', {'.hoody/crontab.d/nobody-of-this-name': hourly});
  const controller = await world.up('--repo', repository.path);
  const stuck = await controller.until('stuck', (branch) => isTrue(branch, 'Stalled'));
  t.is(stuck.conditions.find(({type}) => type === 'Stalled')?.reason, 'user_not_found');
  const good = await repository.commit('feature/x', {'.hoody/crontab': daily});
  await controller.until('feature/x', active(good));
  const healed = await repository.commit('stuck', {'.hoody/crontab.d/nobody-of-this-name': null});
  await controller.until('stuck', active(healed));
});

test('a container of a repository that is watched no more is left alone and says so', async (t) => {
  const world = await createControllerWorld(t);
  const first = await createGitWorld(t, {fixture: 'simple'});
  const second = await createGitWorld(t, {fixture: 'simple'});
  const before = await world.up('--repo', first.path);
  const running = await before.until('main', (branch) => isTrue(branch, 'Ready'));
  await before.stop();
  const controller = await world.up('--repo', second.path);
  const left = (await controller.client.branches()).find(({key}) => key === running.key);
  t.is(left?.conditions[0]?.reason, 'repository_not_watched');
  t.is(left?.container?.id, running.container?.id);
});

test('a push is work for its own branch and for no other', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const others = ['one', 'two', 'three'];
  for (const name of [...others, 'pushed'])
    await repository.commit(name, {'.hoody/crontab': `0 3 1 1 * echo ${name}\n`});
  const controller = await world.up('--repo', repository.path, '--branches', [...others, 'pushed'].join(','));
  for (const name of [...others, 'pushed']) await controller.until(name, (branch) => isTrue(branch, 'Ready'));
  const accounts = () => Promise.all(others.map((name) => controller.client.history(name, {limit: '200'})));
  const before = await accounts();
  for (const minute of [1, 2, 3]) {
    const commit = await repository.commit('pushed', {'.hoody/crontab': `${minute} 3 1 1 * true\n`});
    await controller.until('pushed', active(commit));
  }
  t.deepEqual(await accounts(), before);
});
