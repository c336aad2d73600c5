import {join} from 'node:path';
import {type Adapter, Low} from 'lowdb';
import {isErrno, readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {mkdir, readdir, readFile, rename, rm} from '../runtime/platform/files.ts';
import type {Log} from '../runtime/platform/log.ts';
import {type BranchRecord, branchRecordSchema} from './branch-record.ts';

/**
 * The branch records of a state directory, in memory and one durable document each, so that a change costs
 * the same at ten branches and at ten thousand.
 */
export interface RecordStore {
  all(): Iterable<BranchRecord>;
  get(key: string): BranchRecord | undefined;
  /** Puts the record in memory at once; resolves when it is on disk. */
  save(record: BranchRecord): Promise<void>;
  delete(key: string): Promise<void>;
}

/** A document that cannot be read is set aside as `<name>.unreadable` and logged: its container is adopted by labels. */
export async function openRecordStore({directory, log}: {directory: string; log: Log}): Promise<RecordStore> {
  await mkdir(directory, {recursive: true, mode: 0o700});
  const documents = new Map<string, Low<BranchRecord | null>>();
  const writes = new Map<string, Promise<void>>();

  const documentOf = (key: string) => {
    const known = documents.get(key);
    if (known !== undefined) return known;
    const document = new Low<BranchRecord | null>(durableJson(join(directory, `${key}.json`)), null);
    documents.set(key, document);
    return document;
  };

  /** Writes of one document follow each other, so that an older state never lands on a newer one. */
  const inOrder = (key: string, write: () => Promise<void>): Promise<void> => {
    const next = (writes.get(key) ?? Promise.resolve()).catch(() => {}).then(write);
    writes.set(key, next);
    return next.finally(() => {
      if (writes.get(key) === next) writes.delete(key);
    });
  };

  for (const name of await readdir(directory)) {
    if (!name.endsWith('.json')) continue;
    const path = join(directory, name);
    const record = parseRecord(await readFile(path, 'utf8'));
    if (record === null || `${record.key}.json` !== name) {
      log.error('a branch record cannot be read and is set aside', {path: `${path}.unreadable`});
      await rename(path, `${path}.unreadable`);
      continue;
    }
    documentOf(record.key).data = record;
  }

  return {
    *all() {
      for (const document of documents.values()) if (document.data !== null) yield document.data;
    },
    get: (key) => documents.get(key)?.data ?? undefined,
    save(record) {
      const document = documentOf(record.key);
      document.data = record;
      return inOrder(record.key, () => (document.data === null ? Promise.resolve() : document.write()));
    },
    delete(key) {
      const document = documents.get(key);
      if (document !== undefined) document.data = null;
      return inOrder(key, async () => {
        if (document?.data) return;
        documents.delete(key);
        await rm(join(directory, `${key}.json`), {force: true});
      });
    },
  };
}

function parseRecord(text: string): BranchRecord | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // A torn file is reported by the caller in the same way as one of a wrong shape.
    return null;
  }
  const parsed = branchRecordSchema.safeParse(json);
  return parsed.success ? parsed.data : null;
}

/** lowdb's own adapters do not fsync: a power cut could leave an empty document. */
function durableJson<T>(path: string): Adapter<T> {
  return {
    async read() {
      const text = await readTextIfPresent(path);
      return text === null ? null : (JSON.parse(text) as T);
    },
    async write(data) {
      try {
        await writeFileDurably(path, `${JSON.stringify(data)}\n`);
      } catch (error) {
        if (isErrno(error, 'ENOSPC'))
          throw new Error(`the disk is full; ${path} keeps its former content`, {cause: error});
        throw error;
      }
    },
  };
}
