import {systemClock} from '../../runtime/platform/clock.ts';
import {formatDuration} from '../../schemas/duration.ts';
import type {Run} from '../../schemas/run.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {formatTable, type Paint, printable, type Terminal} from '../terminal.ts';
import {type TimeFlags, timeRange} from '../time-range.ts';

export interface RunsFlags extends ConnectionFlags, TimeFlags {
  readonly job?: string;
  readonly user?: string;
  readonly status?: string;
  readonly limit: string;
  readonly json?: boolean;
}

/** `branchtab runs`: what ran and how it ended, newest first; also of a branch whose container is gone. */
export async function runs(
  branch: string,
  flags: RunsFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const {items, next_cursor} = await client.runs(branch, {
    limit: flags.limit,
    ...timeRange(flags, systemClock.now()),
    ...(flags.job === undefined ? {} : {entry: flags.job}),
    ...(flags.user === undefined ? {} : {user: flags.user}),
    ...(flags.status === undefined ? {} : {status: flags.status}),
  });
  if (flags.json) terminal.out(`${JSON.stringify({items, next_cursor})}\n`);
  else if (items.length === 0) terminal.err(hasRange(flags) ? 'No runs in that time.\n' : 'No runs yet.\n');
  else terminal.out(runTable(items, terminal.paint));
  return exitCodes.ok;
}

function hasRange({on, since, until}: TimeFlags): boolean {
  return [on, since, until].some((each) => each !== undefined);
}

function runTable(items: readonly Run[], paint: Paint): string {
  const heading = ['SCHEDULED', 'JOB', 'STATUS', 'EXIT', 'TOOK', 'COMMAND'].map((text) => paint.bold(text));
  const rows = items.map((run) => [
    run.scheduled_at,
    printable(run.entry_name ?? run.entry_id.slice(0, 8)),
    run.reason === null ? run.status : `${run.status}: ${printable(run.reason)}`,
    run.exit_code === null ? (run.signal ?? '-') : String(run.exit_code),
    run.duration_ms === null ? '-' : formatDuration(run.duration_ms),
    printable(run.command),
  ]);
  return formatTable([heading, ...rows]);
}
