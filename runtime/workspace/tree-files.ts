import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import type {ByteReader} from '../platform/byte-reader.ts';
import {isErrno} from '../platform/durable-file.ts';
import {chmod, lstat, mkdir, open, readdir, rename, rm, rmdir, symlink, unlink} from '../platform/files.ts';
import {
  type Change,
  checkLinkTarget,
  maxChanges,
  maxLineBytes,
  parentsOf,
  parseChange,
  stagingPrefix,
  type Write,
} from './change-set.ts';
import type {KeptFile, Stamps} from './local-changes.ts';

export interface StagedWrite {
  readonly path: string;
  /** Where the finished file waits; same file system as the workspace. */
  readonly waiting: string;
}

export interface Staging {
  readonly changes: readonly Change[];
  readonly staged: readonly StagedWrite[];
  /** Removes what still waits. */
  remove(): Promise<void>;
}

/**
 * Reads changes up to the last line and writes their files into a directory of its own inside the workspace,
 * from where a rename puts them in place.
 */
export async function stage(root: string, reader: ByteReader): Promise<Staging> {
  const directory = join(root, `${stagingPrefix}${randomBytes(6).toString('hex')}`);
  const remove = () => rm(directory, {recursive: true, force: true});
  await mkdir(directory, {mode: 0o700});
  try {
    const changes: Change[] = [];
    const staged: StagedWrite[] = [];
    for (;;) {
      const change = parseChange(await reader.line(maxLineBytes));
      if (change === null) return {changes, staged, remove};
      if (changes.length === maxChanges)
        throw new AppError('PAYLOAD_TOO_LARGE', `More than ${maxChanges} changes at once.`);
      changes.push(change);
      if (change.kind === 'delete') continue;
      const waiting = join(directory, String(staged.length));
      await stageOne(waiting, change, reader);
      staged.push({path: change.path, waiting});
    }
  } catch (error) {
    await remove();
    throw error;
  }
}

async function stageOne(waiting: string, {path, kind, size}: Write, reader: ByteReader): Promise<void> {
  if (kind === 'symlink') {
    const target = await allBytes(reader.take(size));
    checkLinkTarget(path, target);
    await symlink(target, waiting);
  } else await writePieces(waiting, reader.take(size), kind === 'executable' ? 0o755 : 0o644);
}

/** Removes what a crash left waiting. */
export async function removeStaging(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (name.startsWith(stagingPrefix)) await rm(join(root, name), {recursive: true, force: true});
  }
}

/** What jobs did to the files of the branch; `kept` gets what was moved aside. */
export interface Local {
  readonly stamps: Stamps;
  readonly kept: KeptFile[];
}

/**
 * Puts a finished file in place. Parents that are no directories, symlinks too, become directories, so that
 * nothing is ever written through a link. What a job made or changed in its place is moved aside.
 */
export async function place(
  root: string,
  {path, waiting}: StagedWrite,
  {made, local}: {made: Set<string>; local: Local},
): Promise<void> {
  for (const parent of parentsOf(path)) {
    if (made.has(parent)) continue;
    await makeDirectory(root, parent, local);
    made.add(parent);
  }
  const target = join(root, path);
  await setAside(root, path, local, waiting);
  if ((await lstatIfPresent(target))?.isDirectory()) await rm(target, {recursive: true, force: true});
  await rename(waiting, target);
}

/** Removes a file and the directories that are then empty. What lies behind a link, and a directory, stays; what a job changed is moved aside. */
export async function removeFile(root: string, path: string, local: Local): Promise<void> {
  const parents = parentsOf(path);
  for (const parent of parents) {
    if (!(await lstatIfPresent(join(root, parent)))?.isDirectory()) return;
  }
  const stats = await lstatIfPresent(join(root, path));
  if (stats !== null && !stats.isDirectory()) {
    await setAside(root, path, local, null);
    if ((await lstatIfPresent(join(root, path))) !== null) await unlink(join(root, path));
  }
  for (const parent of parents.reverse()) {
    if (!(await removedIfEmpty(join(root, parent)))) return;
  }
}

async function removedIfEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOTEMPTY') || isErrno(error, 'EEXIST') || isErrno(error, 'EBUSY')) return false;
    throw error;
  }
}

async function makeDirectory(root: string, path: string, local: Local): Promise<void> {
  const directory = join(root, path);
  if ((await lstatIfPresent(directory))?.isDirectory()) return;
  await setAside(root, path, local, null);
  if ((await lstatIfPresent(directory)) !== null) await unlink(directory);
  await mkdir(directory, {mode: 0o755});
}

async function setAside(
  root: string,
  path: string,
  {stamps, kept}: Local,
  next: string | null,
): Promise<void> {
  // Only for a runtime that gets a commit: one that waits would keep it for nothing.
  const {setLocalAside} = await import('./local-changes.ts');
  const aside = await setLocalAside(root, path, {stamps, next});
  if (aside !== null) kept.push(aside);
}

async function lstatIfPresent(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return null;
    throw error;
  }
}

async function writePieces(path: string, pieces: AsyncIterable<Uint8Array>, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    for await (const piece of pieces) await file.writeFile(piece);
  } finally {
    await file.close();
  }
  // The mode given to `open` is cut by the umask.
  await chmod(path, mode);
}

async function allBytes(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
