import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {parseConfig} from '../../schemas/config.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('init writes a crontab and a script, commits nothing and says what to do next', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t);
  const {code, stdout, stderr} = await world.run(['init'], {cwd: repository.path});
  t.is(code, 0);
  t.is(stdout, 'wrote .hoody/crontab\nwrote .hoody/exec/hello.ts\nwrote branchtab.yaml\n');
  t.regex(stderr, /git add \.hoody && git commit/);
  t.is(await repository.git('status', '--porcelain'), '?? .hoody/\n?? branchtab.yaml');
  await t.throwsAsync(repository.git('rev-parse', '--verify', 'HEAD'));
});

test('init keeps what is there', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t);
  await world.run(['init'], {cwd: repository.path});
  const crontab = join(repository.path, '.hoody/crontab');
  await writeFile(crontab, '# mine\n');
  const {code, stdout} = await world.run(['init', '--json', '--repo', repository.path]);
  t.is(code, 0);
  t.deepEqual(JSON.parse(stdout), {
    repository: repository.path,
    written: [],
    kept: ['.hoody/crontab', '.hoody/exec/hello.ts', 'branchtab.yaml'],
  });
  t.is(await readFile(crontab, 'utf8'), '# mine\n');
});

test('what init suggests for branchtab.yaml changes nothing, and is valid once it is wanted', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t);
  await world.run(['init'], {cwd: repository.path});
  const text = await readFile(join(repository.path, 'branchtab.yaml'), 'utf8');
  t.deepEqual(parseConfig(text, 'branchtab.yaml'), parseConfig('', 'branchtab.yaml'));
  const {config, issues} = parseConfig(text.replaceAll(/^# /gm, ''), 'branchtab.yaml');
  t.deepEqual(issues, []);
  t.deepEqual(config?.environments[0]?.idle, {pause_after: 14 * 86_400_000, remove_after: 28 * 86_400_000});
  t.true(config?.environments.some(({keep}) => keep));
});

test('init in a directory that is no repository says so and exits 1', async (t) => {
  const world = await createCommandWorld(t);
  const {code, stdout, stderr} = await world.run(['init', '--json']);
  t.is(code, 1);
  t.is(stdout, '');
  t.is(JSON.parse(stderr).code, 'REPOSITORY_UNREADABLE');
  t.regex(JSON.parse(stderr).message, /git init/);
});
