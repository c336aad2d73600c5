import {Database} from 'bun:sqlite';
import {existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type ExecHttp, execHttp} from '../helpers/exec-http.ts';
import {fixtureDeployment} from '../helpers/exec-world.ts';

const api = '/api/v1/sqlite';

interface SqlWorld extends ExecHttp {
  query(sql: string, db?: string): Promise<{status: number; body: unknown}>;
  run(transaction: readonly object[], db?: string): Promise<{status: number; body: unknown}>;
}

async function setup(t: ExecutionContext): Promise<SqlWorld> {
  const world = await execHttp(t);
  const database = new Database(join(world.home, 'events.db'));
  database.run('PRAGMA journal_mode = WAL');
  database.run('CREATE TABLE events(id INTEGER PRIMARY KEY, name TEXT, data BLOB)');
  database.run("INSERT INTO events VALUES (1, 'a', NULL), (9007199254740993, 'b', x'00ff')");
  database.close();
  return {
    ...world,
    query: (sql, db = 'events.db') =>
      world.json('GET', `${api}/query?db=${encodeURIComponent(db)}&sql=${encodeURIComponent(sql)}`),
    run: (transaction, db = 'events.db') =>
      world.json('POST', `${api}/db?db=${encodeURIComponent(db)}`, {transaction}),
  };
}

test('S12: the database of scripts and jobs is queried over HTTP', async (t) => {
  const {exec, request, query} = await setup(t);
  await exec.deploy(fixtureDeployment('seed-events.ts'));
  await (await request('GET', '/seed-events')).text();
  const {status, body} = await query('SELECT count(*) AS n FROM events');
  t.is(status, 200);
  t.like(body, {resultHeaders: {0: 'n'}, rowCount: 1, truncated: false});
});

test('values come as JSON: large integers as text, bytes as base64', async (t) => {
  const {query} = await setup(t);
  t.deepEqual((await query('SELECT * FROM events ORDER BY id')).body, {
    resultHeaders: ['id', 'name', 'data'],
    resultSet: [
      {id: 1, name: 'a', data: null},
      {id: '9007199254740993', name: 'b', data: {base64: 'AP8='}},
    ],
    rowCount: 2,
    truncated: false,
  });
});

test('a query may be sent as base64url', async (t) => {
  const {query} = await setup(t);
  const encoded = Buffer.from('SELECT name FROM events WHERE id = 1').toString('base64url');
  t.like((await query(encoded)).body, {resultSet: {0: {name: 'a'}}});
});

test('rows are capped and that is said', async (t) => {
  const {query} = await setup(t);
  const numbers =
    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT i FROM n';
  t.like((await query(numbers)).body, {rowCount: 10_000, truncated: true});
  const large =
    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT hex(zeroblob(100000)) FROM n';
  t.like((await query(large)).body, {truncated: true});
});

for (const sql of [
  "INSERT INTO events VALUES (3, 'c', NULL)",
  'DELETE FROM events',
  'UPDATE events SET name = 1',
  'DROP TABLE events',
  'CREATE TABLE other(a)',
  'WITH x AS (SELECT 1) DELETE FROM events',
  'DELETE FROM events RETURNING id',
]) {
  test(`a query does not write: ${sql}`, async (t) => {
    const {query} = await setup(t);
    t.like(await query(sql), {status: 400, body: {code: 'SQL_FAILED'}});
    t.like((await query('SELECT count(*) AS n FROM events')).body, {resultSet: {0: {n: 2}}});
  });
}

