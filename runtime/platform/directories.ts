import {randomBytes} from 'node:crypto';
import {link, lstat, mkdir, readdir, readlink, realpath, rename, rm, symlink} from 'node:fs/promises';
import {isErrno} from './durable-file.ts';

/** Makes `path` and what is missing above it. */
export async function makeDirectory(path: string, {mode}: {mode: number}): Promise<void> {
  await mkdir(path, {recursive: true, mode});
}

/** Names in a directory, in no order; none when it does not exist. */
export async function listNames(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Renames; throws the system's error, for example ENOTEMPTY where a directory is in the way. */
export async function moveDirectory(from: string, to: string): Promise<void> {
  await rename(from, to);
}

/** What `path` itself is, links not followed; null when there is nothing. */
export async function kindOf(
  path: string,
): Promise<'directory' | 'file' | 'link' | 'socket' | 'other' | null> {
  try {
    const stats = await lstat(path);
    if (stats.isDirectory()) return 'directory';
    if (stats.isFile()) return 'file';
    if (stats.isSymbolicLink()) return 'link';
    return stats.isSocket() ? 'socket' : 'other';
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

/** Gives an existing file a second name, replacing what has that name. A link is linked, not followed. */
export async function replaceWithHardLink(existing: string, name: string): Promise<void> {
  await rm(name, {force: true});
  await link(existing, name);
}

/** Makes `path` a link to `target`, in the place of an earlier one. */
export async function replaceLink(target: string, path: string): Promise<void> {
  const making = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  await symlink(target, making);
  await rename(making, path);
}

/** The path without links. */
export async function realDirectory(path: string): Promise<string> {
  return await realpath(path);
}

/** Where the link `path` points, as written in it. */
export async function linkTarget(path: string): Promise<string> {
  return await readlink(path);
}
