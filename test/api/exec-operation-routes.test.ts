import {mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {readServerSentEvents} from '../../api/server-sent-events.ts';
import {type ExecHttp, execHttp} from '../helpers/exec-http.ts';
import {deploymentOf} from '../helpers/exec-world.ts';
import {fileAppears} from '../helpers/file-appears.ts';

const api = '/api/v1/exec';

const scripts = {
  'ok.ts': 'return {ok: true}',
  'bad.ts': 'throw new Error("broken")',
  'count.ts': 'shared.count = (shared.count ?? 0) + 1; return shared.count',
  'pid.ts': 'return process.pid',
};

async function setup(t: Parameters<typeof execHttp>[0]): Promise<ExecHttp> {
  const world = await execHttp(t);
  await world.exec.deploy(deploymentOf(scripts));
  return world;
}

test('calls are counted by result and by script', async (t) => {
  const {json, request, exec} = await setup(t);
  for (const path of ['/ok', '/ok', '/bad']) await (await request('GET', path)).text();
  t.like((await json('GET', `${api}/monitor/stats`)).body, {
    requests: {total: 3, success: 2, errors: 1, activeHttp: 0},
    cron: {schedules: 0, running: 0},
    hosts: 1,
    cache: {scripts: 4, versions: 1},
  });
  t.like((await json('GET', `${api}/monitor/scripts?sort=calls&limit=1`)).body, {
    count: 1,
    scripts: {0: {scriptPath: 'ok.ts', calls: 2, errors: 0, lastStatus: 200}},
  });
  t.like((await json('POST', `${api}/monitor/script-performance`, {scriptPath: 'bad.ts'})).body, {
    metrics: {calls: 1, errors: 1, lastStatus: 500},
  });
  for (const scriptPath of ['', 'none.ts']) {
    t.deepEqual((await json('POST', `${api}/monitor/script-performance`, {scriptPath})).body, {metrics: {}});
  }
  const metrics = await (await request('GET', `${api}/monitor/metrics`)).text();
  t.regex(metrics, /^exec_calls_total\{result="error"\} 1$/m);
  t.regex(metrics, /^exec_script_calls_total\{script="ok\.ts"\} 2$/m);
  for (const query of ['limit=0', 'limit=501', 'limit=x', 'sort=size'])
    t.is((await json('GET', `${api}/monitor/scripts?${query}`)).status, 400, query);
  t.truthy(exec);
});

test('a call that has not answered yet is active', async (t) => {
  const {exec, request, json, home} = await execHttp(t);
  const script = `const {existsSync} = require('node:fs');
    require('node:fs').writeFileSync('started', '');
    while (!existsSync('go')) await Bun.sleep(5);
    return 'done'`;
  await exec.deploy(deploymentOf({'waits.ts': script}));
  const answer = request('GET', '/waits?token=secret');
  await fileAppears(join(home, 'started'));
  const {body} = await json('GET', `${api}/monitor/active-requests`);
  t.like(body, {count: 1, active: {0: {scriptPath: 'waits.ts', method: 'GET', url: '/waits'}}});
  writeFileSync(join(home, 'go'), '');
  t.is(await (await answer).text(), 'done');
  t.like((await json('GET', `${api}/monitor/active-requests`)).body, {count: 0});
});

test('the access log names every call and no query', async (t) => {
  const {json, request} = await setup(t);
  await (await request('GET', '/ok?token=secret')).text();
  await (await request('GET', '/bad')).text();
  t.like((await json('GET', `${api}/logs/list?type=access`)).body, {
    count: 1,
    logs: {0: {name: 'access/access.log'}},
  });
  const {body} = await json('POST', `${api}/logs/read`, {file: 'access/access.log', lines: 1});
  t.like(body, {totalLines: 2, filteredLines: 2, returnedLines: 1});
  const {lines} = body as {lines: string[]};
  t.like(JSON.parse(lines[0] ?? ''), {scriptPath: 'bad.ts', status: 500, path: '/bad'});
  const first = await json('POST', `${api}/logs/read`, {
    file: 'access/access.log',
    tail: false,
    search: 'ok.ts',
  });
  t.like(first.body, {filteredLines: 1, returnedLines: 1});
  t.false(JSON.stringify(first.body).includes('secret'));
});

test('logs are searched by text and by expression', async (t) => {
  const {json, request} = await setup(t);
  for (const path of ['/ok', '/bad', '/ok']) await (await request('GET', path)).text();
  const search = (body: object) => json('POST', `${api}/logs/search`, body);
  t.like((await search({query: 'OK.TS'})).body, {count: 2, truncated: false});
  t.like((await search({query: 'OK.TS', caseSensitive: true})).body, {count: 0});
  t.like((await search({query: 'script', limit: 2})).body, {count: 2, truncated: true});
  t.like((await search({regex: '"status":5[0-9]+'})).body, {
    count: 1,
    matches: {0: {file: 'access/access.log', line: 2}},
  });
  t.like((await search({regex: 'ok', files: ['none.log']})).body, {count: 0});
  t.is((await search({regex: '(a'})).status, 400);
  t.is((await search({regex: 'x'.repeat(65)})).status, 400);
  t.is((await search({regex: 'x', query: 'x'})).status, 400);
  t.is((await search({})).status, 400);
  t.like((await search({regex: '-f/etc/passwd'})).body, {count: 0});
});

const printing = {
  'prints.ts': 'console.log("row", metadata.query.n, "of Ada");\nconsole.error("odd (1)");\nreturn 1',
  'fails.ts': 'throw new Error("no row for Ada")',
};

test('what calls printed is searched like a log', async (t) => {
  const {exec, json, request} = await execHttp(t);
  await exec.deploy(deploymentOf(printing));
  const ids: string[] = [];
  for (const n of [1, 2, 3]) {
    const answer = await request('GET', `/prints?n=${n}`);
    ids.push(answer.headers.get('x-execution-id') ?? '');
    await answer.text();
  }
  const search = (body: object) => json('POST', `${api}/logs/search`, body);
  const name = (index: number) => `executions/${ids[index]}/console.log`;
  t.deepEqual((await search({query: 'of ada'})).body, {
    count: 3,
    truncated: false,
    matches: [2, 1, 0].map((index) => ({file: name(index), line: 1, text: `row ${index + 1} of Ada`})),
  });
  t.like((await search({query: 'of ada', caseSensitive: true})).body, {count: 0});
  t.like((await search({query: 'of Ada', limit: 2})).body, {count: 2, truncated: true});
  t.deepEqual((await search({regex: '^row [23] of', limit: 1})).body, {
    count: 1,
    truncated: true,
    matches: [{file: name(2), line: 1, text: 'row 3 of Ada'}],
  });
  t.like((await search({regex: 'odd \\(1\\)$'})).body, {count: 3, matches: {0: {line: 2}}});
  t.deepEqual((await search({regex: 'ROW', files: [name(1), 'executions/none/console.log']})).body, {
    count: 1,
    truncated: false,
    matches: [{file: name(1), line: 1, text: 'row 2 of Ada'}],
  });
  t.like((await search({query: 'row', files: ['access/access.log']})).body, {count: 0});
  t.is((await search({regex: '(a'})).status, 400);
});

test('calls are found by what they printed and why they failed', async (t) => {
  const {exec, json, request} = await execHttp(t);
  await exec.deploy(deploymentOf(printing));
  for (let n = 0; n < 120; n += 1) await (await request('GET', `/prints?n=${n}`)).text();
  await (await request('GET', '/fails')).text();
  const found = async (query: string) =>
    (await json('GET', `${api}/executions?${query}`)).body as {
      items: {script: string; stdout: string}[];
      next_cursor: string | null;
    };
  t.like(await found('search=row%20for%20ada'), {
    items: {length: 1, 0: {script: 'fails.ts'}},
    next_cursor: null,
  });
  t.like(await found('search=row%207%20of'), {items: {length: 1, 0: {stdout: 'row 7 of Ada\n'}}});
  t.like(await found('search=ADA&script=fails.ts'), {items: {length: 1}});
  t.like(await found('search=none'), {items: {length: 0}, next_cursor: null});
  const first = await found('search=ada&limit=100');
  const rest = await found(`search=ada&limit=100&cursor=${first.next_cursor}`);
  t.deepEqual([first.items.length, rest.items.length, rest.next_cursor], [100, 21, null]);
  for (const query of ['search=', `search=${'x'.repeat(1001)}`])
    t.is((await json('GET', `${api}/executions?${query}`)).status, 400);
});

test('an expression made to take for ever does not hold up the runtime', async (t) => {
  const {json, request} = await setup(t);
  await (await request('GET', `/ok/${'a'.repeat(2000)}`)).text();
  for (const regex of ['(a+)+(a+)+(a+)+$!', '^(.*)*(.*)*(.*)*\\1\\2\\3$']) {
    const answer = json('POST', `${api}/logs/search`, {regex});
    t.like(await json('GET', '/ok'), {status: 200, body: {ok: true}});
    const {status} = await answer;
    t.true(status === 200 || status === 400, `${regex} ${status}`);
  }
});

test('no name leaves the logs, and no link in them is followed', async (t) => {
  const {json, request, directory} = await setup(t);
  const logs = join(directory, 'exec/logs');
  mkdirSync(join(logs, 'access'), {recursive: true});
  symlinkSync('/etc/passwd', join(logs, 'access/linked.log'));
  for (const file of [
    '../../scripts/current.json',
    '/etc/passwd',
    '..',
    'access/../../x',
    'access/linked.log',
    '',
  ]) {
    const read = await json('POST', `${api}/logs/read`, {file});
    t.true(read.status === 400 || read.status === 404, file);
    const query = encodeURIComponent(file);
    const stream = await request('GET', `${api}/logs/stream?file=${query}&follow=false`);
    t.true(stream.status === 400 || stream.status === 404, file);
    const clear = await json('DELETE', `${api}/logs/clear?file=${query}&confirm=true`);
    t.true(clear.status === 400 || clear.status === 404, file);
  }
  t.like((await json('GET', `${api}/logs/list`)).body, {count: 0});
  t.true(readFileSync('/etc/passwd', 'utf8').length > 0);
});

test('a log is followed from its last lines on, without gap and without repetition', async (t) => {
  const {request} = await setup(t);
  await (await request('GET', '/ok')).text();
  const response = await request('GET', `${api}/logs/stream?file=access/access.log`);
  t.is(response.headers.get('content-type'), 'text/event-stream');
  const events = readServerSentEvents(response)[Symbol.asyncIterator]();
  const next = async () => JSON.parse(JSON.parse((await events.next()).value?.data ?? '{}').line);
  t.like(await next(), {scriptPath: 'ok.ts'});
  await (await request('GET', '/bad')).text();
  t.like(await next(), {scriptPath: 'bad.ts'});
  await (await request('GET', '/count')).text();
  t.like(await next(), {scriptPath: 'count.ts'});
  await events.return?.();
});

test('a log can be followed before its first line, and read to its end', async (t) => {
  const {request} = await setup(t);
  t.is((await request('GET', `${api}/logs/stream?file=access/access.log&follow=false`)).status, 404);
  const following = await request('GET', `${api}/logs/stream?file=access/access.log`);
  const events = readServerSentEvents(following)[Symbol.asyncIterator]();
  await (await request('GET', '/ok')).text();
  t.is((await events.next()).value?.event, 'line');
  await events.return?.();
  const whole = await (await request('GET', `${api}/logs/stream?file=access/access.log&follow=false`)).text();
  t.regex(whole, /^: connected\n\nevent: line\ndata: .*\n\nevent: end\ndata: \{\}\n\n$/);
});

test('logs are cleared by file, type or age, when that is confirmed', async (t) => {
  const {json, request} = await setup(t);
  await (await request('GET', '/ok')).text();
  const clear = (query: string) => json('DELETE', `${api}/logs/clear?${query}`);
  t.like(await clear('type=access'), {status: 400, body: {code: 'CONFIRM_REQUIRED'}});
  for (const query of ['', 'file=a&type=access', 'type=none', 'olderThanDays=-1'])
    t.is((await clear(`${query}&confirm=true`)).status, 400, query);
  t.like((await clear('olderThanDays=1&confirm=true')).body, {cleared: 0});
  t.like((await clear('type=access&confirm=true')).body, {cleared: 1, files: {0: 'access/access.log'}});
  t.like(await clear('file=access/access.log&confirm=true'), {status: 404, body: {code: 'LOG_NOT_FOUND'}});
});

test('shared state is read, set, merged and cleared', async (t) => {
  const {json, request} = await setup(t);
  const scope = {hostname: 'any.example'};
  const state = (action: string, body: object) =>
    json('POST', `${api}/shared-state/${action}`, {...scope, ...body});
  t.like((await state('get', {})).body, {path: null, exists: true, value: {}});
  t.is(await (await request('GET', '/count')).text(), '1');
  t.like((await state('get', {path: 'count'})).body, {path: 'count', exists: true, value: 1});
  t.like((await state('set', {path: 'count', value: 41})).body, {value: 41});
  t.is(await (await request('GET', '/count')).text(), '42');
  await state('set', {path: 'a.b', value: {c: 1}});
  t.like((await state('set', {path: 'a.b', value: {d: 2}, merge: true})).body, {value: {c: 1, d: 2}});
  t.deepEqual(((await state('clear', {path: 'a.b.c'})).body as {exists: boolean}).exists, false);
  t.deepEqual((await state('get', {path: 'a'})).body, {path: 'a', exists: true, value: {b: {d: 2}}});
  t.like((await state('get', {path: 'a.b.c.d.e'})).body, {exists: false, value: null});
  t.like((await state('clear', {clearAll: true})).body, {value: {}});
  t.is(await (await request('GET', '/count')).text(), '1');
  for (const body of [
    {path: '__proto__.x', value: 1},
    {path: 'a.constructor.prototype.x', value: 1},
  ])
    t.is((await state('set', body)).status, 400);
  t.is((await state('clear', {})).status, 400);
  t.is((await json('POST', `${api}/shared-state/get`, {})).status, 400);
});

test('a client cannot reach the shared state through a call', async (t) => {
  const {request} = await setup(t);
  const body = JSON.stringify({action: 'get', path: null});
  const answer = await request('POST', '/ok', body, {'x-branchtab-shared-state': '1'});
  t.deepEqual(await answer.json(), {ok: true});
});

test('clearing the cache starts scripts anew', async (t) => {
  const {json, request} = await setup(t);
  const pid = await (await request('GET', '/pid')).text();
  const clear = (body: object) => json('POST', `${api}/cache/clear`, body);
  t.is((await clear({})).status, 400);
  t.is((await clear({clearAll: true, scriptPath: 'ok.ts'})).status, 400);
  t.is((await clear({hostname: 'x', execId: 'a-b'})).status, 400);
  t.like((await clear({clearAll: true, clearVm: false})).body, {cleared: false});
  t.is(await (await request('GET', '/pid')).text(), pid);
  t.like((await clear({hostname: 'x'})).body, {cleared: true, vm: true, state: true});
  t.not(await (await request('GET', '/pid')).text(), pid);
});

test('a restart lets running calls end and is told in the status', async (t) => {
  const {exec, json, request, home} = await execHttp(t);
  const script = `const fs = require('node:fs');
    fs.writeFileSync('started', '');
    while (!fs.existsSync('go')) await Bun.sleep(5);
    return process.pid`;
  await exec.deploy(deploymentOf({'waits.ts': script, 'pid.ts': 'return process.pid'}));
  const before = await (await request('GET', '/pid')).text();
  const waiting = request('GET', '/waits');
  await fileAppears(join(home, 'started'));
  t.like((await json('GET', `${api}/system/restart-status`)).body, {restarting: false, lastRestart: null});
  t.like(await json('POST', `${api}/system/restart`, {reason: 'test', drainTimeoutMs: 60_000}), {
    status: 202,
    body: {restarting: true, lastRestart: {reason: 'test', graceful: true}},
  });
  t.not(await (await request('GET', '/pid')).text(), before);
  writeFileSync(join(home, 'go'), '');
  t.is(await (await waiting).text(), before);
  t.is((await json('POST', `${api}/system/restart`, {drainTimeoutMs: -1})).status, 400);
  t.is((await json('POST', `${api}/system/restart`)).status, 202);
});

test('there is one deployment, and what is not offered says what serves instead', async (t) => {
  const {json} = await setup(t);
  t.deepEqual((await json('GET', `${api}/list`)).body, {count: 1, execIds: ['1']});
  for (const [method, path] of [
    ['GET', 'sdk/list'],
    ['POST', 'sdk/import'],
    ['GET', 'sdk-types'],
    ['POST', 'ai/generate'],
    ['POST', 'remote-messages'],
    ['GET', 'templates/list'],
    ['GET', 'user-openapi/list'],
  ] as const) {
    t.like(await json(method, `${api}/${path}`), {status: 501, body: {code: 'NOT_IMPLEMENTED'}}, path);
  }
  t.like(await json('GET', `${api}/none`), {status: 404, body: {code: 'NOT_FOUND'}});
});
