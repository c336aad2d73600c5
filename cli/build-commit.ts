import {execFile} from 'node:child_process';
import {access, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';

/** Replaced by the compiler of the single file. */
declare const BRANCHTAB_COMMIT: string | null;

/** Where `npm pack` writes the commit, relative to the package. */
export const packedCommitFile = 'dist/commit';

/**
 * The commit that this program was made from, with `-changed` behind it where files differed; null where nobody
 * wrote it down. `checkout` is null for the single file.
 */
export async function buildCommit(checkout: string | null): Promise<string | null> {
  if (checkout === null) return typeof BRANCHTAB_COMMIT === 'undefined' ? null : BRANCHTAB_COMMIT;
  const isRepository = await access(join(checkout, '.git')).then(
    () => true,
    () => false,
  );
  if (isRepository) return await checkoutCommit(checkout);
  // What `npm pack` wrote; another copy of the source has none.
  return await readFile(join(checkout, packedCommitFile), 'utf8').then(
    (text) => text.trim(),
    () => null,
  );
}

/** Null where `directory` is no checkout of git's, or git is missing: a build works without. */
export async function checkoutCommit(directory: string): Promise<string | null> {
  try {
    const {stdout} = await promisify(execFile)(
      'git',
      [
        '-C',
        directory,
        '-c',
        `safe.directory=${directory}`,
        'describe',
        '--always',
        '--abbrev=40',
        '--exclude=*',
        '--dirty=-changed',
      ],
      {encoding: 'utf8'},
    );
    return stdout.trim();
  } catch {
    return null;
  }
}
