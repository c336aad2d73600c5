import {constants, Database, type SQLQueryBindings, type Statement} from 'bun:sqlite';

export type {Database, SQLQueryBindings, Statement} from 'bun:sqlite';

/**
 * Opens or creates a database in which a committed transaction survives a power cut. Throws SQLite's error,
 * for example for a file that is no database.
 */
export function openSqliteFile(path: string): Database {
  const database = new Database(path, {create: true, strict: true});
  // Pages that become free can be given back in small steps. Written at each call, and there may be no room for that.
  if (isNew(database)) database.run('PRAGMA auto_vacuum = INCREMENTAL');
  database.run('PRAGMA journal_mode = WAL');
  database.run('PRAGMA synchronous = FULL');
  database.run('PRAGMA busy_timeout = 5000');
  // The log stays when it is closed, so that it can be opened again when the disk is full.
  database.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
  return database;
}

function isNew(database: Database): boolean {
  const pages = database.query<{page_count: number | bigint}, []>('PRAGMA page_count').get()?.page_count;
  return Number(pages) === 0;
}

/** Opens a database that somebody else made, to read it; integers come as bigint. Throws SQLite's error. */
export function openReadOnly(path: string): Database {
  const database = new Database(path, {readonly: true, safeIntegers: true, strict: true});
  database.run('PRAGMA busy_timeout = 5000');
  return database;
}

/** Opens a database that somebody else made and keeps its journal as it is; a new one gets a write-ahead log. */
export function openReadWrite(path: string, {create}: {create: boolean}): Database {
  const database = new Database(path, {readwrite: true, create, safeIntegers: true, strict: true});
  database.run('PRAGMA busy_timeout = 5000');
  if (create && isNew(database)) database.run('PRAGMA journal_mode = WAL');
  return database;
}

/** Prepares one statement, and lets go of it afterwards: one that is left as it is keeps the transaction open. */
export function withStatement<T>(
  database: Database,
  sql: string,
  use: (statement: Statement<Record<string, unknown>, SQLQueryBindings[]>) => T,
): T {
  const statement = database.prepare<Record<string, unknown>, SQLQueryBindings[]>(sql);
  try {
    return use(statement);
  } finally {
    statement.finalize();
  }
}
