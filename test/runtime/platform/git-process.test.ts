import test from 'ava';
import {createGit} from '../../../runtime/platform/git-process.ts';
import {AppError} from '../../../schemas/errors.ts';

const environment = {PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: '/nowhere'};
const signal = AbortSignal.timeout(60_000);

test('a non-zero exit code is a result with its stderr', async (t) => {
  const git = createGit({environment});
  const {exitCode, stdout, stderr} = await git.run(['no-such-command'], {signal});
  t.not(exitCode, 0);
  t.is(stdout.byteLength, 0);
  t.regex(stderr, /no-such-command/);
});

test('the child gets the given environment and nothing of ours', async (t) => {
  const {stdout} = await createGit({environment: {...environment, MARK: 'x'}}).run(
    ['-c', 'alias.show-it=!env', 'show-it'],
    {signal},
  );
  const names = new TextDecoder()
    .decode(stdout)
    .split('\n')
    .map((line) => line.split('=')[0]);
  t.true(names.includes('MARK'));
  t.deepEqual(
    names.filter(
      (name) =>
        name !== undefined &&
        name in process.env &&
        !(name in environment) &&
        !['PWD', '_', 'SHLVL', 'OLDPWD'].includes(name),
    ),
    [],
  );
});

test('output above the limit is an error and ends the child', async (t) => {
  const endless = ['-c', 'alias.endless=!yes', 'endless'];
  const error = await t.throwsAsync(createGit({environment}).run(endless, {signal, maxOutputBytes: 1000}), {
    instanceOf: AppError,
  });
  t.regex(error.message, /more than 1000 bytes/);
});

test('abort ends the child and rejects with its reason', async (t) => {
  const stopped = new AbortController();
  const waiting = createGit({environment}).run(['cat-file', '--batch', '--help-me-wait'], {
    signal: stopped.signal,
  });
  stopped.abort(new Error('enough'));
  await t.throwsAsync(waiting, {message: 'enough'});
  await t.throwsAsync(createGit({environment}).run(['version'], {signal: stopped.signal}), {
    message: 'enough',
  });
});

test('a missing git is an error that says what to install', async (t) => {
  const error = await t.throwsAsync(createGit({environment: {PATH: '/nowhere'}}).run(['version'], {signal}), {
    instanceOf: AppError,
  });
  t.is(error.code, 'REPOSITORY_UNREADABLE');
  t.regex(error.message, /Install git/);
});

test('children are counted', async (t) => {
  const git = createGit({environment});
  await git.run(['version'], {signal});
  const {promise, resolve} = Promise.withResolvers<string>();
  git.start(['version'], {onOutput: () => {}, onEnd: resolve});
  t.is(await promise, 'exited with code 0');
  t.is(git.started(), 2);
});

test('a git that does not end is given up, and nobody waits for it any longer', async (t) => {
  const git = createGit({environment, timeoutMs: 300});
  const error = await t.throwsAsync(git.run(['-c', 'alias.hang=!exec sleep 1000', 'hang'], {signal}), {
    instanceOf: AppError,
  });
  t.is(error.code, 'REPOSITORY_UNREADABLE');
  t.regex(error.message, /had not ended after 0\.3 s/);
  t.is((await createGit({environment}).run(['version'], {signal})).exitCode, 0);
});
