import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, readdir, realpath, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import packageJson from '../../package.json' with {type: 'json'};
import type {Branch} from '../../schemas/branch.ts';
import {checkout, createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const run = promisify(execFile);
let directory: string;
let archive: string;

test.before(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), 'branchtab-npm-')));
  await run('npm', ['pack', '--silent', '--pack-destination', directory], {cwd: checkout});
  const [name] = await readdir(directory);
  archive = join(directory, name ?? '');
});

test.after.always(() => rm(directory, {recursive: true, force: true}));

test('the package holds the product and nothing of its tests', async (t) => {
  const {stdout} = await run('tar', ['-tzf', archive]);
  const packed = stdout.trim().split('\n');
  const folders = new Set(packed.map((path) => path.split('/').slice(1, -1).shift() ?? ''));
  t.deepEqual(
    [...folders].sort(),
    ['', 'api', 'cli', 'dist', 'reconciler', 'runtime', 'schemas'],
    packed.join('\n'),
  );
  const {stdout: tracked} = await run('git', ['ls-files', 'api', 'cli', 'reconciler', 'runtime', 'schemas'], {
    cwd: checkout,
  });
  const missing = tracked
    .trim()
    .split('\n')
    .filter((path) => !packed.includes(`package/${path}`));
  t.deepEqual(missing, []);
});

for (const scripts of [true, false]) {
  test(`npx branchtab serves a branch from a clean directory, ${scripts ? 'with' : 'without'} install scripts`, async (t) => {
    t.timeout(300_000);
    const world = await createCommandWorld(t);
    const project = join(world.directory, 'project');
    await mkdir(project);
    await writeFile(join(project, 'package.json'), '{}');
    // A file of the working directory that would configure Bun.
    await writeFile(join(project, 'bunfig.toml'), 'preload = ["./nowhere.ts"]\n');
    const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', archive];
    await run('npm', scripts ? install : [...install, '--ignore-scripts'], {cwd: project});
    const npx = (...words: string[]) =>
      world.start(['npx', '--no-install', 'branchtab', ...words], {cwd: project});
    const version = npx('version', '--json');
    t.is(await version.exited, 0, version.stderr());
    const facts = JSON.parse(version.stdout());
    t.is(facts.version, packageJson.version);
    t.regex(facts.commit, /^[0-9a-f]{40}/);

    const repository = await createGitWorld(t, {fixture: 'simple'});
    const state = join(world.directory, 'state');
    t.teardown(() => world.run(['down', '--purge', '--yes', '--state', state]));
    const up = npx('up', '--listen', '127.0.0.1:0', '--state', state, '--repo', repository.path);
    await up.untilOutput(/^main .* running: Commit/m);
    const status = npx('status', 'main', '--json', '--state', state);
    t.is(await status.exited, 0, status.stderr());
    const [branch] = JSON.parse(status.stdout()).items as Branch[];
    t.is((await fetch(`${branch?.container?.urls.exec}/hello`)).status, 200);
  });
}
