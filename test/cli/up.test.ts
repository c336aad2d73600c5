import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {commandLine} from '../helpers/command-line.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld, type Teardown} from '../helpers/git-world.ts';

const escapeCharacter = String.fromCharCode(27);

/** A terminal of 160 columns with `up` in it: what is typed goes to it, Ctrl-C as a person would press it. */
async function upInTerminal(t: Teardown, repository: string, env: Record<string, string> = {}) {
  const world = await createCommandWorld(t);
  const state = join(world.directory, 'state');
  t.teardown(() => world.run(['down', '--purge', '--yes', '--state', state]));
  const words = [...commandLine, 'up', '--state', state, '--listen', '127.0.0.1:0', '--repo', repository];
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const terminal = world.start(['script', '-qefc', `stty cols 160 rows 40; exec ${quoted}`, '/dev/null'], {
    env: {TERM: 'xterm', SHELL: '/bin/sh', ...env},
  });
  return {world, state, terminal};
}

test('up without .hoody says to run init, and picks the first commit up', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t);
  await repository.commit('main', {'README.md': 'nothing yet\n'});
  const state = join(world.directory, 'state');
  t.teardown(() => world.run(['down', '--purge', '--yes', '--state', state]));
  const up = world.start([...commandLine, 'up', '--state', state, '--listen', '127.0.0.1:0'], {
    cwd: repository.path,
  });
  await up.untilOutput(/No branch of 1 has a \.hoody directory\. Run `branchtab init`/);
  t.is((await world.run(['init'], {cwd: repository.path})).code, 0);
  await repository.git('add', '.hoody');
  await repository.git(
    '-c',
    'user.name=A',
    '-c',
    'user.email=a@example.org',
    'commit',
    '-qm',
    'Add a schedule',
  );
  const text = await up.untilOutput(/^main .* running: Commit [0-9a-f]{8} is active\. next run /m);
  t.regex(text, /^Branchtab http:\/\/127\.0\.0\.1:\d+\nlog in: http:\S+\/login\?code=\S+\n/);
  t.false(text.includes(escapeCharacter));
});

test('at level plain up says which names of the domain do not lead a job to its container, and what does', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const state = join(world.directory, 'state');
  const config = join(world.directory, 'branchtab.yaml');
  await writeFile(config, 'domain: hoody.example\nlevel: plain\n');
  t.teardown(() => world.run(['down', '--purge', '--yes', '--state', state]));
  const flags = ['--config', config, '--state', state, '--listen', '127.0.0.1:0', '--repo', repository.path];
  const up = world.start([...commandLine, 'up', ...flags]);
  const said = /At level plain .*exec\.hoody\.example.*\$HOODY_EXEC_URL.*Level network has these names/;
  t.regex(await up.untilError(said), said);
});

test('up --json prints one object for the start and one for every change', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const state = join(world.directory, 'state');
  t.teardown(() => world.run(['down', '--purge', '--yes', '--state', state]));
  const up = world.start([
    ...commandLine,
    'up',
    '--json',
    '--state',
    state,
    '--listen',
    '127.0.0.1:0',
    '--repo',
    repository.path,
  ]);
  const text = await up.untilOutput(/"branch":"main".*"reason":"applied"/);
  const [started, ...changes] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.is(started.type, 'started');
  t.true(started.login.startsWith(`${started.url}/login?code=`));
  t.true(changes.every(({type, branch}) => type === 'branch' && typeof branch.key === 'string'));
});

test('in a terminal up redraws a table with address, login link, branch, commit, container, state, next and last run', async (t) => {
  t.timeout(180_000);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const commit = await repository.commit('main', {'.hoody/crontab': '* * * * * true\n'});
  const {terminal} = await upInTerminal(t, repository.path);
  const text = await terminal.untilOutput(/main.*succeeded.* ago/);
  const redraw = new RegExp(`${escapeCharacter}\\[\\d+A${escapeCharacter}\\[J`);
  t.regex(text, redraw);
  const last = (text.split(redraw).at(-1) ?? '').replaceAll(
    new RegExp(`${escapeCharacter}\\[\\d+m`, 'g'),
    '',
  );
  t.regex(last, /^Branchtab http:\/\/127\.0\.0\.1:\d+\r\nlog in: http:\S+\/login\?code=\S+\r\n/);
  t.regex(last, /BRANCH +COMMIT +CONTAINER +STATE +NEXT RUN +LAST RUN\r\n/);
  t.regex(
    last,
    new RegExp(
      `main live +${commit.slice(0, 8)} +ctr_[0-9a-f]{8} +running +true in \\d+ s +succeeded true \\S+ \\w+ ago`,
    ),
  );
});

test('NO_COLOR takes the colours out of the table in a terminal', async (t) => {
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const {terminal} = await upInTerminal(t, repository.path, {NO_COLOR: '1'});
  const text = await terminal.untilOutput(/main live.*running/);
  t.notRegex(text, new RegExp(`${escapeCharacter}\\[\\d+m`));
});

test('without NO_COLOR the table in a terminal is coloured', async (t) => {
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const {terminal} = await upInTerminal(t, repository.path);
  t.regex(await terminal.untilOutput(/main.*running/), new RegExp(`${escapeCharacter}\\[1mBRANCH`));
});

test('Ctrl-C in the terminal ends up, which says what goes on', async (t) => {
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const {terminal} = await upInTerminal(t, repository.path);
  await terminal.untilOutput(/main.*running/);
  terminal.type('\u0003');
  await terminal.untilOutput(/\d schedule\(s\) keep running/);
  t.is(await terminal.exited, 0);
});

test("in the controller's image up refuses the process provider and says what to write", async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const state = join(world.directory, 'state');
  const {code, stdout, stderr} = await world.run(
    ['up', '--listen', '127.0.0.1:0', '--state', state, '--repo', repository.path],
    {env: {BRANCHTAB_IN_IMAGE: '1'}},
  );
  t.is(code, 2);
  t.is(stdout, '');
  t.regex(stderr, /process provider would end all schedules.*`provider: docker`/);
});