const refusedAlways = [
  "ATTACH DATABASE '/etc/passwd' AS x",
  "/* c */ attach 'other.db' as x",
  '-- c\nDETACH x',
  "SELECT load_extension('/tmp/x.so')",
  "SELECT a FROM (SELECT load_extension('/tmp/x.so') AS a) WHERE a IS NOT NULL",
  "VACUUM INTO '/tmp/copy.db'",
  'VACUUM',
  'PRAGMA journal_mode = DELETE',
  'PRAGMA writable_schema = 1',
  'PRAGMA main.temp_store_directory = "/tmp"',
  'PRAGMA soft_heap_limit(1)',
  'EXPLAIN PRAGMA hard_heap_limit = 1',
  'pragma/**/user_version = 7',
  'BEGIN',
  'COMMIT',
  'SAVEPOINT x',
  'SELECT 1; DELETE FROM events',
  "SELECT ';' ; ATTACH 'x' AS y",
  'SELECT 1 -- ; fine\n; SELECT 2',
];
for (const sql of refusedAlways) {
  test(`refused in queries and transactions: ${sql.replaceAll('\n', ' ')}`, async (t) => {
    const {query, run, home} = await setup(t);
    t.like(await query(sql), {status: 403, body: {code: 'SQL_REFUSED'}});
    const first = {statement: "INSERT INTO events VALUES (3, 'c', NULL)"};
    t.like(await run([first, {statement: sql}]), {
      status: 403,
      body: {code: 'SQL_REFUSED', details: {reqIdx: 1}},
    });
    t.like((await query('SELECT count(*) AS n FROM events')).body, {resultSet: {0: {n: 2}}});
    t.deepEqual(
      readdirSync(home).filter((name) => !name.startsWith('events.db')),
      [],
    );
  });
}

for (const sql of [
  'PRAGMA table_info(events)',
  'PRAGMA user_version',
  'EXPLAIN QUERY PLAN SELECT * FROM events',
  "SELECT name FROM pragma_table_info('events')",
  "SELECT ';' AS semicolon;",
  'SELECT 1 -- comment; with semicolon',
  'SELECT "id", [name], `data` FROM events',
]) {
  test(`allowed in queries: ${sql}`, async (t) => {
    const {query} = await setup(t);
    t.is((await query(sql)).status, 200);
  });
}

test('a transaction answers item by item', async (t) => {
  const {run, query} = await setup(t);
  const {status, body} = await run([
    {statement: 'INSERT INTO events(name) VALUES (?)', values: ['c']},
    {
      statement: 'INSERT INTO events(name, data) VALUES ($name, $data)',
      valuesBatch: [
        {name: 'd', data: {base64: 'AP8='}},
        {name: 'e', data: null},
      ],
    },
    {query: 'SELECT name FROM events WHERE name >= ? ORDER BY name', values: ['d']},
    {statement: 'CREATE TRIGGER t AFTER DELETE ON events BEGIN SELECT 1; SELECT 2; END'},
  ]);
  t.is(status, 200);
  t.deepEqual(body, {
    results: [
      {success: true, rowsUpdated: 1},
      {success: true, rowsUpdatedBatch: [1, 1]},
      {success: true, resultHeaders: ['name'], resultSet: [{name: 'd'}, {name: 'e'}], truncated: false},
      {success: true, rowsUpdated: 0},
    ],
  });
  t.like((await query('SELECT count(*) AS n FROM events')).body, {resultSet: {0: {n: 5}}});
});

test('a transaction that fails changes nothing and names the item', async (t) => {
  const {run, query} = await setup(t);
  const answer = await run([
    {statement: 'DELETE FROM events'},
    {statement: 'INSERT INTO nowhere VALUES (1)'},
  ]);
  t.like(answer, {
    status: 400,
    body: {code: 'SQL_FAILED', details: {reqIdx: 1, error: 'no such table: nowhere'}},
  });
  t.like((await query('SELECT count(*) AS n FROM events')).body, {resultSet: {0: {n: 2}}});
});

test('a database is made only on demand', async (t) => {
  const {run, json, home} = await setup(t);
  const transaction = [{statement: 'CREATE TABLE a(b)'}];
  t.like(await run(transaction, 'new/deep.db'), {status: 404, body: {code: 'DATABASE_NOT_FOUND'}});
  t.false(existsSync(join(home, 'new')));
  const made = await json('POST', `${api}/db?db=new/deep.db&create_db_if_missing=true`, {transaction});
  t.is(made.status, 200);
  t.like((await json('GET', `${api}/list`)).body, {
    count: 2,
    databases: {0: {name: 'events.db'}, 1: {name: 'new/deep.db'}},
  });
});

