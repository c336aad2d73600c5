import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import test from 'ava';
import {runCommand} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const checkout = join(import.meta.dirname, '../..');

test('SIGTERM to npm start ends the controller too', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-npm-'));
  const state = join(directory, 'state');
  const environment = {
    PATH: process.env.PATH ?? '',
    HOME: directory,
    NO_COLOR: '1',
    npm_config_update_notifier: 'false',
  };
  t.teardown(async () => {
    await runCommand(['down', '--purge', '--yes', '--state', state], environment, directory);
    await rm(directory, {recursive: true, force: true});
  });
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const flags = ['--repo', repository.path, '--state', state, '--listen', '127.0.0.1:0', '--json'];
  const npm = spawn('npm', ['start', '--silent', '--', ...flags], {
    cwd: checkout,
    env: environment,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const closed = once(npm, 'close');
  await once(createInterface({input: npm.stdout}), 'line');
  const {pid} = JSON.parse(await readFile(join(state, 'controller.json'), 'utf8')) as {pid: number};
  npm.kill('SIGTERM');
  // Its output closes when the last process that holds it has ended; a controller left behind would keep it open.
  await Promise.race([
    closed,
    once(AbortSignal.timeout(10_000), 'abort').then(() => Promise.reject(new Error(`${pid} goes on`))),
  ]);
  t.throws(() => process.kill(pid, 0), {code: 'ESRCH'});
});
