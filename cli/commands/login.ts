import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import type {Terminal} from '../terminal.ts';

/** `branchtab login`: a link that opens the controller's pages in one browser. */
export async function login(
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const url = await client.createLoginLink();
  terminal.out(flags.json ? `${JSON.stringify({url})}\n` : `${url}\n`);
  return exitCodes.ok;
}
