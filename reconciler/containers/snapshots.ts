import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import * as z from 'zod';
import {kindOf, listNames, makeDirectory, moveDirectory} from '../../runtime/platform/directories.ts';
import {readTextIfPresent, syncDirectory, writeFileDurably} from '../../runtime/platform/durable-file.ts';
import {copyTree} from '../../runtime/platform/tree-copy.ts';
import {removeTree} from '../../runtime/platform/tree-removal.ts';
import {AppError} from '../../schemas/errors.ts';
import {parseJson} from './parse-json.ts';
import type {Snapshot} from './provider.ts';

/**
 * `<directory>/<name>/` holds `snapshot.json`, `srv/` with its `workspace.json`, and `data/`. Names with a dot in front are work under way:
 * `.making-*`, `.removing-*`, and `.replaced-<name>` while a newer one takes its place.
 */
export interface SnapshotStore {
  readonly directory: string;
  /** Changes of names take turns; copies do not. */
  readonly turn: <T>(work: () => Promise<T>) => Promise<T>;
}

const replacedPrefix = '.replaced-';

const snapshotRecordSchema = z.object({
  name: z.string(),
  container_id: z.string(),
  created_at: z.string(),
  image: z
    .string()
    .nullable()
    .default(null)
    .meta({description: 'Image of the engine that its root was made into.'}),
  instances: z
    .string()
    .nullable()
    .default(null)
    .meta({description: 'What the instances of an Incus server that hold it have in their names.'}),
});

export interface StoredSnapshot extends Snapshot {
  /** Image of the container engine with the rest of its file system; null where the provider has none. */
  readonly image: string | null;
  /** Name of the instances of an Incus server that hold all of its files; null where the provider has none. */
  readonly instances: string | null;
}

/** A workspace and the runtime's record of which tree it holds: the next change set of a clone starts from there. */
export interface WorkspaceFiles {
  readonly workspace: string;
  readonly workspaceRecord: string;
}

/** Copies files that stand still, unless they are elsewhere; the snapshot appears whole or not at all. */
export async function saveSnapshot(
  store: SnapshotStore,
  snapshot: StoredSnapshot,
  files: (WorkspaceFiles & {readonly data: string}) | null,
): Promise<void> {
  checkSnapshotName(snapshot.name);
  const making = join(store.directory, `.making-${randomBytes(6).toString('hex')}`);
  try {
    await makeDirectory(making, {mode: 0o700});
    if (files !== null) {
      await copyDirectory(files.workspace, join(making, 'srv'));
      await copyRecord(files.workspaceRecord, join(making, 'workspace.json'));
      await copyDirectory(files.data, join(making, 'data'));
    }
    const {name, containerId: container_id, createdAt: created_at, image, instances} = snapshot;
    const record = {name, container_id, created_at, image, instances};
    await writeFileDurably(join(making, 'snapshot.json'), JSON.stringify(record));
    await store.turn(() => putInPlace(store, making, snapshot.name));
  } finally {
    await removeTree(making);
  }
}

async function putInPlace({directory}: SnapshotStore, making: string, name: string): Promise<void> {
  const path = join(directory, name);
  const replaced = join(directory, `${replacedPrefix}${name}`);
  // A directory cannot be renamed over a full one. A crash between the two renames is mended by `recoverSnapshots`.
  if ((await kindOf(path)) !== null) await moveDirectory(path, replaced);
  await moveDirectory(making, path);
  await syncDirectory(directory);
  await removeTree(replaced);
}

/** Gives a snapshot its name back where a crash came between it and its successor. */
export async function recoverSnapshots({directory}: SnapshotStore): Promise<void> {
  for (const entry of await listNames(directory)) {
    if (!entry.startsWith(replacedPrefix)) continue;
    const path = join(directory, entry.slice(replacedPrefix.length));
    if ((await kindOf(path)) === null) await moveDirectory(join(directory, entry), path);
    else await removeTree(join(directory, entry));
  }
}

/** Fills the empty directory `workspace` and writes its record. Throws SNAPSHOT_NOT_FOUND. */
export async function restoreWorkspace(
  {directory}: SnapshotStore,
  name: string,
  {workspace, workspaceRecord}: WorkspaceFiles,
): Promise<void> {
  checkSnapshotName(name);
  const source = join(directory, name, 'srv');
  if ((await kindOf(source)) !== 'directory') throw noSuchSnapshot(name);
  await copyTree(source, workspace);
  await copyRecord(join(directory, name, 'workspace.json'), workspaceRecord);
}

/** Throws SNAPSHOT_NOT_FOUND. */
export async function findSnapshot({directory}: SnapshotStore, name: string): Promise<StoredSnapshot> {
  checkSnapshotName(name);
  const snapshot = await readSnapshot(join(directory, name), name);
  if (snapshot === null) throw noSuchSnapshot(name);
  return snapshot;
}

function noSuchSnapshot(name: string): AppError {
  return new AppError('SNAPSHOT_NOT_FOUND', `There is no snapshot ${name}. Make one first, or leave it out.`);
}

/** Fills the empty data directory of a clone of `restoreWorkspace`. */
export async function restoreData({directory}: SnapshotStore, name: string, data: string): Promise<void> {
  await copyTree(join(directory, name, 'data'), data);
}

export async function readSnapshots({
  directory,
}: Pick<SnapshotStore, 'directory'>): Promise<StoredSnapshot[]> {
  const names = (await listNames(directory)).filter((name) => !name.startsWith('.'));
  const snapshots = await Promise.all(names.map((name) => readSnapshot(join(directory, name), name)));
  return snapshots.filter((snapshot) => snapshot !== null).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

export async function deleteSnapshot({directory, turn}: SnapshotStore, name: string): Promise<void> {
  checkSnapshotName(name);
  const path = join(directory, name);
  const removing = join(directory, `.removing-${randomBytes(6).toString('hex')}`);
  await turn(async () => {
    if ((await kindOf(path)) !== null) await moveDirectory(path, removing);
  });
  await removeTree(removing);
}

/** Throws INVALID_NAME. A dot in front is kept for unfinished work. */
export function checkSnapshotName(name: string): void {
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

/** Only a plain file: a job could have left a link to anything in its place. */
async function copyRecord(source: string, target: string): Promise<void> {
  const text = (await kindOf(source)) === 'file' ? await readTextIfPresent(source) : null;
  if (text !== null) await writeFileDurably(target, text);
}

/** Null where the directory is none of ours or its record cannot be read. */
async function readSnapshot(path: string, name: string): Promise<StoredSnapshot | null> {
  const text = await readTextIfPresent(join(path, 'snapshot.json'));
  const result = snapshotRecordSchema.safeParse(text === null ? undefined : parseJson(text));
  if (!result.success || result.data.name !== name) return null;
  const {container_id: containerId, created_at: createdAt, image, instances} = result.data;
  return {name, containerId, createdAt, image, instances};
}

/** Whoever has files of snapshots of this state directory elsewhere; null where nobody does. */
export async function snapshotKeeper(stateDirectory: string): Promise<'docker' | 'incus' | null> {
  const snapshots = await readSnapshots({directory: join(stateDirectory, 'snapshots')});
  if (snapshots.some(({instances}) => instances !== null)) return 'incus';
  return snapshots.some(({image}) => image !== null) ? 'docker' : null;
}
