import {constants} from 'node:fs';
import {chmod, copyFile, lchown, lstat, lutimes, mkdir, readdir, readlink, symlink} from 'node:fs/promises';
import {join} from 'node:path';

/**
 * Copies what is below `source` into the existing directory `target`, sharing blocks where the file system
 * can. Keeps modes, times, symbolic links as they are and, for root, owners; leaves out sockets, fifos and
 * devices. Follows no link. The source must stand still meanwhile.
 */
export async function copyTree(source: string, target: string): Promise<void> {
  for (const name of await readdir(source)) await copyNode(join(source, name), join(target, name));
  await copyAttributes(source, target);
}

async function copyNode(source: string, target: string): Promise<void> {
  const stats = await lstat(source);
  if (stats.isSymbolicLink()) {
    await symlink(await readlink(source), target);
    if (process.getuid?.() === 0) await lchown(target, stats.uid, stats.gid);
    await lutimes(target, stats.atime, stats.mtime);
  } else if (stats.isDirectory()) {
    await mkdir(target, {mode: 0o700});
    await copyTree(source, target);
  } else if (stats.isFile()) {
    await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    await copyAttributes(source, target);
  }
}

async function copyAttributes(source: string, target: string): Promise<void> {
  const stats = await lstat(source);
  if (process.getuid?.() === 0) await lchown(target, stats.uid, stats.gid);
  // After the owner, because a change of owner clears the set-id bits.
  await chmod(target, stats.mode & 0o7777);
  await lutimes(target, stats.atime, stats.mtime);
}
