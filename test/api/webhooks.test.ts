import definitions from '@octokit/webhooks-examples';
import test from 'ava';
import {maxHookBytes} from '../../api/webhooks.ts';
import type {Delivery} from '../../schemas/delivery.ts';
import {forgePath} from '../../schemas/forge-path.ts';
import {createWebhookWorld, gitHubHeaders, hookSecret, signature} from '../helpers/webhook-world.ts';

const hello = 'github.com/codertocat/hello-world';
const watched = 'https://github.com/Codertocat/Hello-World';

function examplesOf(event: string): unknown[] {
  return definitions.find(({name}) => name === event)?.examples ?? [];
}

const answerOf = async (response: Response | Promise<Response>) =>
  (await (await response).json()) as Delivery & {code: string; message: string; duplicate: boolean};

test('every example of GitHub is answered with 202, whatever its event is', async (t) => {
  const {send, deliveries} = await createWebhookWorld(t);
  const sent = definitions.flatMap(({name, examples}) =>
    examples.map((example: unknown) => ({name, example})),
  );
  t.true(sent.length > 300);
  for (const {name, example} of sent) {
    const response = await send(name, example);
    t.is(response.status, 202, `${name}: ${await response.clone().text()}`);
  }
  await deliveries.settled();
  t.true(deliveries.newest(1000).some(({reason}) => reason === 'unknown_event'));
});

for (const {event, action, subject, reason} of [
  {event: 'ping', action: null, subject: {branch: null, commit: null}, reason: 'ping'},
  {
    event: 'push',
    action: null,
    subject: {branch: null, commit: null},
    reason: 'not_a_branch',
  },
  {event: 'issues', action: 'opened', subject: {branch: null, commit: null}, reason: 'unknown_event'},
]) {
  test(`the example ${event} makes nobody look: ${reason}`, async (t) => {
    const {send, deliveries, looks} = await createWebhookWorld(t);
    const examples = examplesOf(event) as {action?: string; ref?: string}[];
    const example = examples.find(
      (one) =>
        (action === null || one.action === action) && (event !== 'push' || one.ref?.startsWith('refs/tags/')),
    );
    const answer = await answerOf(send(event, example));
    await deliveries.settled();
    t.like(answer, {event, ...subject, reason, outcome: 'ignored', watched: []});
    t.deepEqual(looks, []);
  });
}

test('a push, a new branch and a deleted one are about their branch', async (t) => {
  const {send, deliveries, looks, gone} = await createWebhookWorld(t);
  const [push] = (examplesOf('push') as {ref: string}[]).filter(({ref}) => ref.startsWith('refs/heads/'));
  const at = {repository: {clone_url: 'https://github.com/Codertocat/Hello-World.git'}};
  const commit = 'a'.repeat(40);
  const answers = [
    await answerOf(send('push', {...push, ...at, ref: 'refs/heads/feature/x', after: commit})),
    await answerOf(send('create', {...at, ref: 'feature/x', ref_type: 'branch'})),
    await answerOf(send('delete', {...at, ref: 'feature/x', ref_type: 'branch'})),
    await answerOf(send('push', {...push, ...at, ref: 'refs/heads/gone', after: '0'.repeat(40)})),
  ];
  t.deepEqual(
    answers.map(({branch, commit: at, outcome}) => ({branch, commit: at, outcome})),
    [
      {branch: 'feature/x', commit, outcome: 'accepted'},
      {branch: 'feature/x', commit: null, outcome: 'accepted'},
      {branch: 'feature/x', commit: null, outcome: 'accepted'},
      {branch: 'gone', commit: null, outcome: 'accepted'},
    ],
  );
  t.deepEqual(gone, ['feature/x', 'gone']);
  await deliveries.settled();
  t.true(looks.length >= 1);
  t.deepEqual(new Set(looks), new Set([watched]));
  t.not(deliveries.get(answers[0]?.id ?? '').looked_at, null);
});

for (const action of ['opened', 'synchronize', 'closed', 'reopened', 'labeled']) {
  test(`a pull request that is ${action} makes its repository be looked at`, async (t) => {
    const {send, deliveries, looks, pulls} = await createWebhookWorld(t);
    const example = (
      examplesOf('pull_request') as {action: string; pull_request: {head: object; base: object}}[]
    ).find((one) => one.action === action);
    t.truthy(example);
    const answer = await answerOf(send('pull_request', example));
    t.like(answer, {event: 'pull_request', action, repository: hello, outcome: 'accepted', reason: 'queued'});
    t.is(typeof answer.pull_request, 'number');
    await deliveries.settled();
    t.deepEqual([looks, pulls], [[watched], [watched]]);
  });
}

