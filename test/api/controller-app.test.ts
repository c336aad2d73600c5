import test from 'ava';
import {type Branch, type BranchList, branchListSchema} from '../../schemas/branch.ts';
import type {ErrorBody} from '../../schemas/errors.ts';
import {createControllerAppWorld as setup, token} from '../helpers/controller-app-world.ts';
import {jsonOf} from '../helpers/json-of.ts';

interface OpenApi {
  openapi: string;
  paths: Record<string, unknown>;
  components: {schemas: Record<string, unknown>};
}

test('liveness and readiness are open, everything else needs the token', async (t) => {
  const {app} = await setup(t);
  for (const path of ['/livez', '/readyz']) t.is((await app.request(path)).status, 200, path);
  for (const path of [
    '/',
    '/api/v1/branches',
    '/api/v1/deliveries',
    '/api/v1/deliveries/{id}',
    '/api/v1/events',
    '/api/v1/forge',
    '/api/v1/repositories',
    '/metrics',
    '/openapi.json',
    '/nowhere',
  ]) {
    t.is((await app.request(path)).status, 401, path);
  }
  for (const header of ['Bearer wrong', `Basic ${token}`, token, `Bearer ${token}x`, 'Bearer ']) {
    t.is((await app.request('/api/v1/branches', {headers: {Authorization: header}})).status, 401, header);
  }
});

test('the list of branches has live first and is of the published shape', async (t) => {
  const {call} = await setup(t);
  const body = branchListSchema.parse(await (await call('/api/v1/branches')).json());
  t.deepEqual(
    body.items.map(({branch}) => branch),
    ['main', 'main', '<script>alert(1)</script>', 'feature/x'],
  );
  t.is((await jsonOf<BranchList>(call('/api/v1/branches?limit=1'))).items.length, 1);
});

test('a branch is found by key, or by a name that only one repository has', async (t) => {
  const {call} = await setup(t);
  const byName = await call('/api/v1/branches/feature%2Fx');
  t.is(byName.status, 200);
  const {key} = await jsonOf<Branch>(byName);
  t.is((await jsonOf<Branch>(call(`/api/v1/branches/${key}`))).branch, 'feature/x');
  const ambiguous = await call('/api/v1/branches/main');
  t.is(ambiguous.status, 409);
  t.is((await jsonOf<ErrorBody>(ambiguous)).code, 'BRANCH_AMBIGUOUS');
  t.is((await call('/api/v1/branches/nobody')).status, 404);
});

test('a wrong parameter is 400 with its name', async (t) => {
  const {call} = await setup(t);
  const answer = await call('/api/v1/branches?limit=none');
  t.is(answer.status, 400);
  const {code, message} = await jsonOf<ErrorBody>(answer);
  t.is(code, 'INVALID_QUERY');
  t.true(message.startsWith('limit'));
});

test('a branch that is not in the trash cannot be restored', async (t) => {
  const {call} = await setup(t);
  const answer = await call('/api/v1/branches/feature%2Fx/restore', {method: 'POST'});
  t.is(answer.status, 409);
  t.is((await jsonOf<ErrorBody>(answer)).code, 'NOTHING_TO_RESTORE');
});

test('a login link works once and sets a cookie that scripts and other sites cannot use', async (t) => {
  const {app, call} = await setup(t);
  const {url} = await jsonOf<{url: string}>(call('/api/v1/login-codes', {method: 'POST'}));
  const path = url.slice('http://127.0.0.1:7070'.length);
  t.false(url.includes(token));
  const first = await app.request(path);
  t.is(first.status, 302);
  const cookie = first.headers.get('set-cookie') ?? '';
  t.regex(cookie, /HttpOnly/);
  t.regex(cookie, /SameSite=Strict/);
  t.is((await app.request('/api/v1/branches', {headers: {Cookie: cookie.split(';')[0] ?? ''}})).status, 200);
  t.is((await app.request(path)).status, 401);
});

