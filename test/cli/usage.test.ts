import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import packageJson from '../../package.json' with {type: 'json'};
import {commandLine, sourceCommandLine} from '../helpers/command-line.ts';
import {checkout, createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const commands = [
  [],
  ['up'],
  ['down'],
  ['init'],
  ['status'],
  ['reconcile'],
  ['runs'],
  ['logs'],
  ['restore'],
  ['containers'],
  ['containers', 'list'],
  ['containers', 'create'],
  ['containers', 'delete'],
  ['containers', 'get'],
  ['containers', 'start'],
  ['containers', 'stop'],
  ['containers', 'restart'],
  ['containers', 'exec'],
  ['containers', 'logs'],
  ['alias'],
  ['snapshots'],
  ['snapshots', 'list'],
  ['snapshots', 'create'],
  ['snapshots', 'delete'],
  ['login'],
  ['version'],
  ['runtime'],
  ['hook'],
  ['hook', 'install'],
  ['hook', 'uninstall'],
  ['hook', 'run'],
];
const escapeCharacter = String.fromCharCode(27);

for (const words of commands) {
  const name = ['branchtab', ...words].join(' ');
  test(`${name} --help explains it on stdout and exits 0`, async (t) => {
    const world = await createCommandWorld(t);
    const {code, stdout, stderr} = await world.run([...words, '--help']);
    t.is(code, 0);
    t.true(stdout.toLowerCase().startsWith(`usage: ${name}`));
    t.is(stderr, '');
    t.false(stdout.includes(escapeCharacter));
  });
}

test('help names every command', async (t) => {
  const world = await createCommandWorld(t);
  const {stdout} = await world.run(['--help']);
  for (const [word] of commands) if (word !== undefined) t.regex(stdout, new RegExp(`^  ${word}\\b`, 'm'));
});

test('--version prints the version alone', async (t) => {
  const world = await createCommandWorld(t);
  t.deepEqual(await world.run(['--version']), {code: 0, stdout: `${packageJson.version}\n`, stderr: ''});
});

test('version says which program this is: the commit of the checkout, and no checksum of a source tree', async (t) => {
  const world = await createCommandWorld(t);
  const inCheckout = async (...words: string[]) => {
    const command = world.start([...sourceCommandLine, 'version', ...words]);
    t.is(await command.exited, 0);
    return command.stdout();
  };
  const facts = JSON.parse(await inCheckout('--json'));
  const isCheckout = existsSync(join(checkout, '.git'));
  t.deepEqual(
    {...facts, commit: isCheckout ? facts.commit.replace(/-changed$/, '') : facts.commit},
    {
      version: packageJson.version,
      commit: isCheckout ? await headOf(checkout) : facts.commit,
      checksum: null,
      bun: Bun.version,
      platform: `${process.platform}-${process.arch}`,
    },
  );
  t.regex(await inCheckout(), /^branchtab \S+\ncommit {4}\S+\nchecksum {2}none: .*\nbun /);
});

test('the units and images of deploy/ call up with options that it has', async (t) => {
  const world = await createCommandWorld(t);
  const {stdout} = await world.run(['up', '--help']);
  for (const [file, line] of [
    ['branchtab.service', /^ExecStart=.*branchtab up (.*)$/m],
    ['Containerfile', /^CMD \["up", (.*)\]$/m],
  ] as const) {
    const text = await readFile(join(checkout, 'deploy', file), 'utf8');
    const options = line.exec(text)?.[1]?.match(/--[a-z-]+/g) ?? [];
    t.true(options.length > 1, file);
    for (const option of options) t.regex(stdout, new RegExp(`^  ${option}\\b`, 'm'), file);
  }
});

for (const {words, says} of [
  {words: ['bogus'], says: /unknown command 'bogus'/},
  {words: ['status', '--bogus'], says: /unknown option '--bogus'/},
  {words: ['status', 'a', 'b'], says: /too many arguments/},
  {words: ['runs'], says: /missing required argument 'branch'/},
  {words: ['containers', 'delete'], says: /missing required argument 'container'/},
  {words: ['snapshots', 'create', 'main'], says: /missing required argument 'name'/},
  {words: ['containers', 'bogus'], says: /unknown command 'bogus'/},
  {words: ['up', '--provider', 'bogus'], says: /Allowed choices are process/},
]) {
  test(`branchtab ${words.join(' ')} exits 2 and says how to get help, on stderr`, async (t) => {
    const world = await createCommandWorld(t);
    const {code, stdout, stderr} = await world.run(words);
    t.is(code, 2);
    t.is(stdout, '');
    t.regex(stderr, says);
    t.regex(stderr, /--help/);
  });

  test(`branchtab ${words.join(' ')} --json puts the same into JSON`, async (t) => {
    const world = await createCommandWorld(t);
    const {code, stdout, stderr} = await world.run([...words, '--json']);
    t.is(code, 2);
    t.is(stdout, '');
    const error = JSON.parse(stderr);
    t.deepEqual(Object.keys(error), ['code', 'message', 'details']);
    t.is(error.code, 'CONFIG_INVALID');
    t.regex(error.message, says);
  });
}

test('no command at all exits 2 with the usage on stderr', async (t) => {
  const world = await createCommandWorld(t);
  const {code, stdout, stderr} = await world.run([]);
  t.is(code, 2);
  t.is(stdout, '');
  t.regex(stderr, /^Usage: branchtab/);
});

for (const flag of [
  '--listen=nonsense',
  '--listen=unix:/tmp/x',
  '--listen=192.0.2.1:80',
  '--undo-window=soon',
]) {
  test(`up ${flag} exits 2 and names what to write`, async (t) => {
    const world = await createCommandWorld(t);
    const repository = join(world.directory, 'repository');
    await gitInit(world, repository);
    const {code, stderr} = await world.run(['up', flag, '--repo', repository, '--json']);
    t.is(code, 2);
    t.is(JSON.parse(stderr).code, 'CONFIG_INVALID');
    t.regex(JSON.parse(stderr).message, /Write|write|Choose another|for example/);
  });
}

test('a reader of stdout that is slow gets all of it', async (t) => {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t);
  // More than a pipe holds, so that most of it is still to be written when the command has done its work.
  const jobs = Array.from({length: 600}, (_, index) => `0 ${index % 24} * * * echo job-${index}\n`).join('');
  await repository.commit('main', {'README.md': 'nothing\n'});
  await repository.commit('topic', {'.hoody/crontab': jobs});
  const command = [...commandLine, 'plan', '--json', '--base', 'main', '--head', 'topic']
    .map((word) => `'${word}'`)
    .join(' ');
  const slow = world.start(['sh', '-c', `${command} | (sleep 2; cat)`], {
    cwd: repository.path,
  });
  await slow.exited;
  t.true(slow.stdout().length > 150_000);
  t.is(JSON.parse(slow.stdout()).added.length, 600);
});

