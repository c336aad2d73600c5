import {Database} from 'bun:sqlite';
import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {execHttp} from '../helpers/exec-http.ts';

const kv = '/api/v1/sqlite/kv';

async function setup(t: ExecutionContext) {
  const world = await execHttp(t);
  const created = await world.json('POST', '/api/v1/sqlite/db/create?path=app.db');
  t.deepEqual(created, {status: 201, body: {success: true, path: 'app.db', created: true}});
  const at = (key: string, query = '') => `${kv}/${key}?db=app.db${query}`;
  return {
    ...world,
    at,
    put: (key: string, value: string, query = '', headers: Record<string, string> = {}) =>
      world.request('PUT', at(key, query), value, {'content-type': 'application/json', ...headers}),
    get: (key: string, query = '') => world.request('GET', at(key, query)),
    post: (key: string, query = '', body?: unknown) => world.json('POST', at(key, query), body),
  };
}

test('a value is stored, read as it came, listed and deleted', async (t) => {
  const {put, get, json, request, at} = await setup(t);
  t.is((await put('users/ada', '{"a": 1}')).status, 201);
  const second = await put('users/ada', '{"a":  2}');
  t.is(second.status, 200);
  t.like(await second.json(), {success: true, key: 'users/ada', created: false, expire_at: null});
  const read = await get('users/ada');
  t.is(await read.text(), '{"a":  2}');
  t.is(read.headers.get('content-type'), 'application/json');
  t.is(read.headers.get('x-content-type-options'), 'nosniff');
  t.regex(read.headers.get('x-created-at') ?? '', /^\d{10}$/);
  t.is(read.headers.get('x-expire-at'), null);
  const etag = read.headers.get('etag') ?? '';
  t.is((await request('GET', at('users/ada'), undefined, {'if-none-match': etag})).status, 304);
  t.is((await request('HEAD', at('users/ada'))).status, 200);
  await put('users/b%2Fc', '1');
  await put('other', '1');
  t.deepEqual((await json('GET', `${kv}?db=app.db&prefix=users/&limit=1`)).body, {
    keys: ['users/ada'],
    count: 1,
    limit: 1,
    offset: 0,
    prefix: 'users/',
  });
  t.like((await json('GET', `${kv}?db=app.db&prefix=users/&offset=1`)).body, {
    keys: {0: 'users/b/c'},
    count: 1,
  });
  t.deepEqual((await json('DELETE', at('users/ada'))).body, {success: true, key: 'users/ada', deleted: true});
  t.like(await json('DELETE', at('users/ada')), {status: 404, body: {code: 'KEY_NOT_FOUND'}});
  t.is((await request('HEAD', at('users/ada'))).status, 404);
});

test('bytes come back as they were, under a type that no browser runs', async (t) => {
  const {request, at, get} = await setup(t);
  const bytes = new Uint8Array([0, 255, 10, 128]);
  await request('PUT', at('raw'), bytes, {'content-type': 'image/png'});
  const raw = await get('raw');
  t.deepEqual(new Uint8Array(await raw.arrayBuffer()), bytes);
  t.is(raw.headers.get('content-type'), 'image/png');
  await request('PUT', at('page'), '<script>alert(1)</script>', {'content-type': 'text/html'});
  t.regex((await get('page')).headers.get('content-type') ?? '', /^text\/plain/);
  t.is((await request('PUT', at('large'), 'x'.repeat(1024 * 1024 + 1))).status, 413);
});

test('a value is changed only where it is still the one that was read', async (t) => {
  const {put, get, request, at, json} = await setup(t);
  t.is((await put('config', '{"version":1}', '', {'if-none-match': '*'})).status, 201);
  const taken = await put('config', '{}', '', {'if-none-match': '*'});
  t.like(await taken.json(), {code: 'PRECONDITION_FAILED'});
  const stale = await put('config', '{}', '&if_match=stale');
  t.is(stale.status, 412);
  t.like(await stale.json(), {code: 'PRECONDITION_FAILED', message: 'Value mismatch for CAS'});
  const absent = await put('none', '{}', '&if_match=x');
  t.is(absent.status, 412);
  t.like(await absent.json(), {message: 'Key does not exist for CAS'});
  const present = encodeURIComponent(await (await get('config')).text());
  t.is((await put('config', '{"version":2}', `&if_match=${present}`)).status, 200);
  t.is((await put('config', '3', '&path=version&if_match=1')).status, 412);
  t.is((await put('config', '3', '&path=version&if_match=2')).status, 200);
  const etag = (await get('config')).headers.get('etag') ?? '';
  t.is((await put('config', '{"version":4}', '', {'if-match': etag})).status, 200);
  t.is((await request('DELETE', at('config'), undefined, {'if-match': etag})).status, 412);
  t.is((await put('config', '1', '', {'if-match': 'no tag'})).status, 400);
  t.is((await put('config', '1', '', {'if-none-match': etag})).status, 400);
  t.like((await json('GET', at('config'))).body, {version: 4});
});

