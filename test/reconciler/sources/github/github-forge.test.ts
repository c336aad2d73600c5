import test, {type ExecutionContext} from 'ava';
import type {GitHubCredentials} from '../../../../reconciler/sources/github/octokit.ts';
import {AppError} from '../../../../schemas/errors.ts';
import {createGitHubStandIn, type Fault} from '../../../helpers/github-stand-in.ts';
import {openStandInForge} from '../../../helpers/stand-in-forge.ts';

const shop = 'github.com/acme/shop';
const commit = 'a'.repeat(40);
const {signal} = new AbortController();

async function setup(
  t: ExecutionContext,
  {as = 'token', prefix = ''}: {as?: 'token' | 'app'; prefix?: string} = {},
) {
  const gitHub = await createGitHubStandIn(t, {prefix});
  const credentials: GitHubCredentials =
    as === 'token'
      ? {kind: 'token', token: gitHub.token}
      : {kind: 'app', appId: gitHub.app.id, privateKey: gitHub.app.privateKey, installationId: null};
  const forge = openStandInForge(gitHub, {
    credentials: async () => credentials,
    writesChecks: as === 'app',
  });
  return {gitHub, forge};
}

test('pull requests are read, and forks told from own branches', async (t) => {
  const {gitHub, forge} = await setup(t);
  gitHub.pulls = [
    {number: 7, branch: 'feature/x', commit, labels: ['preview']},
    {number: 6, branch: 'main', commit, isFork: true},
    {number: 5, branch: 'feature/y', commit, state: 'closed', merged: true},
  ];
  t.deepEqual(await forge.pullRequests(shop, {signal}), [
    {
      number: 7,
      state: 'open',
      isMerged: false,
      branch: 'feature/x',
      commit,
      base: 'main',
      isFork: false,
      labels: ['preview'],
    },
    {
      number: 6,
      state: 'open',
      isMerged: false,
      branch: 'main',
      commit,
      base: 'main',
      isFork: true,
      labels: [],
    },
    {
      number: 5,
      state: 'closed',
      isMerged: true,
      branch: 'feature/y',
      commit,
      base: 'main',
      isFork: false,
      labels: [],
    },
  ]);
  t.is((await forge.pullRequests(shop, {branch: 'feature/y', signal})).length, 1);
});

test('what has not changed costs nothing of the limit', async (t) => {
  const {gitHub, forge} = await setup(t);
  gitHub.pulls = [{number: 7, branch: 'x', commit}];
  const first = await forge.pullRequests(shop, {signal});
  const {remaining} = gitHub.limit;
  t.deepEqual(await forge.pullRequests(shop, {signal}), first);
  t.is(gitHub.requests.at(-1)?.status, 304);
  t.like(forge.budget(), {requests: 2, not_modified: 1, limit: 5000, remaining});
});

test('an Enterprise server is asked below its own path', async (t) => {
  const {gitHub, forge} = await setup(t, {prefix: '/api/v3'});
  gitHub.pulls = [{number: 1, branch: 'x', commit}];
  t.is((await forge.pullRequests('git.example.org/acme/shop', {signal})).length, 1);
});

test('an App speaks by the token of its installation, and takes a new one when that is refused', async (t) => {
  const {gitHub, forge} = await setup(t, {as: 'app'});
  await forge.pullRequests(shop, {signal});
  await forge.pullRequests(shop, {signal});
  const minted = () => gitHub.requests.filter(({path}) => path.endsWith('/access_tokens')).length;
  t.is(minted(), 1);
  gitHub.revokeInstallationTokens();
  // Octokit itself waits a few seconds for a token that is so new, in case GitHub has not spread it yet.
  await t.throwsAsync(forge.pullRequests(shop, {signal}), {message: /401/});
  t.is((await forge.pullRequests(shop, {signal})).length, 0);
  t.is(minted(), 2);
});

