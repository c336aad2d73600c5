import {execFile} from 'node:child_process';
import {cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {promisify} from 'node:util';
import anyTest, {type TestFn} from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {checkout, createCommandWorld} from '../helpers/command-world.ts';
import {librariesOf, startTestEngine} from '../helpers/container-engine.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const run = promisify(execFile);
const podman = await startTestEngine('podman');
const test = ('reason' in podman ? anyTest.skip : anyTest) as TestFn;
anyTest.after.always('the engine ends', async () => {
  if (!('reason' in podman)) await podman.close();
});

test('the controller runs as a container beside those it makes, and refuses the process provider', async (t) => {
  if ('reason' in podman) return t.fail();
  t.timeout(300_000);
  const {image, socketPath, engine} = podman;
  const client = (...words: string[]) =>
    run('podman', ['--remote', '--url', `unix://${socketPath}`, ...words]);
  const base = 'localhost/branchtab-test:git';
  const controllerImage = 'localhost/branchtab-controller:test';
  const context = await realpath(await mkdtemp(join(tmpdir(), 'btc-')));
  t.teardown(() => rm(context, {recursive: true, force: true}));
  await run(process.execPath, [join(checkout, 'cli/build.ts'), join(context, 'dist/branchtab')]);
  await mkdir(join(context, 'deploy'));
  await cp(join(checkout, 'deploy/Containerfile'), join(context, 'deploy/Containerfile'));
  await addGit(context, image);
  await client('build', '--file', join(context, 'Base'), '--tag', base, context);
  await client(
    ...['build', '--file', join(context, 'deploy/Containerfile'), '--build-arg', `BASE=${base}`],
    ...['--tag', controllerImage, context],
  );

  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const state = join(world.directory, 'state');
  await mkdir(state, {mode: 0o700});
  const configuration = join(world.directory, 'branchtab.yaml');
  await writeFile(
    configuration,
    JSON.stringify({repositories: [repository.path], docker: {image}, limits: {min_free_disk_percent: 0}}),
  );
  const mounts = [world.directory, repository.path, socketPath].flatMap((path) => [
    '--volume',
    `${path}:${path}`,
  ]);
  const branchtab = [
    ...['--network=host', '--env', `DOCKER_HOST=unix://${socketPath}`, ...mounts, controllerImage],
  ];
  const flags = ['--state', state, '--config', configuration];
  const refused = await t.throwsAsync(client('run', '--rm', ...branchtab, 'up', ...flags));
  t.regex(refused?.message ?? '', /process provider would end all schedules/);
  const start = () =>
    world.start([
      ...['podman', '--remote', '--url', `unix://${socketPath}`, 'run', '--rm', '--name=controller'],
      ...branchtab,
      ...['up', '--provider', 'docker', '--listen', '127.0.0.1:0', ...flags],
    ]);
  const first = start();
  await first.untilOutput(/^main .* running: Commit/m);
  const {stdout} = await client('exec', 'controller', 'branchtab', 'status', '--json', ...flags);
  const [branch] = JSON.parse(stdout).items as Branch[];
  t.is((await fetch(`${branch?.container?.urls.exec}/hello`)).status, 200);
  const {url} = JSON.parse(await readFile(join(state, 'controller.json'), 'utf8')) as {url: string};
  t.is((await fetch(`${url}/livez`)).status, 200);

  // Without the controller its containers go on, and the next one finds them.
  await client('stop', '--time=60', 'controller');
  t.is(await first.exited, 0, first.stderr());
  t.is((await engine.listContainers('branchtab.owner')).length, 2);
  const second = start();
  await second.untilOutput(/^main .* running: Commit/m);
  await client('stop', '--time=60', 'controller');
  await second.exited;
  const down = await client('run', '--rm', ...branchtab, 'down', '--purge', '--yes', '--json', ...flags);
  t.deepEqual(JSON.parse(down.stdout), {stopped: 2, removed: 2});
  t.deepEqual(await engine.listContainers('branchtab.owner'), []);
  return undefined;
});

/** What a real base has: the test's engine reaches no registry. */
async function addGit(context: string, image: string): Promise<void> {
  const git = Bun.which('git') ?? '';
  for (const path of [git, ...(await librariesOf(git))]) {
    await mkdir(join(context, 'git', dirname(path)), {recursive: true});
    await cp(path, join(context, 'git', path), {dereference: true});
  }
  await writeFile(
    join(context, 'Base'),
    `FROM ${image}\nENV PATH=/bin:/usr/bin:/usr/local/bin\nCOPY git /\n`,
  );
}
