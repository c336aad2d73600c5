import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import * as z from 'zod';
import {kindOf, listNames, makeDirectory, moveDirectory} from '../../../runtime/platform/directories.ts';
import {readTextIfPresent, syncDirectory, writeFileDurably} from '../../../runtime/platform/durable-file.ts';
import {copyTree} from '../../../runtime/platform/tree-copy.ts';
import {removeTree} from '../../../runtime/platform/tree-removal.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {Snapshot} from '../provider.ts';
import {parseJson} from './parse-json.ts';

/** `<directory>/<name>/` holds `snapshot.json`, `srv/` and `data/`; names with a dot in front are unfinished work. */
export interface SnapshotStore {
  readonly directory: string;
}

const snapshotRecordSchema = z.object({
  name: z.string(),
  container_id: z.string(),
  created_at: z.string(),
});

/** Copies files that stand still; the snapshot appears whole or not at all. */
export async function saveSnapshot(
  {directory}: SnapshotStore,
  snapshot: Snapshot,
  files: {readonly workspace: string; readonly data: string},
): Promise<void> {
  checkSnapshotName(snapshot.name);
  const mark = randomBytes(6).toString('hex');
  const making = join(directory, `.making-${mark}`);
  const replaced = join(directory, `.removing-${mark}`);
  const path = join(directory, snapshot.name);
  try {
    await copyDirectory(files.workspace, join(making, 'srv'));
    await copyDirectory(files.data, join(making, 'data'));
    const record = {name: snapshot.name, container_id: snapshot.containerId, created_at: snapshot.createdAt};
    await writeFileDurably(join(making, 'snapshot.json'), JSON.stringify(record));
    if ((await kindOf(path)) !== null) await moveDirectory(path, replaced);
    await moveDirectory(making, path);
    await syncDirectory(directory);
  } finally {
    await removeTree(making);
    await removeTree(replaced);
  }
}

/** Fills the empty directory `workspace`. Throws SNAPSHOT_NOT_FOUND. */
export async function restoreWorkspace(
  {directory}: SnapshotStore,
  name: string,
  workspace: string,
): Promise<void> {
  checkSnapshotName(name);
  const source = join(directory, name, 'srv');
  if ((await kindOf(source)) !== 'directory') {
    throw new AppError(
      'SNAPSHOT_NOT_FOUND',
      `There is no snapshot ${name}. Make one first, or leave it out.`,
    );
  }
  await copyTree(source, workspace);
}

export async function readSnapshots({directory}: SnapshotStore): Promise<Snapshot[]> {
  const names = (await listNames(directory)).filter((name) => !name.startsWith('.'));
  const snapshots = await Promise.all(names.map((name) => readSnapshot(join(directory, name), name)));
  return snapshots.filter((snapshot) => snapshot !== null).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

export async function deleteSnapshot({directory}: SnapshotStore, name: string): Promise<void> {
  checkSnapshotName(name);
  const path = join(directory, name);
  if ((await kindOf(path)) === null) return;
  const removing = join(directory, `.removing-${randomBytes(6).toString('hex')}`);
  await moveDirectory(path, removing);
  await removeTree(removing);
}

/** Throws INVALID_NAME. A dot in front is kept for unfinished work. */
function checkSnapshotName(name: string): void {
  if (/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$/.test(name)) return;
  throw new AppError(
    'INVALID_NAME',
    `${JSON.stringify(name.slice(0, 120))} is not a name for a snapshot. Use at most 100 letters, digits, "_", "." and "-", no dot in front.`,
  );
}

async function copyDirectory(source: string, target: string): Promise<void> {
  await makeDirectory(target, {mode: 0o700});
  // At level plain a job may have put a link in the place of its own directory.
  if ((await kindOf(source)) === 'directory') await copyTree(source, target);
}

/** Null where the directory is none of ours or its record cannot be read. */
async function readSnapshot(path: string, name: string): Promise<Snapshot | null> {
  const text = await readTextIfPresent(join(path, 'snapshot.json'));
  const result = snapshotRecordSchema.safeParse(text === null ? undefined : parseJson(text));
  if (!result.success || result.data.name !== name) return null;
  return {name, containerId: result.data.container_id, createdAt: result.data.created_at};
}