const faults: readonly {readonly title: string; readonly kind: Fault['kind']; readonly times?: number}[] = [
  {title: 'an HTML page with status 200', kind: 'html'},
  {title: 'an answer that is cut off', kind: 'truncated'},
  {title: 'a connection that is closed', kind: 'closed', times: 2},
  {title: 'status 502', kind: {status: 502}, times: 2},
  {
    title: 'a spent limit',
    kind: {status: 403, headers: {'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '2000000000'}},
  },
  {
    title: 'a secondary limit',
    kind: {status: 429, headers: {'retry-after': '600'}, message: 'You have exceeded a secondary rate limit'},
  },
];
for (const {title, kind, times = 1} of faults) {
  test(`${title} is an error and never an empty list`, async (t) => {
    const {gitHub, forge} = await setup(t);
    gitHub.pulls = [{number: 7, branch: 'x', commit}];
    gitHub.fail({when: /pulls/, kind, times});
    const error = await t.throwsAsync(forge.pullRequests(shop, {signal}), {instanceOf: AppError});
    t.is(error.code, 'FORGE_UNAVAILABLE');
    t.is((await forge.pullRequests(shop, {signal})).length, 1);
  });
}

test('one failure of GitHub is tried again at once', async (t) => {
  const {gitHub, forge} = await setup(t);
  gitHub.fail({when: /pulls/, kind: {status: 503}});
  t.deepEqual(await forge.pullRequests(shop, {signal}), []);
  t.like(forge.budget(), {requests: 2, failures: 1});
});

test('a token that may not is told so, without the token', async (t) => {
  const {gitHub, forge} = await setup(t);
  gitHub.fail({
    when: /statuses/,
    kind: {status: 403, message: 'Resource not accessible by personal access token'},
  });
  const error = await t.throwsAsync(
    forge.setStatus(
      shop,
      commit,
      {context: 'c', state: 'success', description: 'd', targetUrl: null},
      {signal},
    ),
    {instanceOf: AppError},
  );
  t.is(error.code, 'FORGE_REFUSED');
  t.regex(error.message, /Resource not accessible/);
  t.false(JSON.stringify(error.toBody()).includes(gitHub.token));
});

test('reports wait while little of the limit is left, and pull requests are still read', async (t) => {
  const {gitHub, forge} = await setup(t);
  gitHub.limit.remaining = 100;
  await forge.pullRequests(shop, {signal});
  const error = await t.throwsAsync(
    forge.setStatus(
      shop,
      commit,
      {context: 'c', state: 'success', description: 'd', targetUrl: null},
      {signal},
    ),
    {instanceOf: AppError},
  );
  t.true((error.retryAfterSeconds ?? 0) > 0);
  t.deepEqual(await forge.pullRequests(shop, {signal}), []);
  t.deepEqual(gitHub.statuses, []);
});

test('a deployment whose answer was lost is found again', async (t) => {
  const {gitHub, forge} = await setup(t);
  const wanted = {commit, environment: 'preview/x', description: 'd', isTransient: true};
  gitHub.fail({when: /POST .*deployments/, kind: 'lost'});
  const id = await forge
    .putDeployment(shop, wanted, {make: true, signal})
    .catch(() => forge.putDeployment(shop, wanted, {make: true, signal}));
  t.is(id, await forge.putDeployment(shop, wanted, {make: true, signal}));
  t.like(gitHub.deployments[0], {id, transient_environment: true, production_environment: false});
});

test('one comment is written, found by its marker, and made anew where a person deleted it', async (t) => {
  const {gitHub, forge} = await setup(t);
  const put = (body: string, id: number | null) =>
    forge.putComment(shop, {pullRequest: 7, marker: '<!-- m -->', body: `<!-- m -->\n${body}`}, {id, signal});
  const id = await put('one', null);
  t.is(await put('two', null), id);
  t.is(await put('three', id), id);
  t.deepEqual(
    gitHub.comments.map(({body}) => body),
    ['<!-- m -->\nthree'],
  );
  gitHub.comments.pop();
  t.not(await put('four', id), id);
  t.is(gitHub.comments.length, 1);
});

test('a check run carries its annotations on the very line', async (t) => {
  const {gitHub, forge} = await setup(t, {as: 'app'});
  const check = {
    name: 'branchtab',
    externalId: 'k',
    conclusion: 'failure' as const,
    title: 'Stalled',
    summary: 's',
    detailsUrl: null,
    annotations: [
      {
        file: '.hoody/crontab',
        line: 3,
        column: 1,
        code: 'schedule_invalid',
        message: 'm',
        level: 'failure' as const,
      },
    ],
  };
  const id = await forge.putCheck(shop, commit, check, {id: null, signal});
  t.is(await forge.putCheck(shop, commit, {...check, conclusion: 'success'}, {id: null, signal}), id);
  t.is(gitHub.checks.length, 1);
  t.like(gitHub.checks[0], {
    conclusion: 'success',
    output: {annotations: [{path: '.hoody/crontab', start_line: 3, annotation_level: 'failure'}]},
  });
});
