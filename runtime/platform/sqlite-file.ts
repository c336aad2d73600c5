import {Database} from 'bun:sqlite';

export type {Database, SQLQueryBindings, Statement} from 'bun:sqlite';

/**
 * Opens or creates a database in which a committed transaction survives a power cut. Throws SQLite's error,
 * for example for a file that is no database.
 */
export function openSqliteFile(path: string): Database {
  const database = new Database(path, {create: true, strict: true});
  // Counts for a file that is made now: pages that become free can be given back in small steps.
  database.run('PRAGMA auto_vacuum = INCREMENTAL');
  database.run('PRAGMA journal_mode = WAL');
  database.run('PRAGMA synchronous = FULL');
  database.run('PRAGMA busy_timeout = 5000');
  return database;
}
