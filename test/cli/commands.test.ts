import {join} from 'node:path';
import test from 'ava';
import {branchListSchema, branchSchema} from '../../schemas/branch.ts';
import {runListSchema, runSchema} from '../../schemas/run.ts';
import {commandLine} from '../helpers/command-line.ts';
import {checkout, createCommandWorld} from '../helpers/command-world.ts';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const escapeCharacter = String.fromCharCode(27);

test('commands on a running controller print their result and nothing else on stdout', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const feature = await controller.until('feature/billing-v2', (branch) => isTrue(branch, 'Ready'));

  await t.notThrowsAsync(async () => {
    for (const {words, pattern} of [
      {words: ['status'], pattern: /^BRANCH +COMMIT +CONTAINER +STATE +NEXT RUN +LAST RUN\nmain live /},
      {words: ['status', 'feature/billing-v2'], pattern: /^BRANCH.*\nfeature\/billing-v2 [^\n]*\n$/s},
      {words: ['status', feature.key], pattern: /^BRANCH.*\nfeature\/billing-v2 [^\n]*\n$/s},
      {words: ['containers', 'list'], pattern: /^ID +BRANCH +STATE +PROVIDER +CRON\n.* http:\/\/127/},
      {words: ['login'], pattern: /^http:\/\/127\.0\.0\.1:\d+\/login\?code=\S+\n$/},
      {words: ['reconcile', 'main'], pattern: /^main: Commit [0-9a-f]{8} is active\.\n$/},
      {words: ['reconcile', '--no-wait'], pattern: /^[0-9a-f-]{36}\n$/},
      {words: ['runs', 'main'], pattern: /^$/},
      {words: ['logs', 'main'], pattern: /^$/},
    ]) {
      const {code, stdout, stderr} = await world.run(...words);
      t.is(code, 0, `${words.join(' ')}: ${stderr}`);
      t.regex(stdout, pattern, words.join(' '));
      t.false((stdout + stderr).includes(escapeCharacter));
    }
  });
});

test('--json prints what the API answers', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const read = async (...words: string[]) => {
    const {code, stdout, stderr} = await world.run(...words, '--json');
    t.is(code, 0, `${words.join(' ')}: ${stderr}`);
    return JSON.parse(stdout);
  };
  t.true(branchListSchema.parse(await read('status')).items.some(({branch}) => branch === 'main'));
  const [main, ...others] = branchListSchema.parse(await read('status', 'main')).items;
  t.deepEqual(others, []);
  t.is(main?.branch, 'main');
  t.is((await read('containers', 'list')).items[0].id, main?.container?.id);
  t.regex((await read('login')).url, /^http:/);
  t.deepEqual(runListSchema.parse(await read('runs', 'main')).items, []);
  const reconciled = await read('reconcile', 'main');
  t.is(branchSchema.parse(reconciled.items[0]).handled_request, reconciled.request_id);
});

test('an unknown branch exits 4 in every command that takes one', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  await world.up('--repo', repository.path);
  for (const command of ['status', 'reconcile', 'runs', 'logs', 'restore', 'env', 'forget', 'release']) {
    const {code, stdout, stderr} = await world.run(command, 'nowhere', '--json');
    t.is(code, 4, command);
    t.is(stdout, '', command);
    t.is(JSON.parse(stderr).code, 'BRANCH_NOT_FOUND', command);
    t.regex(JSON.parse(stderr).message, /branchtab status/, command);
  }
});

test('restore of a branch that is not in the trash exits 1 and says why', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const {code, stderr} = await world.run('restore', 'main', '--json');
  t.is(code, 1);
  t.is(JSON.parse(stderr).code, 'NOTHING_TO_RESTORE');
});

test('status exits 5 and names file, line and column while a branch is not ready', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  await repository.commit('main', {'.hoody/crontab': '61 * * * * true\n'});
  await controller.until('main', (branch) => isTrue(branch, 'Stalled'));
  const {code, stdout} = await world.run('status', 'main');
  t.is(code, 5);
  t.regex(stdout, /main files_invalid\n {2}\.hoody\/crontab:1:\d+ \w+: /);
  t.is((await world.run('status', 'main', '--json')).code, 5);
});

test('status --watch shows a change as it happens, and Ctrl-C ends it', async (t) => {
  const world = await createControllerWorld(t);
  const commands = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const watching = commands.start([...commandLine, 'status', '--watch', '--state', world.stateDirectory]);
  await watching.untilOutput(/main live/);
  const commit = await repository.commit('main', {'.hoody/crontab': '0 5 * * * true\n'});
  await watching.untilOutput(new RegExp(`main live +${commit.slice(0, 8)} .*running`));
  watching.signal('SIGINT');
  t.is(await watching.exited, 0, watching.stderr());
});

test('status --watch exits 3 when the controller ends', async (t) => {
  const world = await createControllerWorld(t);
  const commands = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const commit = await repository.commit('main', {'.hoody/crontab': '0 5 * * * true\n'});
  await controller.until('main', active(commit));
  const start = (...words: string[]) =>
    commands.start([...commandLine, ...words, '--json', '--state', world.stateDirectory]);
  const watching = start('status', '--watch');
  // The second object is the answer to the first event: the stream is open.
  await watching.untilOutput(/\n.*\n/s);
  await controller.kill();
  t.is(await watching.exited, 3);
  t.is(JSON.parse(watching.stderr()).code, 'CONTROLLER_UNREACHABLE');
});

test('runs and logs show a run, logs -f goes on with the next', async (t) => {
  t.timeout(180_000);
  const world = await createControllerWorld(t);
  const commands = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const commit = await repository.commit('main', {
    '.hoody/crontab': '* * * * * echo out; echo err >&2; exit 7\n',
  });
  await controller.until('main', active(commit));
  const following = commands.start([...commandLine, 'logs', 'main', '-f', '--state', world.stateDirectory]);
  const text = await following.untilOutput(/failed exit 7\nout\nerr\n/);
  t.regex(text, /^── \d{4}-\d\d-\d\dT/);
  following.signal('SIGINT');
  t.is(await following.exited, 0);

  t.regex(
    (await world.run('runs', 'main')).stdout,
    /^SCHEDULED .*\n\S+Z +echo +failed +7 +\S+ ms +echo out; /,
  );
  t.regex((await world.run('logs', 'main', 'echo')).stdout, /failed exit 7\nout\nerr\n/);
  const {stdout} = await world.run('logs', 'main', '--json');
  t.like(runSchema.parse(JSON.parse(stdout.split('\n')[0] ?? '')), {exit_code: 7, stdout: 'out\n'});
  t.is((await world.run('runs', 'main', '--status', 'succeeded')).stdout, '');
});

test('npm run -s branchtab works from the checkout, and paths are those of the caller', async (t) => {
  const world = await createControllerWorld(t);
  const commands = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const npm = (cwd: string, state: string) =>
    commands.start(
      ['npm', '--prefix', checkout, 'run', '-s', 'branchtab', '--', 'status', '--state', state],
      {
        cwd,
        env: {npm_config_update_notifier: 'false'},
      },
    );
  for (const {cwd, state} of [
    {cwd: checkout, state: world.stateDirectory},
    {cwd: join(world.stateDirectory, '..'), state: 'state'},
  ]) {
    const status = npm(cwd, state);
    t.is(await status.exited, 0, status.stderr());
    t.regex(status.stdout(), /^BRANCH .*\nmain live /);
  }
});
