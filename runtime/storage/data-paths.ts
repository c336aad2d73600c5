import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import {dataPathSchema} from '../../schemas/storage-api.ts';
import {kindOf} from '../platform/directories.ts';

/** What is at a path below the data directory. */
export interface DataPlace {
  /** Absolute. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'absent';
}

/**
 * Finds a place below `root`. No link is followed, at no place of the path, so that what a job links to stays out of
 * reach. Throws INVALID_QUERY for what is no such path, FILE_NOT_PLAIN for links, sockets and the like.
 */
export async function findPlace(root: string, path: string): Promise<DataPlace> {
  if (path === '') return {path: root, kind: 'directory'};
  const parsed = dataPathSchema.safeParse(path);
  if (!parsed.success)
    throw new AppError('INVALID_QUERY', parsed.error.issues[0]?.message ?? 'The path is not valid.');
  const names = path.split('/');
  for (const [index] of names.entries()) {
    const part = join(root, ...names.slice(0, index + 1));
    const kind = await kindOf(part);
    const isLast = index === names.length - 1;
    if (kind === null) return {path: join(root, path), kind: 'absent'};
    if (kind === 'directory') continue;
    if (kind === 'file' && isLast) return {path: part, kind: 'file'};
    throw new AppError(
      'FILE_NOT_PLAIN',
      `${names.slice(0, index + 1).join('/')} is ${kind === 'file' ? 'a file, not a directory' : 'neither a file nor a directory'}. Links are not followed.`,
    );
  }
  return {path: join(root, path), kind: 'directory'};
}