test('a pull request of a fork is nobody of ours', async (t) => {
  const {send, looks} = await createWebhookWorld(t);
  const [example] = structuredClone(examplesOf('pull_request')) as {
    pull_request: {head: {repo: {id: number} | null}};
  }[];
  for (const repo of [{id: 1}, null]) {
    if (example !== undefined) example.pull_request.head.repo = repo;
    t.like(await answerOf(send('pull_request', example)), {outcome: 'ignored', reason: 'fork'});
  }
  t.deepEqual(looks, []);
});

test('an App that is installed makes the repositories that it names be looked at', async (t) => {
  const {send, deliveries, looks} = await createWebhookWorld(t);
  const examples = examplesOf('installation') as {repositories?: {full_name: string}[]}[];
  const example = examples.find(({repositories}) =>
    repositories?.some(({full_name}) => full_name === 'Codertocat/Hello-World'),
  );
  t.truthy(example);
  t.like(await answerOf(send('installation', example)), {outcome: 'accepted', watched: [watched]});
  await deliveries.settled();
  t.deepEqual(looks, [watched]);
});

test('a repository that nobody watches is said to be one', async (t) => {
  const {send} = await createWebhookWorld(t, {repositories: []});
  const payload = {
    ref: 'refs/heads/x',
    after: 'b'.repeat(40),
    repository: {html_url: 'https://github.com/o/n'},
  };
  t.like(await answerOf(send('push', payload)), {outcome: 'ignored', reason: 'repository_unwatched'});
});

for (const {title, address} of [
  {title: 'https with .git', address: 'https://x:y@github.com/codertocat/hello-world.git'},
  {title: 'ssh', address: 'git@github.com:Codertocat/Hello-World.git'},
  {title: 'ssh on the port of https', address: 'ssh://git@ssh.github.com:443/Codertocat/Hello-World.git'},
]) {
  test(`a repository that is watched by ${title} is found`, async (t) => {
    const {send} = await createWebhookWorld(t, {
      repositories: [{repository: address, forgePath: forgePath(address), servesForks: false}],
    });
    const [push] = examplesOf('push');
    t.deepEqual((await answerOf(send('push', {...(push as object), ref: 'refs/heads/x'}))).watched, [
      address,
    ]);
  });
}

const body = JSON.stringify({zen: 'x'});
const good = signature(body);
for (const {title, headers, status} of [
  {title: 'of the secret', headers: {'X-Hub-Signature-256': good}, status: 202},
  {
    title: 'in capitals',
    headers: {'X-Hub-Signature-256': `sha256=${good.slice(7).toUpperCase()}`},
    status: 202,
  },
  {
    title: 'of the former secret during a rotation',
    headers: {'X-Hub-Signature-256': signature(body, 'the former secret')},
    status: 202,
  },
  {title: 'of another secret', headers: {'X-Hub-Signature-256': signature(body, 'other')}, status: 401},
  {title: 'of another body', headers: {'X-Hub-Signature-256': signature('{}')}, status: 401},
  {title: 'that is missing', headers: {}, status: 401},
  {title: 'that is cut off', headers: {'X-Hub-Signature-256': good.slice(0, -1)}, status: 401},
  {title: 'that is empty', headers: {'X-Hub-Signature-256': 'sha256='}, status: 401},
  {title: 'without its prefix', headers: {'X-Hub-Signature-256': good.slice(7)}, status: 401},
  {title: 'of SHA-1 alone', headers: {'X-Hub-Signature': `sha1=${'0'.repeat(40)}`}, status: 401},
  {title: 'followed by more', headers: {'X-Hub-Signature-256': `${good}00`}, status: 401},
]) {
  test(`a signature ${title} is answered with ${status}`, async (t) => {
    const {post, deliveries} = await createWebhookWorld(t, {
      secrets: {github: [hookSecret, 'the former secret']},
    });
    const {'X-Hub-Signature-256': _own, ...rest} = gitHubHeaders('ping', body);
    const response = await post('/hooks/github', body, {...rest, ...headers});
    t.is(response.status, status);
    t.is(deliveries.newest(10).length, status === 202 ? 1 : 0);
    if (status === 401) t.is((await answerOf(response)).code, 'SIGNATURE_INVALID');
  });
}

test('a body is not parsed before its signature is known', async (t) => {
  const {post} = await createWebhookWorld(t);
  const wrong = gitHubHeaders('push', '{', {secret: 'other'});
  t.is((await post('/hooks/github', '{', wrong)).status, 401);
  t.is((await post('/hooks/github', '{', gitHubHeaders('push', '{'))).status, 400);
});

test('a secret that was changed meanwhile is read anew', async (t) => {
  const secrets = {github: ['former']};
  let reads = 0;
  const {send} = await createWebhookWorld(t, {
    secrets,
    async renew() {
      reads += 1;
      secrets.github = [hookSecret];
      return true;
    },
  });
  t.is((await send('ping', {})).status, 202);
  t.is((await send('ping', {})).status, 202);
  t.is(reads, 1);
});

test('a hook without a secret is closed', async (t) => {
  const {send} = await createWebhookWorld(t, {secrets: {}});
  const response = await send('ping', {});
  t.is(response.status, 404);
  t.like(await answerOf(response), {code: 'HOOK_CLOSED'});
});

