import {chmod, lstat, readdir, rmdir, unlink} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from './durable-file.ts';

/**
 * Removes `path` and everything below it, read-only directories included; a link is removed, never followed.
 * Nothing there is fine. Nobody may write below `path` meanwhile.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    const stats = await lstat(path);
    if (!stats.isDirectory()) {
      await unlink(path);
      return;
    }
    if ((stats.mode & 0o700) !== 0o700) await chmod(path, 0o700);
    for (const name of await readdir(path)) await removeTree(join(path, name));
    await rmdir(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
