import test from 'ava';
import type {Deployer} from '../../api/deployers.ts';
import {createControllerAppWorld} from '../helpers/controller-app-world.ts';
import {createJobIssuer} from '../helpers/job-issuer.ts';
import {createWebhookWorld} from '../helpers/webhook-world.ts';

const ofA: Deployer = {mayDeploy: (repository) => repository === '/srv/a', maySkip: false};
const bearer = (token: string) => ({
  headers: {Authorization: `Bearer ${token}`, 'Content-Type': 'application/json'},
});

/** What a deployer may do, of all that the controller's API offers. */
const allowed = new Set([
  'get /api/v1/branches',
  'get /api/v1/branches/{key}',
  'post /api/v1/branches/{key}/reconcile',
  'get /api/v1/deliveries/{id}',
]);

test('a deployer sees the branches of its repository and may do nothing else', async (t) => {
  const {call} = await createControllerAppWorld(t, {deployers: {'token-of-a': ofA}});
  const all = (await (await call('/api/v1/branches')).json()) as {items: {key: string; repository: string}[]};
  const ask = (path: string, method = 'GET') => call(path, {...bearer('token-of-a'), method});
  const own = (await (await ask('/api/v1/branches')).json()) as typeof all;
  t.deepEqual(
    own.items,
    all.items.filter(({repository}) => repository === '/srv/a'),
  );
  t.true(own.items.length < all.items.length);
  const keyIn = (repository: string) => all.items.find((item) => item.repository === repository)?.key ?? '';
  t.is((await ask(`/api/v1/branches/${keyIn('/srv/a')}`)).status, 200);
  t.is((await ask(`/api/v1/branches/${keyIn('/srv/a')}/reconcile`, 'POST')).status, 202);
  for (const method of ['GET', 'POST'])
    t.is(
      (await ask(`/api/v1/branches/${keyIn('/srv/b')}${method === 'GET' ? '' : '/reconcile'}`, method))
        .status,
      404,
    );

  const {paths} = (await (await call('/openapi.json')).json()) as {paths: Record<string, object>};
  const asked: string[] = [];
  for (const [path, operations] of Object.entries(paths)) {
    for (const method of Object.keys(operations)) {
      const route = `${method} ${path}`;
      const target = path.replaceAll(/\{[a-z]+\}/gi, keyIn('/srv/a'));
      const {status} = await ask(target, method.toUpperCase());
      if (allowed.has(route)) t.not(status, 403, route);
      else t.is(status, 403, route);
      asked.push(route);
    }
  }
  t.deepEqual(new Set(asked.filter((route) => allowed.has(route))), allowed);
  t.is((await ask('/')).status, 403);
  t.is((await call('/api/v1/branches', bearer('token-of-b'))).status, 401);
});

test('a token of a CI job tells of its own repository and reads what became of that', async (t) => {
  const told = {skips: [] as string[]};
  const {post, deliveries, looks} = await createWebhookWorld(t, {
    repositories: [
      {repository: '/srv/git/shop.git', forgePath: 'github.com/acme/shop', servesForks: false},
      {repository: '/srv/b', forgePath: null, servesForks: false},
    ],
    secrets: {},
    ofJob: async () => ({mayDeploy: (repository) => repository === 'github.com/acme/shop', maySkip: false}),
    deployers: {'token-of-b': {mayDeploy: (repository) => repository === '/srv/b', maySkip: true}},
    skip: (...words) => told.skips.push(words.join(' ')),
  });
  const tell = async (token: string, body: object) => {
    const response = await post('/hooks/generic', JSON.stringify(body), bearer(token).headers);
    return {status: response.status, body: (await response.json()) as {code?: string; watched?: string[]}};
  };
  const commit = 'a'.repeat(40);
  const own = {repository: 'https://github.com/Acme/Shop', branch: 'x', commit};
  t.like(await tell('a.b.c', own), {status: 202, body: {watched: ['/srv/git/shop.git']}});
  for (const [token, body, status] of [
    ['a.b.c', {...own, repository: 'https://github.com/acme/other'}, 403],
    ['a.b.c', {...own, repository: '/srv/git/shop.git'}, 403],
    ['a.b.c', {...own, skip: true}, 403],
    ['unknown', own, 401],
    ['token-of-b', {repository: '/srv/b', branch: 'x', commit, skip: true}, 202],
    ['token-of-b', {repository: '/srv/b', branch: 'x', skip: true}, 400],
    ['token-of-b', {repository: '/srv/b', branch: 'x', commit: null, skip: true}, 400],
    ['token-of-b', own, 403],
  ] as const)
    t.is((await tell(token, body)).status, status, JSON.stringify(body));
  await deliveries.settled();
  t.deepEqual(looks, ['/srv/git/shop.git']);
  t.deepEqual(told.skips, [`/srv/b x ${commit}`]);
  // The header of a job opens no other hook.
  t.is((await post('/hooks/github', '{}', bearer('a.b.c').headers)).status, 404);
});

test('what looks like a token of a job is none where no issuer is configured', async (t) => {
  const issuer = await createJobIssuer(t);
  const {call} = await createControllerAppWorld(t);
  t.is((await call('/api/v1/branches', bearer(await issuer.token()))).status, 401);
  t.deepEqual(issuer.requests, []);
  t.is((await call('/api/v1/branches', bearer('x'.repeat(20_000)))).status, 401);
});
