import test, {type ExecutionContext} from 'ava';
import type {ChangeProposal} from '../../../../reconciler/forge.ts';
import {AppError} from '../../../../schemas/errors.ts';
import {createGitWorld} from '../../../helpers/git-world.ts';
import {createGitHubStandIn} from '../../../helpers/github-stand-in.ts';
import {openStandInForge} from '../../../helpers/stand-in-forge.ts';

const shop = 'github.com/acme/shop';
const branch = 'branchtab/promote-main-0123abcd';
const marker = 'Branchtab-Promotes: main-0123abcd';
const bytes = (text: string) => new TextEncoder().encode(text);

async function setup(t: ExecutionContext) {
  const gitHub = await createGitHubStandIn(t);
  const repository = await createGitWorld(t, {bare: true});
  gitHub.gitDirectory = repository.path;
  const parent = await repository.commit('main', {
    '.hoody/crontab': '0 * * * * true\n',
    '.hoody/exec/run.ts': {mode: 'executable', content: 'return 1;\n'},
    '.hoody/exec/gone.ts': 'return 2;\n',
    'README.md': 'shop\n',
  });
  const forge = openStandInForge(gitHub);
  const proposal: ChangeProposal = {
    branch,
    base: 'main',
    parent,
    files: [
      {path: '.hoody/crontab', content: bytes('5 * * * * true\n'), isExecutable: false},
      {path: '.hoody/exec/run.ts', content: bytes('return 3;\n'), isExecutable: true},
      {path: '.hoody/exec/gone.ts', content: null, isExecutable: false},
      {path: '.hoody/exec/blob.js', content: new Uint8Array([0x2f, 0x2f, 0xff, 0xfe]), isExecutable: false},
    ],
    title: 'Keep what was changed by hand in main',
    body: 'Crontabs and scripts.',
    marker,
  };
  const propose = (change: Partial<ChangeProposal> = {}) =>
    forge.propose(shop, {...proposal, ...change}, {signal: AbortSignal.timeout(60_000)});
  const writes = () => gitHub.requests.filter(({method}) => method !== 'GET');
  return {gitHub, repository, parent, propose, writes};
}

test('a change of files is one commit on the commit it was made of, and an open pull request', async (t) => {
  const {gitHub, repository, parent, propose} = await setup(t);
  const opened = await propose();
  t.like(opened, {branch, outcome: 'opened'});
  t.is(await repository.git('rev-parse', branch), opened.commit);
  t.is(await repository.git('rev-parse', `${branch}^`), parent);
  const raw = await repository.git('diff-tree', '-r', '--no-renames', '--raw', parent, branch);
  t.deepEqual(
    raw.split('\n').map((line) => line.replace(/ [0-9a-f]{40} [0-9a-f]{40}/, '')),
    [
      ':100644 100644 M\t.hoody/crontab',
      ':000000 100644 A\t.hoody/exec/blob.js',
      ':100644 000000 D\t.hoody/exec/gone.ts',
      ':100755 100755 M\t.hoody/exec/run.ts',
    ],
  );
  t.is(await repository.git('show', `${branch}:.hoody/crontab`), '5 * * * * true');
  t.is(await repository.git('cat-file', '-s', `${branch}:.hoody/exec/blob.js`), '4');
  t.is(await repository.git('show', `${branch}:README.md`), 'shop');
  t.like(gitHub.pulls[0], {branch, base: 'main', number: opened.number});
  t.is(opened.url, `https://github.com/acme/shop/pull/${opened.number}`);
});

