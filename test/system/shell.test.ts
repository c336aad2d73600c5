import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {commandLine} from '../helpers/command-world.ts';
import {active, createControllerWorld, runCommand} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

async function setup(t: ExecutionContext) {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(config, "environments:\n  - {branches: '**', variables: {GREETING: 'good morning'}}\n");
  const commit = await repository.commit('main', {'.hoody/crontab': '0 3 1 1 * true\n'});
  const controller = await world.up('--repo', repository.path, '--config', config);
  await controller.until('main', active(commit));
  const command = [...commandLine, 'shell', 'main', '--state', world.stateDirectory];
  const env = {PATH: process.env.PATH ?? '', HOME: world.stateDirectory, TERM: 'xterm-256color'};
  const run = (...words: string[]) =>
    runCommand([...command.slice(2), '--', ...words], env, world.stateDirectory);
  return {world, command, env, run};
}

test('a program runs with the environment of the branch, and its output and exit code come back', async (t) => {
  const {run} = await setup(t);
  const script = 'echo "$HOODY_BRANCH: $GREETING"; pwd; echo oops >&2; exit 7';
  const {code, stdout, stderr} = await run('sh', '-c', script);
  t.is(code, 7, stderr);
  const [greeting, directory] = stdout.split('\n');
  t.is(greeting, 'main: good morning');
  t.regex(directory ?? '', /data|home/);
  t.is(stderr, 'oops\n');
});

test('what comes on stdin reaches a shell, and the end of it too', async (t) => {
  const {command, env} = await setup(t);
  const [program = '', ...args] = command;
  const child = spawn(program, args, {env, stdio: 'pipe'});
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stdin.end('read line\nsome text\necho "got $line"; wc -c <<END\nx\nEND\nkill -9 $$\n');
  const [code] = await once(child, 'close');
  t.is(code, 137);
  t.is(stdout, 'got some text\n2\n');

  const large = spawn(program, [...args, '--', 'wc', '-c'], {env, stdio: 'pipe'});
  let counted = '';
  large.stdout.setEncoding('utf8').on('data', (text: string) => (counted += text));
  large.stdin.end(Buffer.alloc(3_000_000, 'x'));
  await once(large, 'close');
  t.is(counted.trim(), '3000000');
});

test('a great deal of output comes whole', async (t) => {
  const {command, env} = await setup(t);
  const [program = '', ...args] = command;
  const child = spawn(program, [...args, '--', 'head', '-c', '40000000', '/dev/zero'], {env, stdio: 'pipe'});
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => (bytes += chunk.byteLength));
  child.stdin.end();
  const [code] = await once(child, 'close');
  t.is(code, 0);
  t.is(bytes, 40_000_000);
});

test('at a terminal the shell is at one too, knows its size, and its exit code comes back', async (t) => {
  t.timeout(120_000);
  const {run, command, env} = await setup(t);
  let shown = '';
  let heard = () => {};
  const child = Bun.spawn([...command], {
    env,
    terminal: {
      cols: 91,
      rows: 17,
      data(_terminal, bytes) {
        shown += new TextDecoder().decode(bytes);
        heard();
      },
    },
  });
  t.teardown(() => child.kill('SIGKILL'));
  const until = async (pattern: RegExp) => {
    while (!pattern.test(shown)) await new Promise<void>((resolve) => (heard = resolve));
  };
  const type = (text: string) => child.terminal?.write(text);
  type('stty size; echo "term=$TERM"\r');
  await until(/17 91\r+\nterm=xterm-256color/);
  child.terminal?.resize(120, 40);
  // The size comes by another way than what is typed.
  type('until [ "$(stty size)" = "40 120" ]; do sleep 0.1; done; echo "now" "big"\r');
  await until(/now big/);
  type('sleep 1000 & echo "pid=$!"\r');
  await until(/pid=\d+\r/);
  type('echo "by hand" > left; exit 3\r');
  t.is(await child.exited, 3);
  const {stdout} = await run('cat', 'left');
  t.regex(stdout, /by hand/);
});

test('who is killed leaves nothing behind, and a container that does not run says so', async (t) => {
  const {world, run, command, env} = await setup(t);
  const [program = '', ...args] = command;
  const before = await world.processes();
  const child = spawn(program, [...args, '--', 'sh', '-c', 'echo here; exec sleep 1000'], {
    env,
    stdio: 'pipe',
  });
  await once(child.stdout, 'data');
  t.true((await world.processes()).length > before.length);
  child.kill('SIGKILL');
  while ((await world.processes()).length > before.length)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const missing = await world.run('shell', 'nowhere');
  t.is(missing.code, 4);
  const unknown = await run('/no/such/program');
  t.is(unknown.code, 1);
  t.regex(unknown.stderr, /\/no\/such\/program does not start/);
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot('a shell of a user is as the jobs of that user are', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(
    config,
    "users: [{name: oncall, account: nobody}, {name: lost, account: no-such-account}]\nenvironments:\n  - {branches: '**', variables: {GREETING: 'good morning'}}\n",
  );
  const commit = await repository.commit('main', {'.hoody/crontab': '0 3 1 1 * true\n'});
  const controller = await world.up('--repo', repository.path, '--config', config);
  const branch = await controller.until('main', active(commit));

  const facts = 'id; umask; pwd; echo "$USER $LOGNAME $HOME $GREETING"; ps -o sid= -p $$ | grep -c .';
  const put = await fetch(`${branch.container?.urls.cron}/users/oncall/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: `# branchtab: name=facts\n0 3 1 1 * ${facts}\n`,
  });
  t.is(put.status, 200, await put.text());
  const job = await world.run('run', 'main', 'facts', '--user', 'oncall');
  const env = {PATH: process.env.PATH ?? '', HOME: world.stateDirectory, TERM: 'xterm'};
  const as = (user: string, ...words: string[]) =>
    runCommand(
      [
        ...commandLine.slice(2),
        'shell',
        'main',
        '--user',
        user,
        '--state',
        world.stateDirectory,
        '--',
        ...words,
      ],
      env,
      world.stateDirectory,
    );
  const shell = await as('oncall', 'sh', '-c', facts);
  t.is(shell.code, job.code, shell.stderr + job.stderr);
  t.regex(shell.stdout, /uid=\d+\(nobody\)/);
  t.regex(shell.stdout, /oncall oncall \S+ good morning/);
  t.is(shell.stdout, job.stdout);

  for (const [user, problem] of [
    ['nobody-here', /There is no user `nobody-here` in this container/],
    ['lost', /are to run as the system user `no-such-account`, which does not exist/],
    ['../root', /A user name has 1 to 32 letters/],
  ] as const) {
    const refused = await as(user, 'id');
    t.not(refused.code, 0);
    t.is(refused.stdout, '');
    t.regex(refused.stderr, problem);
  }
  const unknown = await as('oncall', '/no/such/program');
  t.is(unknown.code, 1);
  t.regex(unknown.stderr, /\/no\/such\/program does not start/);

  let shown = '';
  let heard = () => {};
  const child = Bun.spawn(
    [...commandLine, 'shell', 'main', '--user', 'oncall', '--state', world.stateDirectory],
    {
      env,
      terminal: {
        cols: 80,
        rows: 24,
        data(_terminal, bytes) {
          shown += new TextDecoder().decode(bytes);
          heard();
        },
      },
    },
  );
  t.teardown(() => child.kill('SIGKILL'));
  child.terminal?.write('echo "I am $(id -un) at $(stty size)"; exit 4\r');
  while (!/I am nobody at 24 80/.test(shown)) await new Promise<void>((resolve) => (heard = resolve));
  t.is(await child.exited, 4);
});
