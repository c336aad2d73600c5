import {type CronClient, createCronClient} from '../../api/cron-client.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {branchName, wholeRepository} from '../../schemas/branch-name.ts';
import type {ContainerOperation, CreateContainer} from '../../schemas/container-api.ts';
import {AppError} from '../../schemas/errors.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {withProgress} from '../progress.ts';
import type {Environment} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';
import {followRun} from './jobs.ts';
import {runText} from './logs.ts';

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

type Flags = ConnectionFlags & {json?: boolean};

/** `branchtab containers get`: one container and the addresses of its kits. */
export async function getContainer(
  container: string,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const item = await (await connect(flags, environment)).container(container);
  if (flags.json) {
    terminal.out(`${JSON.stringify(item)}\n`);
    return exitCodes.ok;
  }
  const {paint} = terminal;
  const owner =
    item.branch === null
      ? 'standalone'
      : branchName({branch: item.branch, path: item.path ?? wholeRepository});
  const rows = [
    ['id', item.id],
    ['name', item.name],
    ['branch', printable(owner)],
    ...(item.repository === null ? [] : [['repository', printable(item.repository)]]),
    ['state', item.state],
    ['provider', `${item.provider} (${item.level})`],
    ...Object.entries(item.urls),
  ];
  terminal.out(formatTable(rows.map(([name = '', value = '']) => [paint.bold(name), value])));
  return exitCodes.ok;
}

/** `branchtab containers start|stop|restart`. */
export async function operateContainer(
  container: string,
  operation: ContainerOperation,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const waiting =
    operation === 'start'
      ? `Starting ${printable(container)}...`
      : `Stopping ${printable(container)}; running jobs have \`stop_grace\` to end...`;
  const item = await withProgress(terminal, waiting, client.operateContainer(container, operation));
  terminal.out(flags.json ? `${JSON.stringify(item)}\n` : `${item.id} ${item.state}\n`);
  return exitCodes.ok;
}

/** Throws CONTAINER_UNAVAILABLE for one that is stopped, which would not answer. */
async function cronOf(
  container: string,
  flags: Flags & {user: string},
  environment: Environment,
): Promise<CronClient> {
  const {id, name, state, branch, urls} = await (await connect(flags, environment)).container(container);
  if (state === 'stopped') {
    const advice =
      branch === null ? `\`branchtab containers start ${name}\` starts it.` : '`branchtab status` says why.';
    throw new AppError('CONTAINER_UNAVAILABLE', `${id} is stopped. ${advice}`);
  }
  return createCronClient({url: urls.cron, user: flags.user});
}

/** Long enough for what people run by hand; a forgotten entry goes then. */
const execEntryMs = 24 * 60 * 60_000;

/**
 * `branchtab containers exec`: a command as a job of the container runs, now, with its output as it comes. One word is
 * a line for the shell, several are a program with its arguments.
 */
export async function execInContainer(
  container: string,
  words: readonly string[],
  flags: Flags & {user: string},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const cron = await cronOf(container, flags, environment);
  const id = await cron.create({
    // Never by itself: it is not enabled.
    schedule: '0 0 1 1 *',
    command: commandLine(words),
    enabled: false,
    expires_at: new Date(systemClock.now() + execEntryMs).toISOString(),
  });
  try {
    return await followRun(cron, id, flags, terminal);
  } finally {
    await cron.remove(id);
  }
}

function commandLine(words: readonly string[]): string {
  const [first = ''] = words;
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return words.length === 1 ? first : quoted;
}

/** `branchtab containers logs`: the output of its last runs, oldest first. */
export async function containerLogs(
  container: string,
  flags: Flags & {user: string; limit: string},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const runs = await (await cronOf(container, flags, environment)).runs({limit: flags.limit});
  const finished = runs.filter(({status}) => status !== 'running').reverse();
  for (const run of finished) terminal.out(flags.json ? `${JSON.stringify(run)}\n` : runText(run, terminal));
  if (finished.length === 0) terminal.err('No finished runs yet.\n');
  return exitCodes.ok;
}
