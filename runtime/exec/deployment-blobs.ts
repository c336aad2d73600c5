import {createHash, randomBytes} from 'node:crypto';
import {dirname, join} from 'node:path';
import type {Deployment} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import {isErrno} from '../platform/durable-file.ts';
import {mkdir, readFile, rename, rm, writeFile} from '../platform/files.ts';
import {shareFile} from '../platform/shared-file.ts';

interface Directory {
  readonly directory: string;
  readonly files: readonly {readonly path: string; readonly sha256: string}[];
}

const maxFileBytes = 8 * 1024 * 1024;
/** Files in hand at once: bounds memory and open files. */
const filesAtOnce = 16;

/** The contents a deployment is made of: those that were sent, and those of the versions that are here. */
export function openBlobs(contents: Deployment['contents'], known: readonly Directory[]) {
  const places = new Map<string, string>();
  for (const {directory, files} of known.toReversed()) {
    for (const {path, sha256} of files) places.set(sha256, join(directory, path));
  }

  /** A script may have been changed behind our back; then its hash is not one we have. */
  async function isIntact(place: string, sha256: string): Promise<boolean> {
    try {
      return sha256Of(await readFile(place)) === sha256;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    }
  }

  async function missingOf(hashes: readonly string[]): Promise<string[]> {
    const missing: string[] = [];
    await forEachAtOnce(hashes, async (sha256) => {
      const place = places.get(sha256);
      if (contents[sha256] !== undefined) return;
      if (place === undefined || !(await isIntact(place, sha256))) missing.push(sha256);
    });
    return missing.sort();
  }

  return {
    /**
     * Makes `directory` hold exactly `files`, or leaves it as it was. What did not change is a second name of
     * the file that is here. Throws BLOBS_MISSING with `details.missing`, PAYLOAD_TOO_LARGE, INVALID_BODY.
     */
    async write(directory: string, files: Directory['files']): Promise<void> {
      const missing = await missingOf([...new Set(files.map(({sha256}) => sha256))]);
      if (missing.length > 0) {
        throw new AppError(
          'BLOBS_MISSING',
          `${missing.length} contents are not known here. Send them in \`contents\`.`,
          {details: {missing}},
        );
      }
      const temporary = `${directory}.${randomBytes(6).toString('hex')}.tmp`;
      try {
        await mkdir(temporary, {mode: 0o700});
        for (const parent of new Set(files.map(({path}) => dirname(path))))
          await mkdir(join(temporary, parent), {recursive: true});
        await forEachAtOnce(files, async ({path, sha256}) => {
          const sent = contents[sha256];
          const place = places.get(sha256) ?? '';
          if (sent === undefined) await shareFile(place, join(temporary, path));
          else await writeFile(join(temporary, path), verified(sent, sha256), {flush: true, mode: 0o444});
        });
        await rm(directory, {recursive: true, force: true});
        await rename(temporary, directory);
      } catch (error) {
        await rm(temporary, {recursive: true, force: true});
        throw error;
      }
    },
  };
}

function verified(base64: string, sha256: string): Uint8Array {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.byteLength > maxFileBytes) {
    throw new AppError(
      'PAYLOAD_TOO_LARGE',
      `A script is larger than ${maxFileBytes} bytes. Keep data out of .hoody/exec.`,
    );
  }
  if (sha256Of(bytes) !== sha256)
    throw new AppError('INVALID_BODY', `\`contents\` of ${sha256} has another SHA-256.`);
  return bytes;
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function forEachAtOnce<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await act(item);
  };
  await Promise.all(Array.from({length: Math.min(filesAtOnce, items.length)}, worker));
}