test('of many that write the same version one wins', async (t) => {
  const {put} = await setup(t);
  await put('lock', '0');
  const all = await Promise.all(Array.from({length: 12}, (_, n) => put('lock', `${n + 1}`, '&if_match=0')));
  t.deepEqual(
    all
      .map(({status}) => status)
      .sort()
      .slice(0, 2),
    [200, 412],
  );
});

test('counters lose no count, and take whole numbers only', async (t) => {
  const {post, get, put} = await setup(t);
  await Promise.all(Array.from({length: 20}, () => post('hits/incr')));
  t.like((await post('hits/incr', '&delta=10')).body, {success: true, key: 'hits', value: 30});
  t.like((await post('hits/decr', '&delta=3')).body, {value: 27});
  const read = await get('hits');
  t.is(await read.text(), '27');
  t.regex(read.headers.get('content-type') ?? '', /^text\/plain/);
  t.like((await post('page/incr', '&path=views.today')).body, {value: 1});
  t.deepEqual(await (await get('page')).json(), {views: {today: 1}});
  for (const delta of ['0', '-1', '1.5', 'x', '9'.repeat(20)])
    t.like(await post('hits/incr', `&delta=${delta}`), {
      status: 400,
      body: {code: 'INVALID_QUERY', message: 'delta must be a positive integer'},
    });
  for (const value of ['"a"', '1.5', 'null', '[]', 'no JSON', `${Number.MAX_SAFE_INTEGER}`]) {
    await put('odd', value);
    t.like(await post('odd/incr'), {status: 409, body: {code: 'VALUE_UNSUITABLE'}}, value);
    t.is(await (await get('odd')).text(), value);
  }
});

test('arrays are pushed to and popped from', async (t) => {
  const {post, get, put} = await setup(t);
  t.deepEqual((await post('queue/push', '', {a: 1})).body, {success: true, key: 'queue', newLength: 1});
  await post('queue/push', '', '"two"');
  t.deepEqual((await post('queue/pop')).body, {success: true, key: 'queue', value: 'two', newLength: 1});
  t.like((await post('queue/pop')).body, {value: {a: 1}, newLength: 0});
  t.like(await post('queue/pop'), {status: 404, body: {code: 'KEY_NOT_FOUND'}});
  t.like(await post('none/pop'), {status: 404});
  await post('doc/push', '&path=user.tags', '"x"');
  t.deepEqual(await (await get('doc')).json(), {user: {tags: ['x']}});
  await put('text', '"abc"');
  t.like(await post('text/push', '', '1'), {status: 409, body: {code: 'VALUE_UNSUITABLE'}});
  t.like(await post('queue/push', '', '{'), {status: 400, body: {code: 'INVALID_JSON'}});
});

test('JSON that is nested without end is kept as text and goes nowhere else', async (t) => {
  const {put, post, get} = await setup(t);
  const deep = '['.repeat(200_000);
  const closed = `${deep}${']'.repeat(200_000)}`;
  for (const text of [deep, closed, '{"a":'.repeat(101)]) {
    t.like(await post('queue/push', '', text), {status: 400, body: {code: 'INVALID_JSON'}});
    t.is((await put('part', text, '&path=a')).status, 400);
    t.true((await put('whole', text)).ok);
    for (const action of ['pop', 'incr']) t.is((await post(`whole/${action}`)).status, 409);
    t.is((await get('whole', '&path=0')).status, 409);
    t.is((await get('whole/history')).status, 200);
  }
  t.is(await (await get('whole')).text(), '{"a":'.repeat(101));
});

test('a part of a value is read and replaced, and nothing beside it', async (t) => {
  const {put, get} = await setup(t);
  await put('profile', '{"name":"Ada","prefs":{"theme":"dark"},"list":[1,2]}');
  t.is(await (await get('profile', '&path=prefs.theme')).text(), '"dark"');
  t.is((await put('profile', '"light"', '&path=.prefs.theme')).status, 200);
  t.is((await put('profile', '9', '&path=$.list.2')).status, 200);
  t.deepEqual(await (await get('profile')).json(), {name: 'Ada', prefs: {theme: 'light'}, list: [1, 2, 9]});
  t.is(await (await get('profile', '&path=list.1')).text(), '2');
  for (const path of ['none', 'name.0', 'list.3', 'list.length', 'prefs.theme.x', '__proto__', 'constructor'])
    t.is((await get('profile', `&path=${path}`)).status, 404, path);
  for (const path of ['name.x', 'list.7', 'list.x'])
    t.is((await put('profile', '1', `&path=${path}`)).status, 409, path);
  for (const path of ['', '.', 'a..b', 'a.'.repeat(40)])
    t.is((await get('profile', `&path=${path}`)).status, 400, path);
  await put('profile', '{"x":1}', '&path=__proto__.y');
  t.regex(await (await get('profile')).text(), /"__proto__":\{"y":\{"x":1\}\}/);
});