test('the same change again is the same pull request, another one moves its branch', async (t) => {
  const {gitHub, repository, propose} = await setup(t);
  const opened = await propose();
  t.deepEqual(await propose(), {...opened, outcome: 'unchanged'});
  const files = [{path: '.hoody/crontab', content: bytes('7 * * * * true\n'), isExecutable: false}];
  const updated = await propose({files});
  t.like(updated, {number: opened.number, outcome: 'updated'});
  t.not(updated.commit, opened.commit);
  t.is(await repository.git('show', `${branch}:.hoody/crontab`), '7 * * * * true');
  t.is(await repository.git('show', `${branch}:.hoody/exec/gone.ts`), 'return 2;');
  t.is(gitHub.pulls.length, 1);

  // On a newer commit of the branch it is made of that one.
  const parent = await repository.commit('main', {'README.md': 'more\n'});
  const rebased = await propose({files, parent});
  t.is(rebased.outcome, 'updated');
  t.is(await repository.git('rev-parse', `${branch}^`), parent);

  gitHub.pulls = gitHub.pulls.map((pull) => ({...pull, state: 'closed'}));
  const again = await propose({files, parent});
  t.is(again.outcome, 'opened');
  t.is(again.commit, rebased.commit);
  t.is(gitHub.pulls.length, 2);
});

for (const step of ['trees', 'git\\/commits', 'refs', 'pulls']) {
  test(`what was made although the answer was lost is not made again: POST ${step}`, async (t) => {
    const {gitHub, repository, propose} = await setup(t);
    gitHub.fail({when: new RegExp(`^POST .*${step}$`), kind: 'lost'});
    await t.throwsAsync(propose(), {instanceOf: AppError, message: /cannot be asked/});
    const made = await propose();
    t.is(gitHub.pulls.length, 1);
    t.is(await repository.git('rev-parse', branch), made.commit);
    t.deepEqual(await propose(), {...made, outcome: 'unchanged'});
  });
}

test('commits that somebody else put on the branch are left alone', async (t) => {
  const {repository, propose, writes} = await setup(t);
  await propose();
  const theirs = await repository.commit(branch, {'notes.txt': 'mine\n'}, 'Add notes');
  const before = writes().length;
  const error = await t.throwsAsync(
    propose({files: [{path: 'x', content: bytes('x'), isExecutable: false}]}),
    {instanceOf: AppError},
  );
  t.is(error.code, 'FORGE_REFUSED');
  t.regex(error.message, /has commits of somebody else .* Merge or delete it/);
  t.is(await repository.git('rev-parse', branch), theirs);
  // Of what was written before, GitHub shows nothing.
  t.deepEqual(
    writes()
      .slice(before)
      .map(({path}) => path),
    ['/repos/acme/shop/git/trees'],
  );
});

const refusals = [
  {
    title: 'credentials without the permission',
    when: /POST .*git\/trees/,
    status: 403,
    message: 'Resource not accessible by personal access token',
  },
  {
    title: 'a rule of the repository against the branch',
    when: /POST .*git\/refs/,
    status: 422,
    message: 'Repository rule violations found',
  },
  {
    title: 'no permission for pull requests',
    when: /POST .*pulls/,
    status: 403,
    message: 'Resource not accessible by integration',
  },
];
for (const {title, when, status, message} of refusals) {
  test(`says what is needed: ${title}`, async (t) => {
    const {gitHub, propose} = await setup(t);
    gitHub.fail({when, kind: {status, message}});
    const error = await t.throwsAsync(propose(), {instanceOf: AppError});
    t.is(error.code, 'FORGE_REFUSED');
    t.true(error.message.includes(message), error.message);
    t.regex(error.message, /"Contents" and "Pull requests": read and write/);
    t.false(JSON.stringify(error.toBody()).includes(gitHub.token));
  });
}

test('a commit that GitHub lacks is to be pushed first', async (t) => {
  const {propose, writes} = await setup(t);
  const error = await t.throwsAsync(propose({parent: 'd'.repeat(40)}), {instanceOf: AppError});
  t.is(error.code, 'REVISION_NOT_FOUND');
  t.regex(error.message, /GitHub has no commit dddddddd of main, .* Push the branch there first/);
  t.deepEqual(writes(), []);
});
