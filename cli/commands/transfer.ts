import {createWriteStream} from 'node:fs';
import {readFile, rename, rm} from 'node:fs/promises';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {exportState, importState} from '../../reconciler/state-export.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {isErrno} from '../../runtime/platform/durable-file.ts';
import {AppError} from '../../schemas/errors.ts';
import {lockState} from '../controller-process.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {type Environment, readSettings, type SettingsFlags} from '../settings.ts';
import type {Terminal} from '../terminal.ts';
import {version} from '../version.ts';

type Flags = Pick<SettingsFlags, 'repo' | 'state' | 'config'> & {json?: boolean};

/** `branchtab export`: what the controller knows, to a file or stdout. The controller may run meanwhile. */
export async function exportToFile(
  file: string | undefined,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const {stateDirectory} = await readSettings(flags, environment);
  const unreadable: string[] = [];
  const lines = exportState(stateDirectory, {
    now: new Date(systemClock.now()).toISOString(),
    version,
    onUnreadable: (path) => unreadable.push(path),
  });
  if (file === undefined) for await (const line of lines) terminal.out(line);
  else {
    // Under its name it is whole.
    const part = `${file}.part`;
    try {
      await pipeline(Readable.from(lines), createWriteStream(part, {mode: 0o600, flush: true}));
      await rename(part, file);
    } catch (error) {
      await rm(part, {force: true});
      throw error;
    }
    if (flags.json) terminal.out(`${JSON.stringify({file, unreadable})}\n`);
    else terminal.err(`Exported ${stateDirectory} to ${file}.\n`);
  }
  for (const path of unreadable) terminal.err(`${path} cannot be read and is left out.\n`);
  return unreadable.length === 0 ? exitCodes.ok : exitCodes.failed;
}

/** `branchtab import`: an export, from a file or stdin, into a state directory without branches and without a controller. */
export async function importFromFile(
  file: string,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const {stateDirectory} = await readSettings(flags, environment);
  const text = await readExport(file);
  const lock = await lockState(stateDirectory);
  try {
    const imported = await importState(text, stateDirectory);
    if (flags.json) terminal.out(`${JSON.stringify(imported)}\n`);
    else
      terminal.out(
        `Imported ${imported.branches} branch(es) of ${imported.exportedAt} into ${stateDirectory}. Start with: branchtab up\n`,
      );
    return exitCodes.ok;
  } finally {
    lock.release();
  }
}

async function readExport(file: string): Promise<string> {
  try {
    return await readFile(file === '-' ? '/dev/stdin' : file, 'utf8');
  } catch (error) {
    if (!isErrno(error, 'ENOENT') && !isErrno(error, 'EISDIR') && !isErrno(error, 'EACCES')) throw error;
    throw new AppError(
      'CONFIG_INVALID',
      `${file} cannot be read: ${error instanceof Error ? error.message : ''}`,
      {
        cause: error,
      },
    );
  }
}
