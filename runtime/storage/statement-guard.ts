import {type Database, withStatement} from '../platform/sqlite-file.ts';

/** A statement that is refused whatever the database holds. */
export class StatementRefused extends Error {
  readonly code = 'STATEMENT_REFUSED';

  constructor(message: string) {
    super(message);
    this.name = 'StatementRefused';
  }
}

/** Functions by which SQL reaches other files or native code. */
const forbiddenFunctions =
  /^(?:sqlite_attach|sqlite_detach|load_extension|readfile|writefile|edit|fts3_tokenizer)\(/;

/** What statements compile to that must not be run by a request: whole files, journals, the transaction itself. */
const forbiddenOpcodes = new Map([
  ['Vacuum', 'VACUUM'],
  ['IncrVacuum', 'VACUUM'],
  ['JournalMode', 'A change of the journal'],
  ['Checkpoint', 'A checkpoint'],
  ['AutoCommit', 'BEGIN, COMMIT and ROLLBACK'],
  ['Savepoint', 'SAVEPOINT'],
]);

/** Pragmas that only tell something. The others act as soon as they are compiled, some on the whole process. */
const allowedPragmas = new Set([
  'collation_list',
  'compile_options',
  'database_list',
  'foreign_key_check',
  'foreign_key_list',
  'function_list',
  'index_info',
  'index_list',
  'index_xinfo',
  'integrity_check',
  'quick_check',
  'table_info',
  'table_list',
  'table_xinfo',
]);
/** Pragmas that tell something only without a value. */
const readablePragmas = new Set([
  'user_version',
  'schema_version',
  'page_count',
  'page_size',
  'freelist_count',
]);

/** Throws StatementRefused, or SQLite's error for a text that does not compile. */
export function guardStatement(database: Database, sql: string): void {
  const words = bareText(sql);
  if (/;\s*\S/.test(words) && !/^\s*create\s+(?:temp(?:orary)?\s+)?trigger\b/i.test(words))
    throw new StatementRefused('One statement at a time: nothing may follow the semicolon.');
  const keyword = /^[\s;]*([a-z]+)/i.exec(words)?.[1]?.toLowerCase() ?? '';
  if (keyword === 'pragma') {
    guardPragma(words);
    return;
  }
  // An EXPLAIN compiles and runs nothing.
  if (keyword === 'explain' && !/^[\s;]*explain\s+(?:query\s+plan\s+)?pragma\b/i.test(words)) return;
  if (keyword === 'explain') throw new StatementRefused('EXPLAIN PRAGMA is not available here.');
  const program = withStatement(database, `EXPLAIN ${sql}`, (statement) => statement.all());
  for (const {opcode, p4} of program) {
    const what = forbiddenOpcodes.get(String(opcode));
    if (what !== undefined) throw new StatementRefused(`${what} is not available here.`);
    if (typeof p4 === 'string' && forbiddenFunctions.test(p4)) {
      const name = p4.slice(0, p4.indexOf('(')).replace(/^sqlite_/, '');
      throw new StatementRefused(
        `${name.toUpperCase()} is not available here: it reaches beyond this database.`,
      );
    }
  }
}

function guardPragma(words: string): void {
  const [, name = '', value] = /^[\s;]*pragma\s+(?:\w+\s*\.\s*)?(\w+)\s*([=(].*)?;?\s*$/is.exec(words) ?? [];
  const lower = name.toLowerCase();
  if (allowedPragmas.has(lower) && !value?.startsWith('=')) return;
  if (readablePragmas.has(lower) && value === undefined) return;
  throw new StatementRefused(
    `PRAGMA ${name} is not available here. Those that only tell something are, such as table_info.`,
  );
}

/** The text with what is quoted, and comments, made into blanks. */
function bareText(sql: string): string {
  return sql.replace(
    /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g,
    (quoted) => (quoted.startsWith('--') || quoted.startsWith('/*') ? ' ' : ' _ '),
  );
}
