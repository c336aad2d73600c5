import type {ControllerClient} from '../../api/controller-client.ts';
import type {Run} from '../../schemas/run.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {eventsUntilInterrupt} from '../events.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

export interface LogsFlags extends ConnectionFlags {
  readonly follow?: boolean;
  readonly limit: string;
  readonly json?: boolean;
}

/** `branchtab logs`: the output of runs, oldest first; `-f` goes on with each run that ends. */
export async function logs(
  branch: string,
  job: string | undefined,
  flags: LogsFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const printed = new Set<string>();
  const print = async (limit: string) => {
    const items = await finishedRuns(client, branch, job, limit);
    for (const run of items.reverse()) {
      if (printed.has(run.id)) continue;
      printed.add(run.id);
      terminal.out(flags.json ? `${JSON.stringify(run)}\n` : runText(run, terminal));
    }
  };
  await print(flags.limit);
  if (!flags.follow) {
    if (printed.size === 0) terminal.err('No finished runs yet.\n');
    return exitCodes.ok;
  }
  const {key} = await client.branch(branch);
  for await (const change of eventsUntilInterrupt(client)) {
    if (change.type === 'connected' || (change.key === key && change.type === 'run_finished'))
      await print(flags.limit);
  }
  return exitCodes.ok;
}

async function finishedRuns(
  client: ControllerClient,
  branch: string,
  job: string | undefined,
  limit: string,
): Promise<Run[]> {
  const {items} = await client.runs(branch, {limit, ...(job === undefined ? {} : {entry: job})});
  return items.filter(({status}) => status !== 'running');
}

/** Output keeps its lines; anything that could steer the terminal does not get through. */
export function runText(run: Run, {paint}: Terminal): string {
  const end = run.exit_code === null ? (run.signal ?? run.reason ?? '') : `exit ${run.exit_code}`;
  const head = paint.dim(
    `── ${run.scheduled_at} ${printable(run.entry_name ?? run.entry_id.slice(0, 8))} ${run.status} ${printable(end)}${run.truncated ? ' (output shortened)' : ''}`,
  );
  return [head, printable(run.stdout).trimEnd(), paint.red(printable(run.stderr).trimEnd())]
    .filter((part) => part !== '')
    .join('\n')
    .concat('\n');
}
