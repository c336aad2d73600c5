import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

/** `branchtab release`: lets jobs of a preview run that its policy holds. */
export async function release(
  branch: string,
  job: string | undefined,
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const released = await client.release(branch, job ?? null);
  if (flags.json) terminal.out(`${JSON.stringify(released)}\n`);
  else {
    const what = job === undefined ? 'all its jobs' : printable(job);
    terminal.out(`${printable(released.branch)}: ${what} may run.\n`);
  }
  return exitCodes.ok;
}
