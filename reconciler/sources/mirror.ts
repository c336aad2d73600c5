import {basename, join} from 'node:path';
import {makeDirectory} from '../../runtime/platform/directories.ts';
import {filesBelow} from '../../runtime/platform/directory-tree.ts';
import {writeFileDurably} from '../../runtime/platform/durable-file.ts';
import {rm} from '../../runtime/platform/files.ts';
import type {Git} from '../../runtime/platform/git-process.ts';
import {listRefs} from './branch-list.ts';
import {unreadable} from './unreadable.ts';

/** The whole configuration of a mirror. It names no remote: the commands that speak to one are told which. */
function mirrorConfiguration(objectFormat: 'sha1' | 'sha256'): string {
  return [
    '[core]',
    `\trepositoryFormatVersion = ${objectFormat === 'sha256' ? 1 : 0}`,
    '\tbare = true',
    '\thooksPath = /dev/null',
    '\tfsmonitor = false',
    '\tlogAllRefUpdates = false',
    ...(objectFormat === 'sha256' ? ['[extensions]', '\tobjectFormat = sha256'] : []),
    '[protocol]',
    '\tversion = 2',
    '[gc]',
    // Nothing may go on in the mirror after a fetch has ended.
    '\tautoDetach = false',
    '',
  ].join('\n');
}

/** Makes the mirror where there is none; a mirror that exists keeps its objects. */
export async function prepareMirror(
  git: Git,
  {repository, directory, objectFormat, signal}: PrepareOptions,
): Promise<void> {
  const options = [
    '--bare',
    '--quiet',
    '--template=',
    '--initial-branch=main',
    `--object-format=${objectFormat}`,
  ];
  const {exitCode, stderr} = await git.run(['init', ...options], {signal});
  if (exitCode !== 0) throw unreadable(repository, `making its mirror ${directory}`, stderr);
  await writeFileDurably(join(directory, 'config'), mirrorConfiguration(objectFormat));
  await removeLeftovers(directory);
  try {
    await listRefs(git, {repository, patterns: ['refs/heads'], signal});
  } catch {
    if (signal.aborted) throw signal.reason;
    // A power cut can leave half a ref. The remote has them all, and the objects are here still.
    await rm(join(directory, 'packed-refs'), {force: true});
    await rm(join(directory, 'refs'), {recursive: true, force: true});
    await makeDirectory(join(directory, 'refs', 'heads'), {mode: 0o700});
  }
}

export interface PrepareOptions {
  readonly repository: string;
  readonly directory: string;
  readonly objectFormat: 'sha1' | 'sha256';
  readonly signal: AbortSignal;
}

/** What a killed fetch leaves: locks that stop the next one, and packs that nobody will ever read. */
export async function removeLeftovers(directory: string): Promise<void> {
  const files = await filesBelow(directory);
  const leftovers = files.filter((file) => file.endsWith('.lock') || basename(file).startsWith('tmp_'));
  for (const file of leftovers) await rm(file, {force: true});
}