test('every mistake in branchtab.yaml is named with file, line and column', async (t) => {
  const world = await createCommandWorld(t);
  await writeFile(join(world.directory, 'branchtab.yaml'), 'repositories: [a]\nlisten: 5\nbogus: 1\n');
  const plain = await world.run(['up']);
  t.is(plain.code, 2);
  t.regex(plain.stderr, /branchtab\.yaml:2:9 listen: /);
  t.regex(plain.stderr, /branchtab\.yaml:\d+:1 .*bogus/);
  const json = await world.run(['status', '--json']);
  t.is(json.code, 2);
  const [issue] = JSON.parse(json.stderr).details.issues;
  t.like(issue, {file: 'branchtab.yaml', line: 2, column: 9});
});

test('a configuration file that is named must exist', async (t) => {
  const world = await createCommandWorld(t);
  const {code, stderr} = await world.run(['status', '--config', 'nowhere.yaml']);
  t.is(code, 2);
  t.regex(stderr, /nowhere\.yaml/);
});

for (const words of [
  ['status'],
  ['status', 'main'],
  ['runs', 'main'],
  ['logs', 'main'],
  ['restore', 'main'],
  ['reconcile'],
  ['containers', 'list'],
  ['containers', 'create', '--from', 'x'],
  ['containers', 'delete', 'x'],
  ['snapshots', 'list'],
  ['snapshots', 'create', 'main', 'x'],
  ['snapshots', 'delete', 'x'],
  ['login'],
]) {
  test(`branchtab ${words.join(' ')} without a controller exits 3 and says how to start one`, async (t) => {
    const world = await createCommandWorld(t);
    const {code, stdout, stderr} = await world.run([
      ...words,
      '--json',
      '--state',
      join(world.directory, 'state'),
    ]);
    t.is(code, 3);
    t.is(stdout, '');
    t.is(JSON.parse(stderr).code, 'CONTROLLER_UNREACHABLE');
    t.regex(JSON.parse(stderr).message, /branchtab up/);
  });
}

test('outside of a repository a command says how a controller is named, and of a wrong --repo what is wrong', async (t) => {
  const world = await createCommandWorld(t);
  for (const words of [['status'], ['containers', 'list'], ['snapshots', 'list']]) {
    const {code, stderr} = await world.run(words);
    t.is(code, 3);
    t.regex(
      stderr,
      /^branchtab: The working directory is no git repository.*--repo.*--state or --controller\.\n$/,
    );
  }
  const missing = join(world.directory, 'missing');
  t.regex((await world.run(['status', '--repo', missing])).stderr, /missing: .*moved or deleted/);
});

test('a controller that does not answer at its address exits 3', async (t) => {
  const world = await createCommandWorld(t);
  const {code, stderr} = await world.run(['status'], {
    env: {BRANCHTAB_URL: 'http://127.0.0.1:1', BRANCHTAB_TOKEN: 'token'},
  });
  t.is(code, 3);
  t.regex(stderr, /127\.0\.0\.1:1/);
});

test('an address without a token says where the token is, in any directory', async (t) => {
  const world = await createCommandWorld(t);
  const {code, stderr} = await world.run(['status', '--controller', 'http://127.0.0.1:1']);
  t.is(code, 1);
  t.regex(stderr, /BRANCHTAB_TOKEN/);
});

async function gitInit({start}: Awaited<ReturnType<typeof createCommandWorld>>, path: string): Promise<void> {
  await start(['git', 'init', '--quiet', '-b', 'main', path]).exited;
}

async function headOf(directory: string): Promise<string> {
  const {stdout} = await promisify(execFile)('git', ['-C', directory, 'rev-parse', 'HEAD']);
  return stdout.trim();
}
