import {join} from 'node:path';
import * as z from 'zod';
import {AppError} from '../../schemas/errors.ts';
import {ByteReader} from '../platform/byte-reader.ts';
import {readTextIfPresent, writeFileDurably} from '../platform/durable-file.ts';
import {existsSync, mkdir} from '../platform/files.ts';
import {createSerialLock} from '../platform/serial-lock.ts';
import {type Change, type ChangeSetHeader, checkTogether, maxLineBytes, parseHeader} from './change-set.ts';
import type {KeptFile, Stamps} from './local-changes.ts';
import {type Local, place, removeFile, removeStaging, stage} from './tree-files.ts';

const mostKept = 100;

/** The branch's tree as files. Files that git does not know stay as they are. */
export interface Workspace {
  readonly directory: string;
  /** Id of the tree that the files are, or null when that is not known. */
  tree(): string | null;
  /**
   * Applies a change set, see `change-set.ts`. Nothing in place is touched before the whole body has come.
   * Throws WORKSPACE_BASE_MISMATCH with `details.tree`, INVALID_BODY, STORAGE_FULL through ENOSPC.
   */
  apply(body: ReadableStream<Uint8Array>): Promise<{tree: string; kept: readonly KeptFile[]}>;
  /** Files that jobs had changed where the branch changed them too, as far as they are still there; the newest. */
  kept(): readonly KeptFile[];
}

/**
 * `pending` is written before files move and taken away when all are in place: after a crash between, the tree
 * counts as unknown, and only the same change set or a whole tree is taken.
 */
const createRecordSchema = () =>
  z.object({
    tree: z.string().nullable(),
    paths: z.array(z.string()),
    /** How each was when it was put in place. */
    stamps: z.record(z.string(), z.string()).default({}),
    kept: z.array(z.object({path: z.string(), as: z.string()})).default([]),
    pending: z
      .object({base: z.string().nullable(), target: z.string(), paths: z.array(z.string())})
      .nullable(),
  });
type WorkspaceRecord = z.infer<ReturnType<typeof createRecordSchema>>;

export async function openWorkspace({
  directory,
  recordFile,
}: {
  directory: string;
  recordFile: string;
}): Promise<Workspace> {
  await mkdir(directory, {recursive: true});
  await removeStaging(directory);
  let record = await readRecord(recordFile);
  const inTurn = createSerialLock();

  async function save(next: WorkspaceRecord): Promise<void> {
    await writeFileDurably(recordFile, JSON.stringify(next));
    record = next;
  }

  function tree(): string | null {
    return record.pending === null ? record.tree : null;
  }

  function checkBase({base, target}: ChangeSetHeader): void {
    const repeats = record.pending?.base === base && record.pending.target === target;
    if (base === null || base === tree() || repeats) return;
    throw new AppError(
      'WORKSPACE_BASE_MISMATCH',
      `The workspace is at ${tree() ?? 'no known tree'}, not at ${base}. Send a change set from there, or a whole tree.`,
      {
        details: {tree: tree()},
      },
    );
  }

  async function apply(body: ReadableStream<Uint8Array>): ReturnType<Workspace['apply']> {
    const reader = new ByteReader(body);
    try {
      const header = parseHeader(await reader.line(maxLineBytes));
      checkBase(header);
      const {changes, staged, remove} = await stage(directory, reader);
      try {
        await reader.end();
        checkTogether(changes);
        const {base, target} = header;
        const {paths, removed} = nextPaths(record, base, changes);
        const local: Local = {stamps: knownStamps(record), kept: []};
        await save({...record, pending: {base, target, paths: staged.map(({path}) => path)}});
        for (const path of removed) await removeFile(directory, path, local);
        const made = new Set<string>();
        for (const write of staged) await place(directory, write, {made, local});
        const stamps = await nextStamps(record, {paths, written: staged.map(({path}) => path)});
        const kept = [...record.kept, ...local.kept].slice(-mostKept);
        await save({tree: target, paths, stamps, kept, pending: null});
        return {tree: target, kept: local.kept};
      } finally {
        await remove();
      }
    } catch (error) {
      await reader.cancel();
      throw error;
    }
  }

  async function nextStamps(
    {stamps}: WorkspaceRecord,
    {paths, written}: {paths: readonly string[]; written: readonly string[]},
  ): Promise<Record<string, string>> {
    const {stampOf} = await import('./local-changes.ts');
    const fresh = new Map<string, string>();
    for (const path of written) {
      const stamp = await stampOf(directory, path);
      if (stamp !== null) fresh.set(path, stamp);
    }
    return Object.fromEntries(
      paths.flatMap((path) => {
        const stamp = fresh.get(path) ?? stamps[path];
        return stamp === undefined ? [] : [[path, stamp]];
      }),
    );
  }

  return {
    directory,
    tree,
    kept: () => record.kept.filter(({as}) => existsSync(join(directory, as))),
    apply: (body) => inTurn(() => apply(body)),
  };
}

/** Null for what was put in place by a version that took no stamps, or by an attempt that a crash cut off. */
function knownStamps({paths, stamps, pending}: WorkspaceRecord): Stamps {
  const started = new Set(pending?.paths);
  return Object.fromEntries(
    [...paths, ...(pending?.paths ?? [])].map((path) => [
      path,
      started.has(path) ? null : (stamps[path] ?? null),
    ]),
  );
}

/** Tracked paths after the change set, and those to remove. */
function nextPaths(
  record: WorkspaceRecord,
  base: string | null,
  changes: readonly Change[],
): {paths: string[]; removed: string[]} {
  const tracked = new Set([...record.paths, ...(record.pending?.paths ?? [])]);
  const written = changes.filter(({kind}) => kind !== 'delete').map(({path}) => path);
  const deleted = changes.filter(({kind}) => kind === 'delete').map(({path}) => path);
  if (base === null) {
    const kept = new Set(written);
    return {paths: written, removed: [...tracked].filter((path) => !kept.has(path))};
  }
  for (const path of deleted) tracked.delete(path);
  return {paths: [...new Set([...tracked, ...written])], removed: deleted};
}

async function readRecord(path: string): Promise<WorkspaceRecord> {
  const text = await readTextIfPresent(path);
  if (text === null) return {tree: null, paths: [], stamps: {}, kept: [], pending: null};
  try {
    return createRecordSchema().parse(JSON.parse(text));
  } catch (error) {
    throw new AppError(
      'STATE_UNREADABLE',
      `${path} is damaged. Remove it; the next whole tree writes it anew.`,
      {cause: error},
    );
  }
}
