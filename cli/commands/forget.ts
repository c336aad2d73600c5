import {AppError} from '../../schemas/errors.ts';
import {isConfirmed} from '../confirmation.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

/** `branchtab forget`: removes a container whose branch git has lost, the live branch's too, with all its data. */
export async function forget(
  name: string,
  flags: ConnectionFlags & {json?: boolean; yes?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const {key, branch, container} = await client.branch(name);
  if (!flags.yes) {
    if (!process.stdin.isTTY)
      throw new AppError('CONFIG_INVALID', 'forget removes data for good: confirm it with --yes.');
    terminal.err(
      `This removes ${printable(branch)} and its container ${container?.id ?? '(none)'} with all data.\n`,
    );
    if (!(await isConfirmed('forget'))) return exitCodes.failed;
  }
  await client.forget(key);
  if (flags.json) terminal.out(`${JSON.stringify({key, branch})}\n`);
  else terminal.out(`${printable(branch)} is forgotten; its runs stay: branchtab runs ${key}\n`);
  return exitCodes.ok;
}
