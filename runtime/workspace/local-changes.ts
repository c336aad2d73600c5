import type {Stats} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import {isErrno} from '../platform/durable-file.ts';
import {lstat, open, readlink, rename} from '../platform/files.ts';

/** A file of the branch, as it was when it was put in place; null for one that was put there by an older version. */
export type Stamps = Readonly<Record<string, string | null>>;

/** A file that a job had changed, and under which name it stays. */
export interface KeptFile {
  readonly path: string;
  readonly as: string;
}

const pieceBytes = 64 * 1024;
/** Of 255, so that the ending has room. */
const longestNameBytes = 235;

/** Tells a file from what a job makes of it; null where there is none. */
export async function stampOf(root: string, path: string): Promise<string | null> {
  const stats = await lstatIfPresent(join(root, path));
  return stats === null ? null : stamp(stats);
}

/**
 * Moves what is at `path` aside, as `<path>.local-<n>`, where it is not what the branch put there: a job changed it,
 * or made it. Nothing happens where there is nothing, or where it is the same as `next`, which takes its place.
 */
export async function setLocalAside(
  root: string,
  path: string,
  {stamps, next}: {stamps: Stamps; next: string | null},
): Promise<KeptFile | null> {
  const target = join(root, path);
  const stats = await lstatIfPresent(target);
  if (stats === null) return null;
  const known = stamps[path];
  if (Object.hasOwn(stamps, path) && (known === null || known === stamp(stats))) return null;
  if (next !== null && (await isSame(target, stats, next))) return null;
  const as = await freeName(root, path);
  await rename(target, join(root, as));
  return {path, as};
}

function stamp({size, mtimeMs, ino}: Stats): string {
  return `${size}:${mtimeMs}:${ino}`;
}

async function freeName(root: string, path: string): Promise<string> {
  let name = basename(path);
  while (Buffer.byteLength(name) > longestNameBytes) name = name.slice(0, -1);
  for (let n = 1; ; n += 1) {
    const as = join(dirname(path), `${name}.local-${n}`);
    if ((await lstatIfPresent(join(root, as))) === null) return as;
  }
}

async function isSame(one: string, stats: Stats, other: string): Promise<boolean> {
  const next = await lstat(other);
  if (stats.isSymbolicLink() && next.isSymbolicLink())
    return (await readlink(one)) === (await readlink(other));
  return stats.isFile() && next.isFile() && stats.size === next.size && hasSameBytes(one, other);
}

async function hasSameBytes(one: string, other: string): Promise<boolean> {
  const files = [await open(one, 'r'), await open(other, 'r')] as const;
  const pieces = [Buffer.alloc(pieceBytes), Buffer.alloc(pieceBytes)] as const;
  try {
    for (;;) {
      const [a, b] = [await files[0].read(pieces[0]), await files[1].read(pieces[1])];
      if (!pieces[0].subarray(0, a.bytesRead).equals(pieces[1].subarray(0, b.bytesRead))) return false;
      if (a.bytesRead === 0) return true;
    }
  } finally {
    await files[0].close();
    await files[1].close();
  }
}

async function lstatIfPresent(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return null;
    throw error;
  }
}
