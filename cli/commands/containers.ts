import {branchName, wholeRepository} from '../../schemas/branch-name.ts';
import type {CreateContainer} from '../../schemas/container-api.ts';
import {AppError} from '../../schemas/errors.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {withProgress} from '../progress.ts';
import type {Environment} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';

/** `branchtab containers list`: the containers with the addresses of their kits. */
export async function listContainers(
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const items = await client.containers();
  if (flags.json) terminal.out(`${JSON.stringify({items})}\n`);
  else if (items.length === 0) terminal.err('No containers.\n');
  else {
    const heading = ['ID', 'BRANCH', 'STATE', 'PROVIDER', 'CRON'].map((text) => terminal.paint.bold(text));
    const rows = items.map(({id, name, branch, path, state, provider, level, urls}) => [
      id,
      branch === null
        ? terminal.paint.dim(`standalone (${name})`)
        : printable(branchName({branch, path: path ?? wholeRepository})),
      state,
      `${provider} (${level})`,
      urls.cron,
    ]);
    terminal.out(formatTable([heading, ...rows]));
  }
  return exitCodes.ok;
}

export interface CreateFlags extends ConnectionFlags, Pick<CreateContainer, 'from' | 'name'> {
  readonly withData?: boolean;
  readonly json?: boolean;
}

/** `branchtab containers create`: prints the id of a new standalone container and nothing else, for `$(...)`. */
export async function createContainer(
  {from, name, withData = false, ...flags}: CreateFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  if (withData && from === undefined)
    throw new AppError('CONFIG_INVALID', '--with-data takes the data of a snapshot; name one with --from.');
  const client = await connect(flags, environment);
  const request = {
    ...(from === undefined ? {} : {from}),
    ...(name === undefined ? {} : {name}),
    data: withData ? ('copy' as const) : ('empty' as const),
  };
  const what = from === undefined ? 'Creating a container' : `Creating a container from ${printable(from)}`;
  const container = await withProgress(terminal, `${what}...`, client.createContainer(request));
  terminal.out(`${flags.json ? JSON.stringify(container) : container.id}\n`);
  return exitCodes.ok;
}

/** `branchtab containers delete`: nothing of it is left when this returns. */
export async function deleteContainer(
  container: string,
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const waiting = `Deleting ${printable(container)}; running jobs have \`stop_grace\` to end...`;
  await withProgress(terminal, waiting, client.deleteContainer(container));
  terminal.out(flags.json ? `${JSON.stringify({deleted: true})}\n` : `Deleted ${printable(container)}.\n`);
  return exitCodes.ok;
}
