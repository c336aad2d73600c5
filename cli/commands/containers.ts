import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';

/** `branchtab containers list`: the containers with the addresses of their kits. */
export async function listContainers(
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const items = (await client.branches()).flatMap(({container, branch, repository}) =>
    container === null ? [] : [{...container, branch, repository}],
  );
  if (flags.json) terminal.out(`${JSON.stringify({items})}\n`);
  else if (items.length === 0) terminal.err('No containers.\n');
  else {
    const heading = ['ID', 'BRANCH', 'STATE', 'PROVIDER', 'CRON'].map((text) => terminal.paint.bold(text));
    const rows = items.map(({id, branch, state, provider, level, urls}) => [
      id,
      printable(branch),
      state,
      `${provider} (${level})`,
      urls.cron,
    ]);
    terminal.out(formatTable([heading, ...rows]));
  }
  return exitCodes.ok;
}
