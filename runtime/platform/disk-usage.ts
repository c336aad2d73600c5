import {lstat, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from './durable-file.ts';

const blockBytes = 512;

/** Bytes on disk of what lies below a directory, links not followed; a file with several names counts for each. */
export async function diskUsage(directory: string): Promise<number> {
  const names = await readdir(directory).catch(whereGone([]));
  let bytes = 0;
  for (const name of names) {
    const path = join(directory, name);
    const stats = await lstat(path).catch(whereGone(null));
    if (stats === null) continue;
    bytes += stats.blocks * blockBytes;
    if (stats.isDirectory()) bytes += await diskUsage(path);
  }
  return bytes;
}

/** What vanishes while it is counted takes no room. */
function whereGone<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return value;
    throw error;
  };
}