test('a login link is void after 15 minutes, a session after 12 hours', async (t) => {
  const {auth, clock} = await setup(t);
  const code = auth.createLoginCode();
  clock.step(15 * 60_000);
  t.is(auth.redeem(code), null);
  const session = auth.redeem(auth.createLoginCode());
  const headers = new Headers({Cookie: `branchtab_session=${session}`});
  t.true(auth.accepts(headers));
  clock.step(12 * 3_600_000);
  t.false(auth.accepts(headers));
});

test('the page escapes what comes from git', async (t) => {
  const {call} = await setup(t);
  const page = await (await call('/')).text();
  t.true(page.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
  t.false(page.includes('<script>'));
  t.regex((await call('/')).headers.get('content-security-policy') ?? '', /default-src 'none'/);
});

test('OpenAPI describes every route with the shapes of schemas/', async (t) => {
  const {call} = await setup(t);
  const document = await jsonOf<OpenApi>(call('/openapi.json'));
  t.is(document.openapi, '3.1.0');
  t.deepEqual(Object.keys(document.paths).sort(), [
    '/api/v1/adopt',
    '/api/v1/branches',
    '/api/v1/branches/{key}',
    '/api/v1/branches/{key}/backups',
    '/api/v1/branches/{key}/data/restore',
    '/api/v1/branches/{key}/environment',
    '/api/v1/branches/{key}/forget',
    '/api/v1/branches/{key}/history',
    '/api/v1/branches/{key}/keep',
    '/api/v1/branches/{key}/promotion',
    '/api/v1/branches/{key}/reconcile',
    '/api/v1/branches/{key}/release',
    '/api/v1/branches/{key}/restore',
    '/api/v1/branches/{key}/rollback',
    '/api/v1/branches/{key}/runs',
    '/api/v1/branches/{key}/shells',
    '/api/v1/branches/{key}/shells/{id}/input',
    '/api/v1/branches/{key}/shells/{id}/size',
    '/api/v1/branches/{key}/suspension',
    '/api/v1/containers',
    '/api/v1/containers/{container}',
    '/api/v1/containers/{container}/{operation}',
    '/api/v1/deliveries',
    '/api/v1/deliveries/{id}',
    '/api/v1/events',
    '/api/v1/explanations/{subject}',
    '/api/v1/forge',
    '/api/v1/login-codes',
    '/api/v1/queue',
    '/api/v1/reconcile',
    '/api/v1/repositories',
    '/api/v1/snapshots',
    '/api/v1/snapshots/{name}',
    '/api/v1/tokens',
    '/api/v1/tokens/{id}',
    '/metrics',
  ]);
  t.truthy(document.components.schemas.Branch);
});

test('events arrive as server-sent events', async (t) => {
  const {call} = await setup(t);
  const abort = new AbortController();
  const answer = await call('/api/v1/events', {signal: abort.signal});
  t.regex(answer.headers.get('content-type') ?? '', /^text\/event-stream/);
  const reader = answer.body?.getReader();
  const {value} = (await reader?.read()) ?? {};
  t.is(new TextDecoder().decode(value), 'event: connected\ndata: {}\n\n');
  await reader?.cancel();
});

test('what GitHub was asked is told to people and to Prometheus', async (t) => {
  const {call} = await setup(t);
  const {github} = await jsonOf<{github: {reports: {waiting: number}}}>(call('/api/v1/forge'));
  t.is(github.reports.waiting, 4);
  const answer = await call('/metrics');
  t.regex(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const text = await answer.text();
  t.regex(text, /^# TYPE branchtab_github_requests_total counter\nbranchtab_github_requests_total 7\n/m);
  t.regex(text, /^branchtab_github_remaining 4990$/m);
  t.regex(text, /^branchtab_github_reports_waiting 4$/m);
  t.notRegex(text, /resets_at/);
});
