import {Database} from 'bun:sqlite';

export type {Database, SQLQueryBindings, Statement} from 'bun:sqlite';

/**
 * Opens or creates a database in which a committed transaction survives a power cut. Throws SQLite's error,
 * for example for a file that is no database.
 */
export function openSqliteFile(path: string): Database {
  const database = new Database(path, {create: true, strict: true});
  database.run('PRAGMA journal_mode = WAL');
  database.run('PRAGMA synchronous = FULL');
  database.run('PRAGMA busy_timeout = 5000');
  return database;
}
