import {stat} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {type InstalledRuntime, installRuntime} from '../reconciler/containers/runtime-binary.ts';
import {isSingleFile} from '../runtime/platform/child-process.ts';
import {version} from './version.ts';

/** Installs the runtime that belongs to this program: the single file itself, or a bundle of the checkout beside its Bun. */
export async function installOwnRuntime({
  stateDirectory,
}: {
  stateDirectory: string;
}): Promise<InstalledRuntime> {
  const compiled = isSingleFile(Bun.main);
  return installRuntime({
    stateDirectory,
    executable: process.execPath,
    executableRevision: compiled ? await fileRevision(process.execPath) : `${Bun.revision} ${version}`,
    entry: compiled ? null : fileURLToPath(new URL('../runtime/start.ts', import.meta.url)),
  });
}

/** Two builds of one version are two programs. */
async function fileRevision(path: string): Promise<string> {
  const {size, mtimeMs} = await stat(path);
  return `${version} ${size} ${mtimeMs}`;
}
