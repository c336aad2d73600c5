import {fileURLToPath} from 'node:url';
import {type InstalledRuntime, installRuntime} from '../reconciler/containers/process/runtime-binary.ts';
import {version} from './version.ts';

/** True in the compiled single file: its modules live in a file system of their own. */
const isSingleFile = import.meta.path.startsWith('/$bunfs/');

/** Installs the runtime that belongs to this program: the single file itself, or a bundle of the checkout beside its Bun. */
export function installOwnRuntime({stateDirectory}: {stateDirectory: string}): Promise<InstalledRuntime> {
  return installRuntime({
    stateDirectory,
    executable: process.execPath,
    executableRevision: `${Bun.revision} ${version}`,
    entry: isSingleFile ? null : fileURLToPath(new URL('../runtime/main.ts', import.meta.url)),
  });
}