test('a body of more than 3 MiB is refused before it is read', async (t) => {
  const {post, deliveries} = await createWebhookWorld(t);
  const large = ' '.repeat(maxHookBytes + 1);
  const response = await post('/hooks/github', large, gitHubHeaders('push', large));
  t.is(response.status, 413);
  const fits = `{"zen":"${'x'.repeat(maxHookBytes - 10)}"}`;
  t.is(fits.length, maxHookBytes);
  t.is((await post('/hooks/github', fits, gitHubHeaders('ping', fits))).status, 202);
  t.is(deliveries.newest(10).length, 1);
});

test('a form, the content type that the pages of GitHub offer first, is read too', async (t) => {
  const {post} = await createWebhookWorld(t);
  const form = new URLSearchParams({payload: body}).toString();
  const headers = {
    ...gitHubHeaders('ping', form),
    'Content-Type': 'application/x-www-form-urlencoded',
  };
  t.like(await answerOf(post('/hooks/github', form, headers)), {event: 'ping', outcome: 'ignored'});
});

test('a delivery without an event, or with an id that is no word, is refused', async (t) => {
  const {post} = await createWebhookWorld(t);
  for (const broken of [{'X-GitHub-Event': ''}, {'X-GitHub-Delivery': 'x'.repeat(300)}])
    t.is((await post('/hooks/github', body, {...gitHubHeaders('ping', body), ...broken})).status, 400);
});

const commit = 'c'.repeat(40);
const gitLabProject = {git_http_url: 'https://gitlab.example.org/acme/shop.git'};
for (const {title, forge, headers, payload, expect} of [
  {
    title: 'a push of Gitea',
    forge: 'gitea',
    headers: (text: string) => ({
      'X-Gitea-Event': 'push',
      'X-Gitea-Delivery': 'd1',
      'X-Gitea-Signature': signature(text).slice('sha256='.length),
    }),
    payload: {
      ref: 'refs/heads/x',
      after: commit,
      repository: {clone_url: 'https://gitlab.example.org/acme/shop.git'},
    },
    expect: {id: 'd1', branch: 'x', commit, outcome: 'accepted'},
  },
  {
    title: 'a push of GitLab',
    forge: 'gitlab',
    headers: () => ({'X-Gitlab-Event': 'Push Hook', 'Idempotency-Key': 'd2', 'X-Gitlab-Token': hookSecret}),
    payload: {ref: 'refs/heads/x', after: commit, project: gitLabProject},
    expect: {id: 'd2', branch: 'x', commit, outcome: 'accepted'},
  },
  {
    title: 'a merge request of GitLab that is closed',
    forge: 'gitlab',
    headers: () => ({
      'X-Gitlab-Event': 'Merge Request Hook',
      'Idempotency-Key': 'd3',
      'X-Gitlab-Token': hookSecret,
    }),
    payload: {
      project: gitLabProject,
      object_attributes: {
        action: 'close',
        iid: 7,
        source_branch: 'x',
        source_project_id: 1,
        target_project_id: 1,
        last_commit: {id: commit},
      },
    },
    expect: {id: 'd3', branch: 'x', pull_request: 7, outcome: 'accepted'},
  },
  {
    title: 'a tag of GitLab',
    forge: 'gitlab',
    headers: () => ({'X-Gitlab-Event': 'Tag Push Hook', 'X-Gitlab-Token': hookSecret}),
    payload: {ref: 'refs/tags/v1', project: gitLabProject},
    expect: {outcome: 'ignored', reason: 'not_a_branch'},
  },
  {
    title: 'word of any other program',
    forge: 'generic',
    headers: (text: string) => ({'X-Branchtab-Signature': signature(text)}),
    payload: {repository: 'git@gitlab.example.org:acme/shop.git', branch: 'x', commit},
    expect: {branch: 'x', commit, outcome: 'accepted'},
  },
]) {
  test(`${title} is understood, and refused with a wrong secret`, async (t) => {
    const {post, deliveries, looks} = await createWebhookWorld(t, {
      repositories: [
        {
          repository: 'https://gitlab.example.org/acme/shop',
          forgePath: 'gitlab.example.org/acme/shop',
          servesForks: false,
        },
      ],
      secrets: {gitea: [hookSecret], gitlab: [hookSecret], generic: [hookSecret]},
    });
    const text = JSON.stringify(payload);
    t.like(await answerOf(post(`/hooks/${forge}`, text, headers(text))), expect);
    await deliveries.settled();
    t.is(looks.length, expect.outcome === 'accepted' ? 1 : 0);
    const forged = Object.fromEntries(
      Object.entries(headers(`${text} `)).map(([name, value]) => [name, value.replace(hookSecret, 'guess')]),
    );
    t.is((await post(`/hooks/${forge}`, text, forged)).status, 401);
  });
}
