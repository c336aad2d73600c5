import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ownCommand} from '../../../runtime/platform/child-process.ts';
import {createDatabases} from '../../../runtime/storage/databases.ts';
import {AppError} from '../../../schemas/errors.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';

async function setup(t: ExecutionContext) {
  const directory = mkdtempSync(join(tmpdir(), 'bt-databases-'));
  const clock = new FakeClock();
  const databases = createDatabases({
    root: directory,
    directory: join(directory, '.own'),
    command: ownCommand(resolve('runtime/start.ts')),
    clock,
  });
  t.teardown(() => {
    databases.stop();
    rmSync(directory, {recursive: true, force: true});
  });
  await databases.transaction('a.db', {transaction: [{statement: 'CREATE TABLE a(b)'}]}, {create: true});
  return {clock, databases};
}

const forever = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n';

test('a query that never ends is ended, and holds up nobody meanwhile', async (t) => {
  const {clock, databases} = await setup(t);
  const endless = t.throwsAsync(databases.query('a.db', forever), {instanceOf: AppError});
  for (let n = 1; n <= 8; n += 1)
    t.like(await databases.query('a.db', `SELECT ${n} AS n`), {resultSet: {0: {n}}});
  await clock.advance(30_000);
  t.is((await endless)?.code, 'SQL_TIMEOUT');
  t.like(await databases.query('a.db', 'SELECT 1 AS n'), {rowCount: 1});
});

test('writers take turns and none is lost', async (t) => {
  const {databases} = await setup(t);
  const insert = {transaction: [{statement: 'INSERT INTO a VALUES (1)'}]};
  await Promise.all(Array.from({length: 40}, () => databases.transaction('a.db', insert, {create: false})));
  t.like(await databases.query('a.db', 'SELECT count(*) AS n FROM a'), {resultSet: {0: {n: 40}}});
});

test('SQL that SQLite does not understand is the caller’s mistake', async (t) => {
  const {databases} = await setup(t);
  for (const sql of ['SELEC 1', '-- nothing', ';', 'SELECT * FROM none', `SELECT ${'('.repeat(5000)}1`]) {
    const error = await t.throwsAsync(databases.query('a.db', sql), {instanceOf: AppError});
    t.is(error?.code, 'SQL_FAILED', sql.slice(0, 20));
  }
});
