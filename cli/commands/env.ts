import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';

/** `branchtab env`: the names that the operator binds for a branch, and where their values come from. */
export async function showEnvironment(
  branch: string,
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const items = await client.environment(branch);
  if (flags.json) terminal.out(`${JSON.stringify({items})}\n`);
  else if (items.length === 0) terminal.err('The configuration binds nothing for this branch.\n');
  else {
    const heading = ['NAME', 'KIND', 'SOURCE', 'BOUND BY'].map((text) => terminal.paint.bold(text));
    const rows = items.map(({name, kind, source, place}) => [
      name,
      kind,
      printable(source ?? 'configuration'),
      printable(place),
    ]);
    terminal.out(formatTable([heading, ...rows]));
  }
  return exitCodes.ok;
}
