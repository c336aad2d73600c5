import {readdir, realpath} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from './durable-file.ts';

/** The one path of an existing file or directory: absolute, without links. Throws the file system's error. */
export async function canonicalPath(path: string): Promise<string> {
  return await realpath(path);
}

/**
 * Paths of all files below `path`, in no order. Directories that vanish meanwhile are left out; one that may
 * not be read is an error, so that the list is complete or not there.
 */
export async function filesBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, {withFileTypes: true}).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return [];
    throw error;
  });
  const files = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(path, entry.name));
  for (const entry of entries) {
    if (entry.isDirectory()) files.push(...(await filesBelow(join(path, entry.name))));
  }
  return files;
}
