import {spawn} from 'node:child_process';
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import packageJson from '../../package.json' with {type: 'json'};
import type {Branch} from '../../schemas/branch.ts';
import {sourceCommandLine} from '../helpers/command-line.ts';
import {checkout, createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

let directory: string;
let program: string;

test.before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'branchtab-build-'));
  program = join(directory, 'branchtab');
  const build = spawn(process.execPath, [join(checkout, 'cli/build.ts'), program], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await once(build, 'exit');
  if (code !== 0) throw new Error(`the build ended with ${code}`);
});

test.after.always(() => rm(directory, {recursive: true, force: true}));

test('the single file prints version and help as the source tree does', async (t) => {
  const world = await createCommandWorld(t);
  const version = world.start([program, '--version']);
  t.is(await version.exited, 0);
  t.is(version.stdout(), `${packageJson.version}\n`);
  for (const words of [['--help'], ['up', '--help'], ['runtime', '--help']]) {
    const help = world.start([program, ...words]);
    t.is(await help.exited, 0);
    const ofSource = world.start([...sourceCommandLine, ...words]);
    t.is(await ofSource.exited, 0);
    t.is(help.stdout(), ofSource.stdout());
  }
});

test('the single file says its commit and its checksum', async (t) => {
  const world = await createCommandWorld(t);
  const command = world.start([program, 'version', '--json']);
  t.is(await command.exited, 0);
  const ofSource = world.start([...sourceCommandLine, 'version', '--json']);
  t.is(await ofSource.exited, 0);
  const checksum = createHash('sha256')
    .update(await readFile(program))
    .digest('hex');
  t.deepEqual(JSON.parse(command.stdout()), {
    ...JSON.parse(ofSource.stdout()),
    checksum: `sha256:${checksum}`,
  });
});

test('the single file runs a branch in a directory without node_modules, and leaves nothing', async (t) => {
  t.timeout(120_000);
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  await repository.commit('main', {
    '.hoody/exec/typed.ts':
      "import {basename} from 'node:path';\nconst name: string = basename('/a/single');\nreturn {name, branch: process.env.HOODY_BRANCH};\n",
  });
  const state = join(world.directory, 'state');
  const run = async (...words: string[]) => {
    const command = world.start([program, ...words, '--state', state]);
    return {code: await command.exited, stdout: command.stdout(), stderr: command.stderr()};
  };
  const up = world.start(
    [program, 'up', '--listen', '127.0.0.1:0', '--state', state, '--repo', repository.path],
    // Nothing that lies in the working directory may configure it.
    {cwd: await withOwnSettings(world.directory)},
  );
  await up.untilOutput(/^main .* running: Commit/m);
  const status = await run('status', 'main', '--json');
  t.is(status.code, 0, status.stderr);
  const [branch] = JSON.parse(status.stdout).items as Branch[];
  t.deepEqual(await (await fetch(`${branch?.container?.urls.exec}/typed`)).json(), {
    name: 'single',
    branch: 'main',
  });
  await repository.commit('main', {'.hoody/exec/typed.ts': 'return {;\n'});
  await up.untilOutput(/^main .*\.hoody\/exec\/typed\.ts:1:\d+/m);

  const down = await run('down', '--purge', '--yes', '--json');
  t.is(down.code, 0, down.stderr);
  t.deepEqual(JSON.parse(down.stdout), {stopped: 2, removed: 2});
  t.is(await up.exited, 0);
});

test('a runtime goes on from its own copy when the single file is replaced', async (t) => {
  t.timeout(120_000);
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const state = join(world.directory, 'state');
  const own = join(world.directory, 'branchtab');
  await copyFile(program, own);
  t.teardown(() => once(spawn(program, ['down', '--purge', '--yes', '--state', state]), 'exit'));
  const up = world.start([own, 'up', '--listen', '127.0.0.1:0', '--state', state, '--repo', repository.path]);
  await up.untilOutput(/^main .* running: Commit/m);
  const {size} = await stat(own);
  await writeFile(`${own}.new`, 'another version');
  await rename(`${own}.new`, own);
  const status = world.start([program, 'status', 'main', '--json', '--state', state]);
  t.is(await status.exited, 0);
  const [branch] = JSON.parse(status.stdout()).items as Branch[];
  t.is((await fetch(`${branch?.container?.urls.exec}/hello`)).status, 200);
  t.true(size > (await readFile(own)).length);
});

/** A directory whose `.env` and `bunfig.toml` would break a program that reads them. */
async function withOwnSettings(parent: string): Promise<string> {
  const path = join(parent, 'elsewhere');
  await mkdir(path);
  await writeFile(
    join(path, '.env'),
    'BRANCHTAB_URL=http://127.0.0.1:1\nXDG_RUNTIME_DIR=/nowhere\nHOME=/nowhere\n',
  );
  await writeFile(join(path, 'bunfig.toml'), 'preload = ["./nowhere.ts"]\n');
  return path;
}