test('the history of a key shows its changes, newest first, also when it is gone', async (t) => {
  const {put, post, json, at} = await setup(t);
  await put('flag', '{"on":false}');
  await put('flag', '{"on":true}', '&history=false');
  await put('flag', 'plain', '', {'content-type': 'text/plain'});
  await json('DELETE', at('flag'));
  const {body} = await json('GET', at('flag/history'));
  t.like(body, {
    key: 'flag',
    count: 3,
    operations: {
      0: {op_number: 3, operation: {op: 'delete'}},
      1: {op_number: 2, operation: {op: 'set', raw_new_value: 'cGxhaW4='}},
      2: {op_number: 1, operation: {op: 'set', new_value: {on: false}}},
    },
  });
  t.like((await json('GET', at('flag/history', '&limit=1'))).body, {count: 1});
  t.like((await json('GET', at('flag/history', '&limit=0'))).body, {count: 3});
  t.is((await json('GET', at('none/history'))).status, 404);
  for (let n = 0; n < 105; n += 1) await post('busy/incr');
  t.like((await json('GET', at('busy/history', '&limit=1000'))).body, {
    count: 100,
    operations: {0: {op_number: 105}, 99: {op_number: 6}},
  });
});

test('a key that ends like a route is written with %2F', async (t) => {
  const {put, get} = await setup(t);
  await put('a%2Fhistory', '1');
  t.is(await (await get('a%2Fhistory')).text(), '1');
  t.is((await get('a/history')).status, 404);
});

test('names of keys, tables and databases are checked', async (t) => {
  const {request, json, at, home} = await setup(t);
  const long = 'x'.repeat(513);
  for (const key of ['a%00b', 'a%0ab', long, `%c3%a9`.repeat(257)])
    for (const method of ['GET', 'PUT', 'DELETE'])
      t.is((await request(method, at(key), method === 'PUT' ? '1' : undefined)).status, 400, key);
  for (const table of ['', 'a"b', 'a b', 'sqlite_schema', 'SQLITE_x', '1a', 'x'.repeat(64), 'a;DROP TABLE b'])
    t.is((await json('GET', at('a', `&table=${encodeURIComponent(table)}`))).status, 400, table);
  for (const query of ['ttl=0', 'ttl=-1', 'ttl=x', 'ttl=99999999999', 'history=perhaps'])
    t.is((await request('PUT', at('a', `&${query}`), '1')).status, 400, query);
  t.is((await json('GET', `${kv}/a`)).status, 400);
  for (const db of ['../app.db', '/etc/passwd', ':memory:', 'app'])
    t.is((await request('PUT', `${kv}/a?db=${encodeURIComponent(db)}`, '1')).status, 400, db);
  t.is((await request('PUT', `${kv}/a?db=none.db`, '1')).status, 404);
  t.false(existsSync(join(home, 'none.db')));
  t.is((await request('PUT', `${kv}/a?db=new/none.db&create_db_if_missing=true`, '1')).status, 201);
  t.is((await request('PUT', `${kv}/b?db=/hoody/databases/app.db`, '2')).status, 201);
  t.is(await (await request('GET', `${kv}/b?db=./app.db`)).text(), '2');
  t.deepEqual(
    readdirSync(home).filter((name) => !name.startsWith('app.db')),
    ['new'],
  );
});

test('what is not offered says so', async (t) => {
  const {json, at, put} = await setup(t);
  await put('a', '{"b":1}');
  for (const [method, path] of [
    ['POST', at('a/remove')],
    ['POST', at('a/rollback')],
    ['POST', `${kv}/batch/set?db=app.db`],
    ['GET', at('a', '&at_timestamp=1700000000')],
    ['DELETE', at('a', '&path=b')],
  ] as const)
    t.like(await json(method, path), {status: 501, body: {code: 'NOT_IMPLEMENTED'}}, path);
  t.like((await json('GET', at('a'))).body, {b: 1});
  t.like(await json('PATCH', at('a')), {status: 405, body: {code: 'METHOD_NOT_ALLOWED'}});
});

test('a table of another shape is left as it is', async (t) => {
  const {home, put, json, at} = await setup(t);
  const database = new Database(join(home, 'app.db'));
  database.run('CREATE TABLE events(id INTEGER)');
  database.close();
  t.is((await put('a', '1', '&table=events')).status, 400);
  t.like(await json('GET', at('a', '&table=events')), {status: 400, body: {code: 'SQL_FAILED'}});
  t.like((await json('GET', '/api/v1/sqlite/query?db=app.db&sql=SELECT%20*%20FROM%20events')).body, {
    rowCount: 0,
  });
});

test('a database is made once, with the tables of a store where they are wanted', async (t) => {
  const {json} = await setup(t);
  const create = (query: string) => json('POST', `/api/v1/sqlite/db/create?${query}`);
  t.deepEqual(await create('path=app.db'), {
    status: 200,
    body: {success: true, path: 'app.db', created: false},
  });
  t.is((await create('path=deep/kv.db&init_kv=true&kv_table=mine')).status, 201);
  const tables = encodeURIComponent("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
  t.like((await json('GET', `/api/v1/sqlite/query?db=deep/kv.db&sql=${tables}`)).body, {
    resultSet: {0: {name: 'mine'}, 1: {name: 'mine_history'}},
  });
  for (const path of ['', '../x.db', '/etc/x.db', 'x', ':memory:', 'app.db/x.db'])
    t.true((await create(`path=${encodeURIComponent(path)}`)).status >= 400, path);
});
