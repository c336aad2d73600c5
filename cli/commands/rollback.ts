import {AppError} from '../../schemas/errors.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

/** `branchtab rollback`: an older commit runs until one newer than the bad one arrives; `--undo` ends that. */
export async function rollback(
  branch: string,
  flags: ConnectionFlags & {to?: string; reason?: string; undo?: boolean; json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  if (flags.undo && (flags.to !== undefined || flags.reason !== undefined))
    throw new AppError('CONFIG_INVALID', 'With --undo the newest commit runs; leave out --to and --reason.');
  const client = await connect(flags, environment);
  const changed = flags.undo
    ? await client.undoRollback(branch)
    : await client.rollback(branch, {to: flags.to ?? null, reason: flags.reason ?? null});
  if (flags.json) terminal.out(`${JSON.stringify(changed)}\n`);
  else {
    const ready = changed.conditions.find(({type}) => type === 'Ready');
    terminal.out(`${printable(changed.branch)}: ${printable(ready?.message ?? '')}\n`);
  }
  return exitCodes.ok;
}
