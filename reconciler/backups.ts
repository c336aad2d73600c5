import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {kindOf, listNames} from '../runtime/platform/directories.ts';
import {syncDirectory} from '../runtime/platform/durable-file.ts';
import {readBytes, writeStream} from '../runtime/platform/file-streams.ts';
import {mkdir, open, rename, rm, stat} from '../runtime/platform/files.ts';
import type {Backup} from '../schemas/backup.ts';
import {archiveManifestName, type DataManifest, dataManifestSchema} from '../schemas/data-archive.ts';
import {AppError} from '../schemas/errors.ts';
import {isBranchKey} from './branch-key.ts';

/**
 * Archives of data directories, `<directory>/<key>/<id>.tar`. A file has that name only when it is whole and on
 * disk; names with a dot in front are work that a crash may have left.
 */
export interface BackupStore {
  /** Newest first. */
  list(key: string): Promise<Backup[]>;
  /** Writes what `archive` gives, checks that it is whole, and removes the oldest beyond `keep`. */
  save(
    key: string,
    archive: AsyncIterable<Uint8Array>,
    options: {nowMs: number; keep: number},
  ): Promise<Backup>;
  /** Throws BACKUP_NOT_FOUND. */
  read(key: string, id: string): Promise<AsyncIterable<Uint8Array>>;
}

const workPrefix = '.making-';
const idPattern = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z$/;
/** The manifest and the end of an archive are shorter than this. */
const mostTailBytes = 128 * 1024;
const blockBytes = 512;

export function openBackupStore({directory}: {directory: string}): BackupStore {
  const directoryOf = (key: string) => {
    if (isBranchKey(key)) return join(directory, key);
    throw new AppError('BACKUP_NOT_FOUND', `${JSON.stringify(key.slice(0, 60))} is not the key of a branch.`);
  };

  const list = async (key: string): Promise<Backup[]> => {
    const ids = (await listNames(directoryOf(key)))
      .filter((name) => name.endsWith('.tar') && idPattern.test(name.slice(0, -'.tar'.length)))
      .map((name) => name.slice(0, -'.tar'.length))
      .sort()
      .reverse();
    const found = await Promise.all(
      ids.map((id) =>
        describe(join(directoryOf(key), `${id}.tar`), id).catch((error: unknown) => {
          // One that the disk has damaged since is no backup any more; it must not hide the others.
          if (error instanceof AppError) return null;
          throw error;
        }),
      ),
    );
    return found.filter((backup) => backup !== null);
  };

  return {
    list,
    async save(key, archive, {nowMs, keep}) {
      const ofBranch = directoryOf(key);
      await mkdir(ofBranch, {recursive: true, mode: 0o700});
      for (const name of await listNames(ofBranch))
        if (name.startsWith(workPrefix)) await rm(join(ofBranch, name), {force: true});
      const making = join(ofBranch, `${workPrefix}${randomBytes(6).toString('hex')}`);
      const id = new Date(nowMs).toISOString().replace(/[-:.]/g, '');
      try {
        await writeStream(making, archive, {mode: 0o600});
        // A connection that ended early must not pass for an archive that did.
        await readManifest(making);
        await rename(making, join(ofBranch, `${id}.tar`));
      } catch (error) {
        await rm(making, {force: true});
        throw error;
      }
      await syncDirectory(ofBranch);
      const all = await list(key);
      for (const old of all.slice(keep)) await rm(join(ofBranch, `${old.id}.tar`), {force: true});
      return describe(join(ofBranch, `${id}.tar`), id);
    },
    async read(key, id) {
      const path = join(directoryOf(key), `${id}.tar`);
      if (!idPattern.test(id) || (await kindOf(path)) !== 'file') {
        throw new AppError(
          'BACKUP_NOT_FOUND',
          `There is no backup ${JSON.stringify(id.slice(0, 60))}; \`branchtab data list\` shows them.`,
        );
      }
      return readBytes(path, {first: 0, last: (await stat(path)).size - 1});
    },
  };
}

async function describe(path: string, id: string): Promise<Backup> {
  const {files, databases, uncertain} = await readManifest(path);
  const [, year, month, day, hour, minute, second, ms] = idPattern.exec(id) ?? [];
  return {
    id,
    created_at: `${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`,
    bytes: (await stat(path)).size,
    files,
    databases,
    uncertain,
  };
}

/** What the archive says of itself at its end. Throws BACKEND_ERROR where it is not whole. */
async function readManifest(path: string): Promise<DataManifest> {
  const {size} = await stat(path);
  const start = Math.max(0, size - mostTailBytes);
  const tail = Buffer.alloc(size - start);
  const file = await open(path, 'r');
  try {
    await file.read(tail, 0, tail.length, start);
  } finally {
    await file.close();
  }
  // Blocks begin at multiples of their size from the beginning of the file.
  for (let at = tail.length - (size % blockBytes) - 2 * blockBytes; at >= 0; at -= blockBytes) {
    if (!tail.toString('latin1', at, at + 100).startsWith(`${archiveManifestName}\0`)) continue;
    const bytes = Number.parseInt(tail.toString('latin1', at + 124, at + 135), 8);
    const manifest = parseManifest(tail.toString('utf8', at + blockBytes, at + blockBytes + bytes));
    const endsThere =
      at + blockBytes + Math.ceil(bytes / blockBytes) * blockBytes + 2 * blockBytes === tail.length;
    if (manifest?.archive_bytes === start + at && endsThere) return manifest;
  }
  throw new AppError(
    'BACKEND_ERROR',
    'The archive of the data directory is not whole; nothing was kept of it.',
  );
}

function parseManifest(text: string): DataManifest | null {
  try {
    return dataManifestSchema.parse(JSON.parse(text));
  } catch {
    // A file that looks like one: the caller looks further.
    return null;
  }
}
