import {Database} from 'bun:sqlite';
import test from 'ava';
import fc from 'fast-check';
import {guardStatement} from '../../runtime/storage/statement-guard.ts';
import {fuzz} from '../helpers/fuzz.ts';

const blank = fc.constantFrom(' ', '\n', '\t', '/* x */', '-- x\n', '/*;*/', '\ufeff', '\f', '');
const dangerous = fc.constantFrom(
  "ATTACH DATABASE 'fuzz-escape.db' AS x",
  "attach 'fuzz-escape.db' as [x;y]",
  'DETACH main',
  "VACUUM INTO 'fuzz-escape.db'",
  'PRAGMA journal_mode=DELETE',
  'PRAGMA main.user_version = 7',
  'BEGIN',
  "SELECT load_extension('x')",
);
const harmless = fc.constantFrom(
  'SELECT 1',
  "SELECT ';'",
  'SELECT "a;b"',
  'SELECT * FROM t',
  'PRAGMA table_info(t)',
  "SELECT '/*'",
  "SELECT '--'",
  'EXPLAIN',
  '',
);
const noise = fc.oneof(blank, fc.constantFrom(';', "'", '"', '`', '[', ']', '/*', '*/', '--'));

test('nothing dangerous passes, however it is dressed up', async (t) => {
  const database = new Database(':memory:');
  database.run('CREATE TABLE t(a)');
  const dressed = fc
    .tuple(
      fc.array(noise, {maxLength: 4}),
      harmless,
      fc.array(noise, {maxLength: 4}),
      dangerous,
      fc.array(noise, {maxLength: 3}),
    )
    .map(([before, first, between, last, after]) => [...before, first, ...between, last, ...after].join(''));
  await fuzz(
    t,
    fc.property(dressed, (sql) => {
      if (sql.includes('\0')) return true;
      try {
        guardStatement(database, sql);
      } catch {
        return true;
      }
      // What passed is run: it must not change the connection, whatever it says.
      try {
        const statement = database.prepare(sql);
        statement.all();
        statement.finalize();
      } catch {
        // Not all that compiles runs.
      }
      const attached = database.query('PRAGMA database_list').values().length;
      const version = database.query('PRAGMA user_version').values();
      return attached === 1 && !database.inTransaction && JSON.stringify(version) === '[[0]]';
    }),
    {runs: 3000},
  );
  database.close();
});
