import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmod, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {commandLine} from '../helpers/command-line.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld, type GitWorld} from '../helpers/git-world.ts';

const asRoot = process.getuid?.() === 0;
const linuxRootTest = process.platform === 'linux' && asRoot ? test : test.skip;
if (linuxRootTest === test.skip)
  console.log('SKIP errors of permissions and of a full disk: need root on Linux');

const ordinaryUser = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];

test('up in a directory that is no repository says so and exits 1', async (t) => {
  const world = await createCommandWorld(t);
  const {code, stdout, stderr} = await world.run(['up', '--listen', '127.0.0.1:0']);
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /^branchtab: \/.*: .*not a git repository.* make one with "git init"\.\n$/);
});

linuxRootTest('up on a repository that its user may not read says which and exits 1', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  await chmod(world.directory, 0o777);
  await chmod(repository.directory, 0o755);
  await chmod(repository.path, 0o700);
  const up = world.start([
    ...ordinaryUser,
    ...commandLine,
    ...['up', '--json', '--listen', '127.0.0.1:0', '--state', join(world.directory, 'state')],
    ...['--repo', repository.path],
  ]);
  t.is(await up.exited, 1);
  const error = JSON.parse(up.stderr());
  t.is(error.code, 'REPOSITORY_UNREADABLE');
  t.true(error.message.includes(repository.path));
  t.regex(error.message, /ermission|EACCES/);
});

linuxRootTest('a state directory that cannot be written is named, with what to do', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  await chmod(world.directory, 0o755);
  await ordinaryOwner(repository);
  const state = join(world.directory, 'state');
  const up = world.start([
    ...ordinaryUser,
    ...commandLine,
    ...['up', '--json', '--listen', '127.0.0.1:0', '--state', state, '--repo', repository.path],
  ]);
  t.is(await up.exited, 1);
  const error = JSON.parse(up.stderr());
  t.is(error.code, 'STATE_UNREADABLE');
  t.true(error.message.includes(state));
  t.regex(error.message, /--state/);
});

test('a port in use is named, with what to do, and the containers are left alone', async (t) => {
  const taken = createServer();
  taken.listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const address = taken.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  await controller.stop();
  const before = await world.settledProcesses();
  const {code, stderr} = await world.run(
    'up',
    '--json',
    '--repo',
    repository.path,
    '--listen',
    `127.0.0.1:${port}`,
  );
  t.is(code, 1);
  t.is(JSON.parse(stderr).code, 'ADDRESS_IN_USE');
  t.regex(JSON.parse(stderr).message, new RegExp(`127\\.0\\.0\\.1:${port} .*--listen`));
  t.deepEqual(await world.settledProcesses(), before);
});

test('a state directory in use is refused with pid and address, and nothing in it changes', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const read = async () => ({
    names: (await readdir(world.stateDirectory)).sort(),
    token: await readFile(join(world.stateDirectory, 'token'), 'utf8'),
    controller: await readFile(join(world.stateDirectory, 'controller.json'), 'utf8'),
    containers: await readdir(join(world.stateDirectory, 'containers')),
  });
  const before = await read();
  const {code, stderr} = await world.run(
    'up',
    '--json',
    '--repo',
    repository.path,
    '--listen',
    '127.0.0.1:0',
  );
  t.is(code, 1);
  const error = JSON.parse(stderr);
  t.is(error.code, 'STATE_LOCKED');
  t.true(error.message.includes(`pid ${controller.pid} at ${controller.url}`), error.message);
  t.regex(error.message, /branchtab down/);
  t.deepEqual(await read(), before);
  t.is((await world.run('status', 'main')).code, 0);
});

test('kill -9 of the controller leaves no lock, and a torn controller.json no obstacle', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const first = await world.up('--repo', repository.path);
  await first.until('main', (branch) => isTrue(branch, 'Ready'));
  await first.kill();
  await writeFile(join(world.stateDirectory, 'controller.json'), '{"url":');
  t.is((await world.run('status')).code, 3);
  const second = await world.up('--repo', repository.path);
  await second.until('main', (branch) => isTrue(branch, 'Ready'));
  t.is((await world.run('status', 'main')).code, 0);
});

test('a torn branch record is set aside and its container is adopted', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const first = await world.up('--repo', repository.path);
  const before = await first.until('main', (branch) => isTrue(branch, 'Ready'));
  await first.kill();
  const path = join(world.stateDirectory, 'branches', `${before.key}.json`);
  await writeFile(path, (await readFile(path, 'utf8')).slice(0, 100));
  const second = await world.up('--repo', repository.path);
  const after = await second.until('main', (branch) => isTrue(branch, 'Ready'));
  t.is(after.container?.id, before.container?.id);
  t.true(after.live);
  t.true((await readdir(join(world.stateDirectory, 'branches'))).includes(`${before.key}.json.unreadable`));
});

test('a remote repository without a sandbox needs --trust-branches, which the error names', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const words = ['--level', 'plain', '--repo', `file://${repository.path}`];
  const {code, stderr} = await world.run('up', '--json', '--listen', '127.0.0.1:0', ...words);
  t.is(code, 1);
  t.is(JSON.parse(stderr).code, 'SANDBOX_REQUIRED');
  t.regex(JSON.parse(stderr).message, /--trust-branches/);
  t.deepEqual(await world.processes(), []);
  const trusted = await world.up(...words, '--trust-branches');
  await trusted.until('main', (branch) => isTrue(branch, 'Ready'));
});

