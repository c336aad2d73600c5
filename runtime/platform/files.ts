export {existsSync} from 'node:fs';

/** The file system calls the engines use; they come through here so that what touches the disk can be seen. */
export {
  appendFile,
  chmod,
  copyFile,
  lchown,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
