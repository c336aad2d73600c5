import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {hashFiles} from '../../runtime/platform/content-hash.ts';
import {kindOf, listNames, makeDirectory, moveDirectory} from '../../runtime/platform/directories.ts';
import {chmod, lstat} from '../../runtime/platform/files.ts';
import {bundleProgram} from '../../runtime/platform/program-bundle.ts';
import {shareFile} from '../../runtime/platform/shared-file.ts';
import {removeTree} from '../../runtime/platform/tree-removal.ts';

export interface RuntimeSource {
  /** Absolute path of Bun, or of the compiled single file. */
  readonly executable: string;
  /** Changes with the executable: Bun's revision, or the build's. Cheaper than to hash 100 MB at every start. */
  readonly executableRevision: string;
  /** Absolute path of the program's source; null where the executable is the whole program. */
  readonly entry: string | null;
}

export interface InstalledRuntime {
  /** To be followed by `runtime --data ...`. */
  readonly command: string[];
  readonly directory: string;
  /** Hash over what is installed, in hex. */
  readonly version: string;
}

/**
 * Puts what containers run into `<stateDirectory>/bin/<content hash>/`, so that no later change of the
 * checkout or of node_modules reaches a runtime that is up. The same content is installed once; directories
 * of earlier contents stay, since runtimes may still run from them.
 */
export async function installRuntime({
  stateDirectory,
  executable,
  executableRevision,
  entry,
}: RuntimeSource & {readonly stateDirectory: string}): Promise<InstalledRuntime> {
  const bin = join(stateDirectory, 'bin');
  const making = join(bin, `.making-${randomBytes(6).toString('hex')}`);
  await makeDirectory(making, {mode: 0o700});
  try {
    if (entry !== null) await bundleProgram({entry, directory: making});
    const version = (await hashFiles(making, executableRevision)).slice(0, 32);
    const directory = join(bin, version);
    if ((await kindOf(directory)) === null) {
      await shareFile(executable, join(making, executableName(entry)));
      await moveUnlessThere(making, directory);
    }
    await makeReadable(directory);
    return {command: commandIn(directory, entry), directory, version};
  } finally {
    await removeTree(making);
  }
}

/** In a user namespace root is another user, who starts it too. The state directory keeps everybody else away. */
async function makeReadable(directory: string): Promise<void> {
  for (const path of [directory, ...(await listNames(directory)).map((name) => join(directory, name))]) {
    const {mode} = await lstat(path);
    const needed = mode | 0o044 | ((mode & 0o100) === 0 ? 0 : 0o011);
    if (needed !== mode) await chmod(path, needed & 0o7777);
  }
}

/** Another controller that starts from the same checkout may be first; what it put there is the same. */
async function moveUnlessThere(from: string, to: string): Promise<void> {
  try {
    await moveDirectory(from, to);
  } catch (error) {
    if ((await kindOf(to)) !== 'directory') throw error;
  }
}

function executableName(entry: string | null): string {
  return entry === null ? 'branchtab' : 'bun';
}

function commandIn(directory: string, entry: string | null): string[] {
  const executable = join(directory, executableName(entry));
  if (entry === null) return [executable];
  const bundle = `${entry.slice(entry.lastIndexOf('/') + 1).replace(/\.[^.]+$/, '')}.js`;
  // Without files of the working directory: jobs can write where the runtime runs.
  return [executable, '--no-env-file', '--config=/dev/null', join(directory, bundle)];
}
