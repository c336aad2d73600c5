import test, {type ExecutionContext} from 'ava';
import {Hono} from 'hono';
import type {ControlPort} from '../../api/control-routes.ts';
import {createRuntimeApp} from '../../api/runtime-app.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {plainSettings} from '../../schemas/control.ts';
import type {ControlEvent, ControlState} from '../../schemas/control-state.ts';
import {fetchAsListener} from '../helpers/call-script.ts';
import {execWorld, fixtureDeployment} from '../helpers/exec-world.ts';
import {FakeClock} from '../helpers/fake-clock.ts';

async function setup(t: ExecutionContext, {trusted = false}: {trusted?: boolean} = {}) {
  const world = await execWorld(t);
  const clock = new FakeClock();
  const listeners = new Set<(event: ControlEvent) => void>();
  const done: unknown[] = [];
  const state: ControlState = {
    api_version: 1,
    runtime_version: '0.0.0',
    schedule: {state: 'held', reason: null},
    environment: {revision: null, digest: ''},
    workspace: {tree: null},
    deployment: {digest: null},
    crontabs: {},
    running_jobs: 0,
    limits: [],
    next_run: null,
    last_run: null,
  };
  const control: ControlPort = {
    state: () => state,
    setSchedule: async (change) => void done.push(change),
    setLease: async (change) => void done.push(change),
    setEnvironment: async (change) => void done.push(change),
    applyChangeSet: async (body) => ({tree: await new Response(body).text()}),
    stopJobs: async (options) => void done.push(options),
    packData: async () => new Blob(['archive']).stream(),
    replaceData: async (body) => void done.push(await new Response(body).text()),
    seed: async (request) => {
      done.push(request);
      return {exit_code: 0, output: ''};
    },
    shells: async () => {
      throw new Error('no test of this file opens a shell');
    },
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const app = createRuntimeApp({
    exec: world.exec,
    cronApp: (lists) => new Hono().get('/*', (c) => c.json({cron: c.req.path, lists})),
    notificationRoutes: async () => new Hono().get('/*', (c) => c.json({notifications: c.req.path})),
    control,
    health: async () => ({status: 'ok', started: '', pid: 1, ip: '', fds: null, built: null, memory: null}),
    trusted,
    allowedHosts: [],
    clock,
    log: silentLog,
  });
  const fetch = fetchAsListener({app, calls: world.exec.calls, trusted});
  const request = (path: string, init: RequestInit = {}) =>
    fetch(new Request(`http://localhost${path}`, {...init, headers: {host: 'localhost', ...init.headers}}));
  return {...world, clock, listeners, done, state, request};
}

test('cron answers bare with envelopes and below its prefix with arrays', async (t) => {
  const {request} = await setup(t);
  t.deepEqual(await (await request('/users/root/entries')).json(), {
    cron: '/users/root/entries',
    lists: 'envelope',
  });
  t.like(await (await request('/api/v1/cron/users/me/entries')).json(), {lists: 'array'});
});

test('notifications answer below their prefix and bare on their own host, with health of their own', async (t) => {
  const {request} = await setup(t);
  t.like(await (await request('/api/v1/notifications/push/me')).json(), {
    notifications: '/api/v1/notifications/push/me',
  });
  const headers = {host: 'hoody-notifications'};
  t.like(await (await request('/push/m.dossantos', {headers})).json(), {notifications: '/push/m.dossantos'});
  t.like(await (await request('/health', {headers: {host: 'a-b-n-1.x.localhost'}})).json(), {
    service: 'notifications',
    userAgent: null,
  });
  t.like(await (await request('/api/v1/notifications/health')).json(), {service: 'notifications'});
  t.is((await request('/push/me')).status, 404, 'a script on a neutral host');
});

test('health is text for healthz and nine fields for health', async (t) => {
  const {request} = await setup(t);
  t.is(await (await request('/healthz')).text(), 'ok\n');
  const health = await (await request('/health')).json();
  t.is(Object.keys(health as object).length, 9);
  t.like(await (await request('/api/v1/cron/health')).json(), {service: 'cron', user_agent: null});
});

test('every other path is a script, with its encoding kept', async (t) => {
  const {request, exec} = await setup(t);
  await exec.deploy(fixtureDeployment('api/users/[id].ts'));
  t.like(await (await request('/api%2Fusers%2F42')).json(), {parameters: {id: '42'}});
  const missing = await request('/nothing');
  t.is(missing.status, 404);
  t.like(await missing.json(), {code: 'SCRIPT_NOT_FOUND'});
});

test('control, deployments and the kit header exist on the controller’s socket only', async (t) => {
  const open = await setup(t);
  t.is((await open.request('/api/v1/control')).status, 404);
  t.is((await open.request('/api/v1/exec/deployments', {method: 'PUT', body: '{}'})).status, 404);
  t.is((await open.request('/users/root/crontab', {headers: {'x-branchtab-kit': 'exec'}})).status, 200);
  const trusted = await setup(t, {trusted: true});
  t.deepEqual(await (await trusted.request('/api/v1/control')).json(), trusted.state);
  t.is((await trusted.request('/users/root/crontab', {headers: {'x-branchtab-kit': 'exec'}})).status, 404);
  const deployment = fixtureDeployment('hello.ts');
  const deployed = await trusted.request('/api/v1/exec/deployments', {
    method: 'PUT',
    body: JSON.stringify(deployment),
  });
  t.deepEqual(await deployed.json(), {digest: deployment.digest, files: 1});
});

test('who comes through the gateway reaches neither control nor deployments', async (t) => {
  const {request, done, state} = await setup(t, {trusted: true});
  const deployment = JSON.stringify(fixtureDeployment('hello.ts'));
  for (const kit of ['cron', 'exec', 'pipe', 'notifications']) {
    const headers = {'x-branchtab-kit': kit};
    for (const [method, path, body] of [
      ['PUT', '/api/v1/exec/deployments', deployment],
      ['PUT', '/api/v1/exec/../exec/deployments', deployment],
      ['PUT', '/api/v1/control/schedule', '{"state":"paused"}'],
      ['POST', '/api/v1/control/workspace', 'tree'],
    ] as const) {
      const {status} = await request(path, {method, headers, body});
      t.true(status === 404 || status === 501, `${kit} ${path} ${status}`);
    }
    t.notDeepEqual(await (await request('/api/v1/control', {headers})).json(), state, kit);
  }
  t.deepEqual(done, []);
});

test('a foreign Host is refused, but not on the controller’s socket', async (t) => {
  const headers = {host: 'evil.example'};
  const refused = await (await setup(t)).request('/healthz', {headers});
  t.is(refused.status, 421);
  t.like(await refused.json(), {code: 'MISDIRECTED_HOST'});
  t.is((await (await setup(t, {trusted: true})).request('/healthz', {headers})).status, 200);
});

test('another site may call scripts and nothing else', async (t) => {
  const {request, exec} = await setup(t);
  await exec.deploy(fixtureDeployment('hello.ts'));
  const headers = {origin: 'https://evil.example'};
  t.is((await request('/hello', {headers})).status, 200);
  for (const path of ['/users/root/crontab', '/api/v1/exec/scripts/list', '/health']) {
    t.is((await request(path, {headers})).status, 403, path);
  }
});

test('kits that do not exist yet say so', async (t) => {
  const {request} = await setup(t);
  t.is((await request('/api/v1/pipe/x')).status, 501);
});

test('control routes check their bodies and pass them on', async (t) => {
  const {request, done} = await setup(t, {trusted: true});
  const put = (path: string, body: unknown, method = 'PUT') =>
    request(`/api/v1/control/${path}`, {method, body: JSON.stringify(body)});
  t.is((await put('schedule', {state: 'running'})).status, 200);
  t.is((await put('environment', {revision: 'r', variables: {A: '1'}})).status, 200);
  t.is((await put('jobs/stop', {grace_ms: 5, reason: 'branch_deleted'}, 'POST')).status, 200);
  t.deepEqual(done, [
    {state: 'running', reason: null},
    {revision: 'r', variables: {A: '1'}, secrets: {}, settings: plainSettings},
    {graceMs: 5, reason: 'branch_deleted'},
  ]);
  t.is((await put('schedule', {state: 'off'})).status, 400);
  t.is((await put('environment', {revision: null, variables: {'not a name': '1'}})).status, 400);
  const notJson = await request('/api/v1/control/schedule', {method: 'PUT', body: '{'});
  t.like(await notJson.json(), {code: 'INVALID_JSON'});
  t.deepEqual(await (await request('/api/v1/control/workspace', {method: 'POST', body: 'tree'})).json(), {
    tree: 'tree',
  });
});

test('events are streamed, with a comment every 15 s, until the reader leaves', async (t) => {
  const {request, clock, listeners} = await setup(t, {trusted: true});
  const response = await request('/api/v1/control/events');
  t.is(response.headers.get('content-type'), 'text/event-stream');
  const reader = (response.body ?? t.fail('no body') ?? new ReadableStream<Uint8Array>()).getReader();
  const next = async () => new TextDecoder().decode((await reader.read()).value);
  t.is(await next(), ': connected\n\n');
  for (const listener of listeners) listener({type: 'schedule_changed', state: 'running'});
  t.is(await next(), 'data: {"type":"schedule_changed","state":"running"}\n\n');
  await clock.advance(15_000);
  t.is(await next(), ': still here\n\n');
  await reader.cancel();
  t.is(listeners.size, 0);
});

test('scripts are written, read, listed and deleted over HTTP', async (t) => {
  const {request} = await setup(t);
  const write = await request('/api/v1/exec/scripts/write?path=b.ts', {
    method: 'POST',
    body: JSON.stringify({path: 'a.ts', content: 'return 1'}),
  });
  t.like(await write.json(), {path: 'b.ts', created: true});
  t.like(await (await request('/api/v1/exec/scripts/read?path=b.ts')).json(), {content: 'return 1'});
  t.like(await (await request('/api/v1/exec/scripts/list')).json(), {count: 1});
  const unconfirmed = await request('/api/v1/exec/scripts/delete?path=b.ts', {method: 'DELETE'});
  t.like(await unconfirmed.json(), {code: 'CONFIRM_REQUIRED'});
  t.like(
    await (await request('/api/v1/exec/scripts/delete?path=b.ts&confirm=true', {method: 'DELETE'})).json(),
    {deleted: true},
  );
  t.is((await request('/api/v1/exec/scripts/read?path=b.ts')).status, 404);
  t.is((await request('/api/v1/exec/scripts/read?path=../b.ts')).status, 400);
  t.is((await request('/api/v1/exec/scripts/list?execId=a-b')).status, 400);
});
