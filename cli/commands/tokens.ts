import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';

type Flags = ConnectionFlags & {json?: boolean};

/** `branchtab tokens create`: prints the token alone, once. */
export async function createToken(
  user: string,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const created = await (await connect(flags, environment)).createToken(user);
  terminal.out(`${flags.json ? JSON.stringify(created) : created.token}\n`);
  if (!flags.json)
    terminal.err(
      `${created.id} opens the crontab of ${printable(user)} in every container. It is not shown again.\n`,
    );
  return exitCodes.ok;
}

/** `branchtab tokens list`. */
export async function listTokens(
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const items = await (await connect(flags, environment)).tokens();
  if (flags.json) terminal.out(`${JSON.stringify({items})}\n`);
  else if (items.length === 0) terminal.err('No tokens of users.\n');
  else {
    const heading = ['TOKEN', 'USER', 'CREATED'].map((text) => terminal.paint.bold(text));
    terminal.out(
      formatTable([heading, ...items.map(({id, user, created_at}) => [id, printable(user), created_at])]),
    );
  }
  return exitCodes.ok;
}

/** `branchtab tokens revoke`. */
export async function revokeToken(
  id: string,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  await (await connect(flags, environment)).revokeToken(id);
  terminal.out(
    flags.json ? `${JSON.stringify({deleted: true})}\n` : `${printable(id)} opens nothing any more.\n`,
  );
  return exitCodes.ok;
}
