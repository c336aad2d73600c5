import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {active, createControllerWorld, type RunningController} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {rawRequest} from '../helpers/raw-http.ts';

const isRoot = process.getuid?.() === 0;

/** A live branch in whose container two people are on call, each with a token. */
async function onCall(t: ExecutionContext) {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(
    config,
    'domain: hoody.com\nusers: [{name: m.dossantos, account: nobody}, {name: j.okafor, account: daemon}, plain]\n',
  );
  const commit = await repository.commit('main', {
    '.hoody/crontab': '0 3 1 1 * true\n',
    '.hoody/exec/hello.ts': 'return 1;\n',
  });
  const up = () => world.up('--repo', repository.path, '--config', config);
  const controller = await up();
  const branch = await controller.until('main', active(commit));
  const tokenOf = async (user: string) => {
    const {stdout, stderr, code} = await world.run('tokens', 'create', user);
    if (code !== 0) throw new Error(stderr);
    return stdout.trim();
  };
  return {world, config, up, controller, branch, key: branch.key, tokenOf};
}

/** Answers may come in chunks, whose sizes stand between. */
const jsonIn = (text: string) => JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1));

function asker({url}: RunningController, key: string) {
  return async (
    token: string | null,
    method: string,
    target: string,
    body?: object,
    host = `${key}-cron-1.hoody.com`,
  ) => {
    const answer = await rawRequest(url, {
      method,
      target,
      body: body === undefined ? '' : JSON.stringify(body),
      headers: {
        Host: host,
        ...(token === null ? {} : {Authorization: `Bearer ${token}`}),
        ...(body === undefined ? {} : {'Content-Type': 'application/json'}),
      },
    });
    const json = /json/.test(answer.headers.get('content-type') ?? '');
    return {status: answer.status, body: json ? jsonIn(answer.body) : answer.body};
  };
}

test('S43 S51 S53 S57: two people on call post their entries as me, run as themselves, and see nothing of each other', async (t) => {
  const {world, controller, key, branch, tokenOf} = await onCall(t);
  const ask = asker(controller, key);
  const [mine, hers] = [await tokenOf('m.dossantos'), await tokenOf('j.okafor')];
  const entry = (name: string, expires_at: string) => ({
    schedule: '*/30 * * * *',
    command: `echo "$USER is $(id -un)"; curl -fsS hoody-notifications/push/${name} || curl -fsS "$HOODY_NOTIFICATIONS_URL/push/${name}"`,
    comment: 'on-call wk19',
    expires_at,
  });
  const soon = new Date(Date.now() + 4 * 86_400_000).toISOString();
  const first = await ask(mine, 'POST', '/users/me/entries', entry('m.dossantos', soon));
  t.is(first.status, 201, JSON.stringify(first.body));
  t.like(first.body, {user: 'm.dossantos', enabled: true, expires_at: soon});
  const second = await ask(hers, 'POST', '/users/me/entries', entry('j.okafor', soon));
  t.like(second.body, {user: 'j.okafor'});

  const names = async (token: string) => {
    const {entries} = (await ask(token, 'GET', '/users/me/entries')).body as {entries: {id: string}[]};
    return entries.map(({id}) => id);
  };
  t.deepEqual(await names(mine), [first.body.id]);
  t.deepEqual(await names(hers), [second.body.id]);
  t.is((await ask(mine, 'GET', '/users/m.dossantos/crontab')).status, 200);

  const run = await ask(mine, 'POST', `/users/me/entries/${first.body.id}/run`);
  t.is(run.status, 202);
  const runs = (await controller.client.runs('main', {user: 'm.dossantos'})).items;
  t.is(runs[0]?.user, 'm.dossantos');
  for (;;) {
    const {body} = await ask(mine, 'GET', `/users/me/runs/${run.body.id}`);
    if (body.status === 'running') continue;
    t.is(body.status, 'succeeded', JSON.stringify(body));
    if (isRoot) t.regex(body.stdout, /^m\.dossantos is nobody\n/);
    break;
  }
  const inbox = await fetch(`${branch.container?.urls.notifications}/m.dossantos`);
  t.is(inbox.status, 200);
  void world;
});

