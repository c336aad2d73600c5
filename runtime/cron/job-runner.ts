import type {ControlEvent} from '../../schemas/control.ts';
import type {Clock} from '../platform/clock.ts';
import {type JobEnd, type JobProcess, type JobResult, startJob} from '../platform/job-process.ts';
import type {Log} from '../platform/log.ts';
import type {Entry} from './entry.ts';
import type {RunClaim, RunResult, RunStore} from './run-store.ts';
import type {CronUser, CronUsers} from './users.ts';

export interface JobRunner {
  readonly running: number;
  /** Starts a claimed run and returns at once; the record tells how it ended. */
  start(entry: Entry, claim: RunClaim, variables: Readonly<Record<string, string>>): void;
  /** TERM to every job, KILL to what is left after `graceMs`; the runs become `interrupted` with `reason`. */
  stop(options: {graceMs: number; reason: string}): Promise<void>;
}

interface ActiveRun {
  /** null until the process was started. */
  process: JobProcess | null;
  ended: Promise<void>;
}

/** Kept of the beginning and again of the end of each output. */
const keptBytes = 32 * 1024;

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function createJobRunner({
  clock,
  log,
  runs,
  users,
  dataDirectory,
  shell,
  emit,
  onFinished,
}: {
  clock: Clock;
  log: Log;
  runs: RunStore;
  users: CronUsers;
  dataDirectory: string;
  shell: string;
  emit: (event: ControlEvent) => void;
  onFinished: (claim: RunClaim, result: RunResult) => void;
}): JobRunner {
  const active = new Set<ActiveRun>();
  let stopReason: string | null = null;

  async function perform(
    run: ActiveRun,
    entry: Entry,
    claim: RunClaim,
    variables: Readonly<Record<string, string>>,
  ) {
    let result: RunResult;
    try {
      const user = await users.find(entry.user);
      if (stopReason === null) {
        runs.started(claim.id, clock.now());
        emit({type: 'run_started', run_id: claim.id, entry_id: entry.id});
        run.process = startJob(jobRequest(entry, user, {dataDirectory, shell, variables}));
        result = toRunResult(await run.process.ended, stopReason, clock.now());
      } else result = notStarted('interrupted', stopReason, clock.now());
    } catch (error) {
      log.error('a run could not start', {error, entry_id: entry.id, user: entry.user});
      const message = error instanceof Error ? error.message : String(error);
      result = notStarted('failed', `failed_to_start: ${message}`, clock.now());
    }
    try {
      runs.finished(claim.id, result);
    } catch (error) {
      // The record stays `running` and the next start of the runtime makes it `interrupted`.
      log.error('the end of a run could not be written', {error, run_id: claim.id, status: result.status});
    }
    active.delete(run);
    onFinished(claim, result);
    emit({type: 'run_finished', run_id: claim.id, entry_id: entry.id, status: result.status});
  }

  return {
    get running() {
      return active.size;
    },
    start(entry, claim, variables) {
      const run: ActiveRun = {process: null, ended: Promise.resolve()};
      active.add(run);
      run.ended = perform(run, entry, claim, variables);
    },
    async stop({graceMs, reason}) {
      stopReason = reason;
      const allEnded = Promise.all([...active].map(({ended}) => ended));
      for (const {process} of active) process?.signal('SIGTERM');
      const graceOver = new AbortController();
      // Rejects only when all jobs ended first and the sleep is no longer needed.
      const grace = clock.sleep(graceMs, {signal: graceOver.signal}).catch(() => {});
      await Promise.race([allEnded, grace]);
      graceOver.abort();
      for (const {process} of active) process?.signal('SIGKILL');
      await allEnded;
    },
  };
}

/** The environment is the container's, then what cron sets, then the lines of the crontab; the user's name is fixed. */
function jobRequest(
  {job}: Entry,
  {name, account}: CronUser,
  options: {dataDirectory: string; shell: string; variables: Readonly<Record<string, string>>},
) {
  const {dataDirectory, shell, variables} = options;
  const environment = {
    PATH: defaultPath,
    ...variables,
    HOME: dataDirectory,
    SHELL: shell,
    ...job.environment,
    LOGNAME: name,
    USER: name,
  };
  return {
    command: [environment.SHELL || shell, '-c', job.command] as const,
    directory: environment.HOME || dataDirectory,
    environment,
    stdin: job.stdin,
    identity: account,
    keptBytes,
  };
}

function toRunResult(
  {end, stdout, stderr}: JobResult,
  stopReason: string | null,
  finishedMs: number,
): RunResult {
  return {
    ...outcome(end, stopReason),
    finishedMs,
    exitCode: end.kind === 'exited' ? end.code : null,
    signal: end.kind === 'signalled' ? end.signal : null,
    stdout: stdout.text,
    stderr: stderr.text,
    truncated: stdout.truncated || stderr.truncated,
  };
}

function outcome(end: JobEnd, stopReason: string | null): Pick<RunResult, 'status' | 'reason'> {
  if (stopReason !== null) return {status: 'interrupted', reason: stopReason};
  if (end.kind === 'failed_to_start') return {status: 'failed', reason: `failed_to_start: ${end.message}`};
  const succeeded = end.kind === 'exited' && end.code === 0;
  return {status: succeeded ? 'succeeded' : 'failed', reason: null};
}

function notStarted(status: 'failed' | 'interrupted', reason: string, finishedMs: number): RunResult {
  return {status, reason, finishedMs, exitCode: null, signal: null, stdout: '', stderr: '', truncated: false};
}