test('only plain database files of the data directory are opened', async (t) => {
  const {query, run, home, directory, json} = await setup(t);
  new Database(join(directory, 'outside.db')).run('CREATE TABLE a(b)');
  symlinkSync(join(directory, 'outside.db'), join(home, 'linked.db'));
  symlinkSync(directory, join(home, 'up'));
  mkdirSync(join(home, 'directory.db'));
  writeFileSync(join(home, 'text.db'), 'not a database, but long enough to be looked into '.repeat(20));
  for (const [db, statuses] of [
    ['../outside.db', [400]],
    [join(directory, 'outside.db'), [400]],
    ['linked.db', [409]],
    ['up/outside.db', [409]],
    ['directory.db', [404]],
    ['text.db', [400]],
    [':memory:', [400]],
    ['file:events.db?mode=rwc', [400]],
    ['file:x.db', [404]],
    ['events.db\u0000.db', [400]],
    ['crontab', [400]],
    ['', [400]],
  ] as const) {
    t.true((statuses as readonly number[]).includes((await query('SELECT 1', db)).status), `query ${db}`);
    const {status} = await run([{statement: 'CREATE TABLE x(y)'}], db);
    t.true((statuses as readonly number[]).includes(status), `run ${db} ${status}`);
  }
  t.is((await json('GET', `${api}/query?db=events.db`)).status, 400);
  t.is((await json('POST', `${api}/db?db=events.db`, {transaction: []})).status, 400);
  t.is((await json('POST', `${api}/db?db=events.db`, '{')).status, 400);
});

test('a download is a whole database as of one moment, while a writer goes on', async (t) => {
  const {request, home, directory} = await setup(t);
  const writer = new Database(join(home, 'events.db'));
  writer.run('BEGIN IMMEDIATE');
  writer.run("INSERT INTO events VALUES (5, 'not committed', NULL)");
  const answer = await request('GET', `${api}/download?db=events.db`);
  t.is(answer.status, 200);
  t.is(answer.headers.get('content-type'), 'application/vnd.sqlite3');
  const bytes = new Uint8Array(await answer.arrayBuffer());
  writer.run('ROLLBACK');
  writer.close();
  t.is(answer.headers.get('content-length'), String(bytes.byteLength));
  writeFileSync(join(directory, 'copy.db'), bytes);
  const copy = new Database(join(directory, 'copy.db'), {readonly: true});
  t.deepEqual(copy.query('SELECT name FROM events ORDER BY id').values(), [['a'], ['b']]);
  t.deepEqual(copy.query('PRAGMA integrity_check').values(), [['ok']]);
  copy.close();
  t.deepEqual(readdirSync(join(directory, 'storage')), []);
  t.is((await request('GET', `${api}/download?db=none.db`)).status, 404);
});

test('a writer that holds the database is waited for, and then told', async (t) => {
  const {run, home} = await setup(t);
  const writer = new Database(join(home, 'events.db'));
  writer.run('BEGIN IMMEDIATE');
  const insert = [{statement: "INSERT INTO events(name) VALUES ('late')"}];
  t.like(await run(insert), {status: 409, body: {code: 'DATABASE_BUSY'}});
  writer.run('ROLLBACK');
  writer.close();
  t.is((await run(insert)).status, 200);
});

test('a new database gets a write-ahead log, one that is there keeps its journal', async (t) => {
  const {home, json} = await setup(t);
  new Database(join(home, 'old.db')).run('CREATE TABLE a(b)');
  const transaction = [{statement: 'CREATE TABLE IF NOT EXISTS c(d)'}];
  for (const [name, journal] of [
    ['old.db', 'delete'],
    ['new.db', 'wal'],
  ] as const) {
    const path = `${api}/db?db=${name}&create_db_if_missing=true`;
    t.is((await json('POST', path, {transaction})).status, 200);
    const database = new Database(join(home, name), {readonly: true});
    t.deepEqual(database.query('PRAGMA journal_mode').values(), [[journal]], name);
    database.close();
  }
});
