import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import type {Terminal} from '../terminal.ts';

/** `branchtab adopt`: takes over containers that are here although the controller knows nothing of them. */
export async function adopt(
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const {adopted} = await client.adopt();
  if (flags.json) terminal.out(`${JSON.stringify({adopted})}\n`);
  else
    terminal.out(
      adopted === 0 ? 'No container waits to be adopted.\n' : `Adopted ${adopted} container(s).\n`,
    );
  return exitCodes.ok;
}
