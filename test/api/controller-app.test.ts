import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createAuth} from '../../api/auth.ts';
import {createControllerApp} from '../../api/controller-app.ts';
import {createRuntimeClient} from '../../api/runtime-client.ts';
import {newBranchRecord} from '../../reconciler/branch-record.ts';
import {createController} from '../../reconciler/controller.ts';
import {openRecordStore} from '../../reconciler/record-store.ts';
import {openRunArchive} from '../../reconciler/run-archive.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {type Branch, type BranchList, branchListSchema} from '../../schemas/branch.ts';
import type {ErrorBody} from '../../schemas/errors.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {jsonOf} from '../helpers/json-of.ts';

interface OpenApi {
  openapi: string;
  paths: Record<string, unknown>;
  components: {schemas: Record<string, unknown>};
}

const token = 'bt_0123456789abcdef0123456789abcdef';

/** The real controller without a provider, with four branches in its records and nothing to watch. */
async function setup(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-app-'));
  const clock = new FakeClock();
  const records = await openRecordStore({directory: join(directory, 'branches'), log: silentLog});
  for (const repository of ['/srv/a', '/srv/b'])
    await records.save(newBranchRecord({repository, path: '.', branch: 'main', live: true}));
  await records.save(newBranchRecord({repository: '/srv/a', path: '.', branch: 'feature/x', live: false}));
  await records.save(
    newBranchRecord({repository: '/srv/a', path: '.', branch: '<script>alert(1)</script>', live: false}),
  );
  const controller = createController({
    repositories: [],
    provider: null,
    records,
    archive: openRunArchive({directory: join(directory, 'runs')}),
    client: ({controlSocket}) => createRuntimeClient({socketPath: controlSocket}),
    checkScript: async () => [],
    clock,
    log: silentLog,
    random: () => 0.5,
    baseUrl: () => 'http://127.0.0.1:7070',
    policy: {undoWindowMs: 0, drift: 'revert'},
    timeZone: 'UTC',
    concurrency: 1,
    pollIntervalMs: 60_000,
    fetchIntervalMs: 60_000,
    driftIntervalMs: 60_000,
    stopGraceMs: 0,
  });
  await controller.start();
  t.teardown(async () => {
    await controller.stop();
    await rm(directory, {recursive: true, force: true});
  });
  const auth = createAuth({token, now: () => clock.now()});
  const app = createControllerApp({
    controller,
    auth,
    version: '0.1.0',
    baseUrl: () => 'http://127.0.0.1:7070',
    ready: () => true,
    log: silentLog,
  });
  const call = (path: string, init: RequestInit = {}) =>
    app.request(path, {
      ...init,
      headers: {Authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>)},
    });
  return {app, call, clock, auth};
}

test('liveness and readiness are open, everything else needs the token', async (t) => {
  const {app} = await setup(t);
  for (const path of ['/livez', '/readyz']) t.is((await app.request(path)).status, 200, path);
  for (const path of [
    '/',
    '/api/v1/branches',
    '/api/v1/events',
    '/api/v1/repositories',
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
    '/api/v1/branches',
    '/api/v1/branches/{key}',
    '/api/v1/branches/{key}/reconcile',
    '/api/v1/branches/{key}/restore',
    '/api/v1/branches/{key}/runs',
    '/api/v1/events',
    '/api/v1/login-codes',
    '/api/v1/reconcile',
    '/api/v1/repositories',
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
