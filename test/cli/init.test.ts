import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {parseConfig} from '../../schemas/config.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {createGitHubStandIn} from '../helpers/github-stand-in.ts';
import {lintWorkflow} from '../helpers/workflow-lint.ts';

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

const gitHub = ['init', '--github', '--action', 'acme/branchtab'];

async function setupGitHub(t: ExecutionContext, config: object = {}) {
  const world = await createCommandWorld(t);
  const repository = await createGitWorld(t);
  await repository.git('remote', 'add', 'origin', 'git@github.com:Acme/Shop.git');
  const secret = join(world.directory, 'hook-secret');
  await writeFile(secret, 'the secret of the hook\n');
  const file = join(world.directory, 'branchtab.yaml');
  await writeFile(
    file,
    JSON.stringify({
      public_url: 'https://branchtab.example.org/',
      webhooks: {github: {secrets: [{from_file: secret}]}},
      ...config,
    }),
  );
  const workflow = () => readFile(join(repository.path, '.github/workflows/branchtab.yml'), 'utf8');
  const run = (words: readonly string[], env: Record<string, string> = {}) =>
    world.run([...words, '--repo', repository.path], {env});
  return {world, repository, secret, workflow, run};
}

test('init --github writes a workflow that linters find nothing in, and says how the webhook is made', async (t) => {
  const {run, workflow, secret} = await setupGitHub(t);
  const {code, stdout, stderr} = await run(gitHub);
  t.is(code, 0, stderr);
  t.regex(stdout, /wrote \.github\/workflows\/branchtab\.yml/);
  const text = await workflow();
  t.deepEqual(await lintWorkflow('.github/workflows/branchtab.yml', text), []);
  t.regex(text, /uses: acme\/branchtab\/\.github\/actions\/deploy@v1\n/);
  t.regex(text, /controller: https:\/\/branchtab\.example\.org\n/);
  t.regex(stderr, /https:\/\/github\.com\/acme\/shop\/settings\/hooks\/new/);
  t.regex(stderr, /Payload URL +https:\/\/branchtab\.example\.org\/hooks\/github/);
  t.true(stderr.includes(`Secret        the one of ${secret}`));
  t.notRegex(stderr + stdout, /the secret of the hook/);
  t.regex(
    stderr,
    /issuer: https:\/\/token\.actions\.githubusercontent\.com\n +audience: https:\/\/branchtab\.example\.org/,
  );

  t.is((await run(['init', '--github', '--action', 'acme/branchtab@main'])).code, 0);
  t.is(await workflow(), text);
});

test('init --github with a token makes the webhook, and once more changes it', async (t) => {
  const api = await createGitHubStandIn(t);
  const {run} = await setupGitHub(t, {github: {token: {from_env: 'NONE'}, api_url: api.apiUrl}});
  const first = await run(gitHub, {GITHUB_TOKEN: api.token});
  t.is(first.code, 0, first.stderr);
  t.regex(first.stderr, /The webhook of acme\/shop was created/);
  const again = await run([...gitHub, '--json'], {GITHUB_TOKEN: api.token});
  t.is(JSON.parse(again.stdout).webhook, 'updated');
  t.is(api.hooks.length, 1);
  t.like(api.hooks[0], {
    active: true,
    events: ['push', 'create', 'delete', 'pull_request'],
    config: {
      url: 'https://branchtab.example.org/hooks/github',
      content_type: 'json',
      secret: 'the secret of the hook',
      insecure_ssl: '0',
    },
  });
  const wrong = await run([...gitHub, '--json'], {GITHUB_TOKEN: 'ghp_wrong'});
  t.is(wrong.code, 1);
  t.regex(JSON.parse(wrong.stderr).message, /Webhooks: read and write/);
});

for (const {title, words, config, env, says} of [
  {title: 'no Action', words: ['init', '--github'], says: /--action owner\/name/},
  {
    title: 'an Action that is none',
    words: ['init', '--github', '--action', '../x'],
    says: /--action owner\/name/,
  },
  {title: 'no controller', words: gitHub, config: {public_url: undefined}, says: /--controller https/},
  {
    title: 'a token and no secret',
    words: gitHub,
    config: {webhooks: {}},
    env: {GITHUB_TOKEN: 'x'},
    says: /no webhooks\.github\.secrets/,
  },
]) {
  test(`init --github with ${title} writes nothing and says what is missing`, async (t) => {
    const {run, repository} = await setupGitHub(t, config);
    const {code, stdout, stderr} = await run(words, env);
    t.deepEqual([code, stdout], [2, '']);
    t.regex(stderr, says);
    t.is(await repository.git('status', '--porcelain'), '');
  });
}
