import {Database} from 'bun:sqlite';
import {readdir, readFile, readlink, realpath, stat} from 'node:fs/promises';
import {join} from 'node:path';

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
    // Without a journal file: the lock can be taken on a full disk, and nothing is ever written.
    database.run('PRAGMA journal_mode = MEMORY');
    database.run('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY') return null;
    throw error;
  }
  return {release: () => database.close()};
}

/**
 * The process that holds the lock of a file. Null where nobody does, and where the kernel does not tell: it
 * needs `/proc/locks` and a holder of our own user.
 */
export async function exclusiveLockHolder(path: string): Promise<number | null> {
  try {
    const {ino} = await stat(path);
    const file = await realpath(path);
    const held = new RegExp(`^\\d+: POSIX +ADVISORY +WRITE (\\d+) [0-9a-f]+:[0-9a-f]+:${ino} `, 'gm');
    for (const [, pid] of (await readFile('/proc/locks', 'utf8')).matchAll(held))
      if (await hasOpen(Number(pid), file)) return Number(pid);
  } catch {
    // No such file, no such kernel interface: nobody is known to hold it.
  }
  return null;
}

/** Inode numbers are unique in one file system only; the path tells them apart. */
async function hasOpen(pid: number, file: string): Promise<boolean> {
  const directory = `/proc/${pid}/fd`;
  for (const name of await readdir(directory).catch(() => [])) {
    if ((await readlink(join(directory, name)).catch(() => '')) === file) return true;
  }
  return false;
}
