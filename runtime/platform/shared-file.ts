import {constants} from 'node:fs';
import {copyFile, link} from 'node:fs/promises';

/**
 * Puts a file that nobody changes under a second name at no cost: a hard link, else a copy that shares
 * blocks, else a copy. The second name stays when the first is removed or replaced.
 */
export async function shareFile(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch {
    // Another file system, or a kernel that lets only the owner link: a copy serves as well.
    await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  }
}
