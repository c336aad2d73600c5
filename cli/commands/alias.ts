import {writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {ownCommand} from '../../runtime/platform/child-process.ts';
import {isErrno} from '../../runtime/platform/durable-file.ts';
import {AppError} from '../../schemas/errors.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Terminal} from '../terminal.ts';

/**
 * `branchtab alias`: this program under another name. It prints a function for `eval` and changes nothing; with a
 * directory it writes a small script there, and never over a file that is there.
 */
export async function makeAlias(
  name: string,
  {directory}: {directory?: string},
  terminal: Terminal,
): Promise<ExitCode> {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,31}$/.test(name)) {
    throw new AppError(
      'INVALID_NAME',
      `${JSON.stringify(name.slice(0, 40))} cannot be a command. Use at most 32 letters, digits and "_", no digit in front.`,
    );
  }
  const command = ownCommand(Bun.main)
    .map((word) => `'${word.replaceAll("'", "'\\''")}'`)
    .join(' ');
  if (directory === undefined) {
    terminal.out(`${name}() { ${command} "$@"; }\n`);
    return exitCodes.ok;
  }
  const path = join(resolve(directory), name);
  try {
    await writeFile(path, `#!/bin/sh\nexec ${command} "$@"\n`, {mode: 0o755, flag: 'wx'});
  } catch (error) {
    if (isErrno(error, 'EEXIST'))
      throw new AppError('NAME_TAKEN', `There is a file ${path} already. Remove it or choose another name.`);
    throw new AppError(
      'CONFIG_INVALID',
      `${path} cannot be written: ${error instanceof Error ? error.message : error}. Choose another --directory.`,
      {cause: error},
    );
  }
  terminal.out(`${path}\n`);
  return exitCodes.ok;
}
