import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('init writes a crontab and a script, commits nothing and says what to do next', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t);
  const {code, stdout, stderr} = await world.run(['init'], {cwd: repository.path});
  t.is(code, 0);
  t.is(stdout, 'wrote .hoody/crontab\nwrote .hoody/exec/hello.ts\n');
  t.regex(stderr, /git add \.hoody && git commit/);
  t.is(await repository.git('status', '--porcelain'), '?? .hoody/');
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
    kept: ['.hoody/crontab', '.hoody/exec/hello.ts'],
  });
  t.is(await readFile(crontab, 'utf8'), '# mine\n');
});

test('init in a directory that is no repository says so and exits 1', async (t) => {
  const world = await createCommandWorld(t);
  const {code, stdout, stderr} = await world.run(['init', '--json']);
  t.is(code, 1);
  t.is(stdout, '');
  t.is(JSON.parse(stderr).code, 'REPOSITORY_UNREADABLE');
  t.regex(JSON.parse(stderr).message, /git init/);
});