test('a script that the job of another user calls is told in the record of that run, and in no other', async (t) => {
  const {controller, key, tokenOf} = await onCall(t);
  const ask = asker(controller, key);
  const token = await tokenOf('j.okafor');
  const runOf = async (command: string) => {
    const entry = await ask(token, 'POST', '/users/me/entries', {schedule: '0 0 1 1 *', command});
    const run = await ask(token, 'POST', `/users/me/entries/${entry.body.id}/run`);
    for (;;) {
      const {body} = await ask(token, 'GET', `/users/me/runs/${run.body.id}`);
      if (body.status !== 'running') return body;
    }
  };
  const honest = await runOf('curl -fsS "$HOODY_EXEC_URL/hello?honest"');
  t.like(honest, {status: 'succeeded', stdout: '1', calls: [{url: '/hello?honest', status: 200}]});
  const forged = await runOf(`HOODY_RUN_ID=${honest.id} curl -fsS "$HOODY_EXEC_URL/hello?forged"`);
  t.like(forged, {status: 'succeeded', calls: []});
  t.is((await ask(token, 'GET', `/users/me/runs/${honest.id}`)).body.calls.length, 1);
});

test("S39 S53: with a user's token another user's crontab is 403 in every way, and nothing else is opened", async (t) => {
  const {world, controller, key, branch, tokenOf} = await onCall(t);
  const ask = asker(controller, key);
  const mine = await tokenOf('m.dossantos');
  const id = branch.container?.id.slice('ctr_'.length) ?? '';
  const hosts = [`${key}-cron-1.hoody.com`, `${id}-cron-1.hoody.com`];
  for (const host of hosts) {
    for (const [method, path] of [
      ['GET', '/users/j.okafor/entries'],
      ['POST', '/users/j.okafor/entries'],
      ['GET', '/users/root/crontab'],
      ['PUT', '/users/root/crontab'],
      ['GET', '/users/root/runs'],
      ['GET', '/users/root/why?entry=true&at=2026-01-01T00:00:00Z'],
      ['GET', '/api/v1/cron/users/j.okafor/entries'],
      ['GET', '/users/%6d%65%2f..%2froot/crontab'],
      ['GET', '/users/M.DOSSANTOS/crontab'],
      ['GET', '/crontab'],
      ['GET', '/metrics'],
    ] as const) {
      const body = method === 'GET' ? undefined : {schedule: '@daily', command: 'true', crontab: ''};
      const answer = await ask(mine, method, path, body, host);
      t.is(answer.status, 403, `${method} ${path} ${JSON.stringify(answer.body)}`);
    }
    t.is((await ask(mine, 'GET', '/users/me/crontab', undefined, host)).body.user, 'm.dossantos');
  }
  for (const kit of ['exec', 'pipe', 'notifications', 'sqlite', 'files'])
    t.is((await ask(mine, 'GET', '/', undefined, `${key}-${kit}-1.hoody.com`)).status, 403, kit);
  for (const path of ['/api/v1/branches', '/api/v1/tokens', '/', '/openapi.json'])
    t.is((await ask(mine, 'GET', path, undefined, new URL(controller.url).host)).status, 403, path);

  // Who is nobody in particular stays so, whatever it says of itself.
  const claimed = await rawRequest(controller.url, {
    target: '/users/me/crontab',
    headers: {Host: `${id}-cron-1.hoody.com`, 'X-Branchtab-User': 'm.dossantos'},
  });
  t.is(jsonIn(claimed.body).user, 'root');

  const listed = await world.run('tokens', 'list');
  t.regex(listed.stdout, /tok_[0-9a-f]{8} +m\.dossantos/);
  t.false(listed.stdout.includes(mine));
  const tokenId = /tok_[0-9a-f]{8}/.exec(listed.stdout)?.[0] ?? '';
  t.is((await world.run('tokens', 'revoke', tokenId)).code, 0);
  t.is((await ask(mine, 'GET', '/users/me/crontab')).status, 401);
  t.is((await world.run('tokens', 'revoke', tokenId)).code, 4);
  t.is((await world.run('tokens', 'create', 'nobody-said')).code, 4);
});

test('tokens outlive the controller, and a user that is taken out of the configuration loses them', async (t) => {
  const {config, up, controller, key, tokenOf} = await onCall(t);
  const mine = await tokenOf('plain');
  await controller.stop();
  const second = await up();
  t.is((await asker(second, key)(mine, 'GET', '/users/me/crontab')).body.user, 'plain');
  await second.stop();
  await writeFile(config, 'domain: hoody.com\n');
  const third = await up();
  t.is((await asker(third, key)(mine, 'GET', '/users/me/crontab')).status, 401);
});