linuxRootTest(
  'on a full disk the old schedule goes on, status says why, and free space heals it',
  async (t) => {
    t.timeout(180_000);
    const {enter, disk} = await smallDisk(t);
    const world = await createCommandWorld(t);
    const repository = await createGitWorld(t, {fixture: 'simple'});
    const state = join(disk, 'state');
    await writeFile(join(world.directory, 'branchtab.yaml'), 'drift_interval: 1s\n');
    const run = async (...words: string[]) => {
      const command = world.start([...enter, ...commandLine, ...words, '--state', state]);
      const code = await command.exited;
      return {code, stdout: command.stdout(), stderr: command.stderr()};
    };
    const good = await repository.commit('main', {'.hoody/crontab': '* * * * * echo tick\n'});
    const up = world.start([
      ...enter,
      ...commandLine,
      ...['up', '--state', state, '--listen', '127.0.0.1:0', '--repo', repository.path],
    ]);
    await up.untilOutput(new RegExp(`main ${good.slice(0, 8)} .* running: Commit`));

    await world.start([...enter, 'sh', '-c', `dd if=/dev/zero of=${disk}/fill bs=4k 2>/dev/null; true`])
      .exited;
    const next = await repository.commit('main', {'.hoody/crontab': '30 4 * * * echo new\n'});
    await up.untilOutput(/disk.* is full.*Free some space/);
    const full = await run('status', 'main', '--json');
    t.is(full.code, 5);
    const [branch] = JSON.parse(full.stdout).items;
    t.is(branch.observed_revision, good);
    t.is(branch.conditions.find(({type}: {type: string}) => type === 'Ready').reason, 'storage_full');
    t.is(branch.container.state, 'running');
    t.is(
      await (
        await fetch(`${branch.container.urls.cron}/users/root/crontab`, {headers: {Accept: 'text/plain'}})
      ).text(),
      '* * * * * echo tick\n',
    );

    await world.start([...enter, 'rm', join(disk, 'fill')]).exited;
    await up.untilOutput(
      new RegExp(`main ${next.slice(0, 8)} .* running: Commit ${next.slice(0, 8)} is active`),
    );
    t.is((await run('status', 'main')).code, 0);
    up.signal('SIGTERM');
  },
);

linuxRootTest('down and down --purge work on a full disk', async (t) => {
  const {enter, disk} = await smallDisk(t);
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const state = join(disk, 'state');
  const up = world.start([
    ...enter,
    ...commandLine,
    ...['up', '--state', state, '--listen', '127.0.0.1:0', '--repo', repository.path],
  ]);
  await up.untilOutput(/^main .* running: Commit/m);
  await world.start([...enter, 'sh', '-c', `dd if=/dev/zero of=${disk}/fill bs=4k 2>/dev/null; true`]).exited;
  const down = world.start([...enter, ...commandLine, 'down', '--json', '--state', state]);
  t.is(await down.exited, 0, down.stderr());
  t.is(JSON.parse(down.stdout()).stopped, 2);
  const purge = world.start([...enter, ...commandLine, 'down', '--purge', '--json', '--state', state]);
  t.is(await purge.exited, 0, purge.stderr());
  t.is(JSON.parse(purge.stdout()).removed, 2);
});

test('with one repository gone and another readable, the readable one is served', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up(
    '--repo',
    `file://${repository.directory}/nowhere`,
    '--repo',
    repository.path,
    '--trust-branches',
  );
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  t.regex(await readFile(join(world.stateDirectory, 'controller.log'), 'utf8'), /cannot be read.*nowhere/);
});

test('a repository that vanishes under a running controller leaves its schedules running', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const commit = await repository.commit('main', {'.hoody/crontab': '0 4 * * * true\n'});
  const before = await controller.until('main', active(commit));
  await rm(repository.path, {recursive: true});
  await world.run('reconcile', '--timeout', '20s');
  const [after] = (await controller.client.branches()).filter(({branch}) => branch === 'main');
  t.is(after?.container?.state, 'running');
  t.is(await controller.crontab(before), '0 4 * * * true\n');
  const {stdout} = await world.run('status');
  t.true(
    stdout.split('\n').some((line) => line.startsWith(`${repository.path} `)),
    stdout,
  );
});

/** A mount namespace with a small file system of its own at `disk`; commands with `enter` before them run in it. */
async function smallDisk(t: ExecutionContext): Promise<{enter: string[]; disk: string}> {
  const {directory} = await createCommandWorld(t);
  const disk = join(directory, 'disk');
  await mkdir(disk);
  const mount = `mount -t tmpfs -o size=160m,mode=755 tmpfs '${disk}' && echo mounted && exec sleep 600`;
  const holder = spawn('unshare', ['--mount', 'sh', '-c', mount], {stdio: ['ignore', 'pipe', 'inherit']});
  t.teardown(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  const enter = ['nsenter', '--mount', `--target=${holder.pid}`, `--wd=${directory}`];
  t.teardown(async () => {
    const [program = '', ...args] = [...enter, ...commandLine];
    const words = ['down', '--purge', '--yes', '--state', join(disk, 'state')];
    await once(spawn(program, [...args, ...words], {stdio: 'ignore'}), 'exit');
  });
  return {enter, disk};
}

async function ordinaryOwner({directory}: GitWorld): Promise<void> {
  await once(spawn('chown', ['-R', '65534:65534', directory]), 'exit');
}
