import {randomBytes} from 'node:crypto';
import {open, readFile, rename, rm} from 'node:fs/promises';
import {dirname} from 'node:path';

/**
 * Replaces `path` so that after a crash it holds either the old or the new bytes, never a mixture:
 * temporary file in the same directory, fsync, rename, fsync of the directory. `modifiedMs`, epoch ms, is the
 * time of modification that the new bytes have from the first; the present one unless given.
 * Throws the file system's error (ENOSPC, EACCES, ...) and leaves the old file as it was.
 */
export async function writeFileDurably(
  path: string,
  data: string | Uint8Array,
  {mode = 0o600, modifiedMs = null}: {mode?: number; modifiedMs?: number | null} = {},
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(data);
      if (modifiedMs !== null) await file.utimes(modifiedMs / 1000, modifiedMs / 1000);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, {force: true});
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Makes a rename, creation or removal in `directory` survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The file's text, or null when there is none. Other errors are thrown. */
export async function readTextIfPresent(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

/** True where `error` is the system error with this code, for example `ENOENT`. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
