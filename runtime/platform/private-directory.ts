import {lstat, mkdir} from 'node:fs/promises';
import {AppError} from '../../schemas/errors.ts';

/**
 * Makes `path` (parents included) readable for us alone and proves that nobody else prepared it, which
 * matters below shared directories such as /tmp. Throws PROVIDER_UNAVAILABLE.
 */
export async function ensurePrivateDirectory(path: string): Promise<void> {
  await mkdir(path, {recursive: true, mode: 0o700});
  const stats = await lstat(path);
  const ownedByUs = stats.uid === process.getuid?.();
  if (!stats.isDirectory() || !ownedByUs || (stats.mode & 0o077) !== 0) {
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `${path} must be a directory that only this user can use. Give it owner ${process.getuid?.()} and mode 0700, or choose another place.`,
    );
  }
}
