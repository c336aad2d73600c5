import {Database} from 'bun:sqlite';

export interface ExclusiveLock {
  release(): void;
}

/**
 * Takes the lock of a file, or null when another process has it. The kernel drops it when its holder dies,
 * however it dies; that is why it is not a file with a process id in it.
 */
export function takeExclusiveLock(path: string): ExclusiveLock | null {
  const database = new Database(path, {create: true});
  try {
    database.run('PRAGMA journal_mode = DELETE');
    database.run('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY') return null;
    throw error;
  }
  return {release: () => database.close()};
}
