import type {ControlEvent} from '../../schemas/control-state.ts';
import {type Clock, nextTurn} from '../platform/clock.ts';
import {type JobEnd, type JobProcess, type OutputStream, startJob} from '../platform/job-process.ts';
import type {Log} from '../platform/log.ts';
import type {SecretMask} from '../platform/secret-mask.ts';
import {type Entry, isExpired} from './entry.ts';
import {jobRequest} from './job-request.ts';
import type {JobLimits} from './run-limits.ts';
import type {RunRecorder} from './run-recorder.ts';
import type {RunClaim, RunResult, RunStore} from './run-store.ts';
import type {CronUsers} from './users.ts';

export interface JobRunner {
  /** Runs that go on or are about to begin. */
  readonly running: number;
  isRunning(entryId: string): boolean;
  /** True where the run goes on as this system user. */
  isRunOf(id: string, userId: number): boolean;
  /** Starts a claimed run soon and returns at once; the record tells how it ended. */
  start(entry: Entry, claim: RunClaim, given: GivenEnvironment): void;
  /** Calls back with the output of a run from now on, and when it is over. null where it does not go on. */
  follow(id: string, listener: RunListener): (() => void) | null;
  /** TERM to every job, KILL to what is left after `graceMs`; the runs become `interrupted` with `reason`. */
  stop(options: {graceMs: number; reason: string}): Promise<void>;
}

/** What the container gives to a job. */
export interface GivenEnvironment {
  readonly variables: Readonly<Record<string, string>>;
  /** Takes the secrets among the variables out of the output. */
  readonly mask: SecretMask;
}

export interface RunListener {
  output(stream: OutputStream, text: string): void;
  end(): void;
}

/** Why we end a run that would go on. */
interface Ending {
  readonly status: 'timed_out' | 'interrupted';
  readonly reason: string;
}

interface ActiveRun {
  readonly entry: Entry;
  readonly claim: RunClaim;
  readonly given: GivenEnvironment;
  readonly listeners: Set<RunListener>;
  readonly over: PromiseWithResolvers<void>;
  /** null until the process was started. */
  process: JobProcess | null;
  /** Of the system user as which it runs; null for the runtime's own. */
  userId: number | null;
  isListening: boolean;
  ending: Ending | null;
  /** Resolves when no process of a run that we end is left. */
  ended: Promise<void>;
}

/** Tells every process of a run which one it belongs to, and us who calls a script. */
export const runVariable = 'HOODY_RUN_ID';

/** Between TERM and KILL for a run that is over its time or is replaced. */
const killGraceMs = 10_000;

/** Jobs started before everything else has its turn again: a burst of due jobs must not make the service deaf. */
const startsPerTurn = 16;

export function createJobRunner({
  clock,
  log,
  runs,
  recorder,
  users,
  dataDirectory,
  shell,
  emit,
  limits,
  onFinished,
}: {
  clock: Clock;
  log: Log;
  runs: RunStore;
  recorder: RunRecorder;
  users: CronUsers;
  dataDirectory: string;
  shell: string;
  emit: (event: ControlEvent) => void;
  limits: JobLimits;
  /** Called when the record is written. */
  onFinished: (entry: Entry, claim: RunClaim, result: RunResult) => void;
}): JobRunner {
  const active = new Map<string, ActiveRun>();
  const ofEntry = new Map<string, Set<ActiveRun>>();
  let waiting: ActiveRun[] = [];
  let isPumping = false;
  let stopReason: string | null = null;

  async function pump(): Promise<void> {
    if (isPumping) return;
    isPumping = true;
    while (waiting.length > 0) {
      const next = waiting.slice(0, startsPerTurn);
      waiting = waiting.slice(startsPerTurn);
      const nowMs = clock.now();
      try {
        runs.started(
          next.map(({claim}) => claim.id),
          nowMs,
        );
      } catch (error) {
        // The claim stands, so the runs go on; their ends are written with the start.
        log.error('the start of runs could not be written', {error, runs: next.length});
      }
      for (const run of next) void perform(run, nowMs);
      await nextTurn();
    }
    isPumping = false;
  }

  async function perform(run: ActiveRun, startedMs: number): Promise<void> {
    const {entry, claim} = run;
    const result = await carryOut(run, startedMs);
    limits.noteFinished(
      result.startedMs === null ? null : result.finishedMs - result.startedMs,
      result.reason,
    );
    await recorder.finished(claim.id, result);
    active.delete(claim.id);
    ofEntry.get(entry.id)?.delete(run);
    if (ofEntry.get(entry.id)?.size === 0) ofEntry.delete(entry.id);
    run.over.resolve();
    for (const listener of run.listeners) listener.end();
    onFinished(entry, claim, result);
    emit({type: 'run_finished', run_id: claim.id, entry_id: entry.id, status: result.status});
  }

  async function carryOut(run: ActiveRun, startedMs: number): Promise<RunResult> {
    const {entry, claim} = run;
    const overlap = limits.overlapOf(entry.job.options);
    const {timeoutMs, reason: timeReason} = limits.runTimeOf(entry.job.options);
    try {
      if (overlap === 'replace') await replaceOthers(run);
      const user = await users.find(entry.user);
      run.userId = user.account?.uid ?? null;
      if (run.ending !== null) return notStarted(run.ending, clock.now());
      // A burst of due jobs, or one that is slow to be replaced, may have taken the time that was left.
      if (isExpired(entry, clock.now()))
        return notStarted({status: 'skipped', reason: 'expired'}, clock.now());
      // Whoever was waited for has taken its time.
      const reallyStartedMs = overlap === 'replace' ? clock.now() : startedMs;
      emit({type: 'run_started', run_id: claim.id, entry_id: entry.id});
      const variables = {...run.given.variables, [runVariable]: claim.id};
      const given = {...run.given, variables};
      const job = startJob(jobRequest(entry, user, {dataDirectory, shell, given}));
      run.process = job;
      if (run.listeners.size > 0) listen(run, job);
      recorder.watch(claim.id, job);
      const timer = new AbortController();
      if (timeoutMs !== null) {
        clock
          .sleep(timeoutMs, {signal: timer.signal})
          .then(() => end(run, {status: 'timed_out', reason: timeReason}, killGraceMs))
          .catch(() => {
            // The job ended in time.
          });
      }
      const how = await job.ended;
      timer.abort();
      await run.ended;
      await job.drained;
      return {
        ...toResult(how, run.ending, limits.boundsMemory),
        ...job.output(),
        startedMs: reallyStartedMs,
        finishedMs: clock.now(),
      };
    } catch (error) {
      log.error('a run could not start', {error, entry_id: entry.id, user: entry.user});
      const message = error instanceof Error ? error.message : String(error);
      return notStarted({status: 'failed', reason: `failed_to_start: ${message}`}, clock.now());
    }
  }

  /** Output is decoded only where somebody follows it. */
  function listen(run: ActiveRun, job: JobProcess): void {
    if (run.isListening) return;
    run.isListening = true;
    job.onOutput((stream, text) => {
      for (const listener of run.listeners) listener.output(stream, text);
    });
  }

  async function replaceOthers(run: ActiveRun): Promise<void> {
    const others = [...(ofEntry.get(run.entry.id) ?? [])];
    const older = others.slice(0, others.indexOf(run));
    for (const other of older) end(other, {status: 'interrupted', reason: 'replaced'}, killGraceMs);
    await Promise.all(older.map(({over}) => over.promise));
  }

  /** TERM to the group, KILL to what is left of it after the grace. The first reason stays. */
  function end(run: ActiveRun, ending: Ending, graceMs: number): void {
    run.ending ??= ending;
    const {process: job} = run;
    if (job === null) return;
    run.ended = Promise.all([run.ended, terminate(job, graceMs)]).then(() => {});
  }

  async function terminate(job: JobProcess, graceMs: number): Promise<void> {
    job.signal('SIGTERM');
    const over = new AbortController();
    // Rejects only when the group is gone and the sleep is no longer needed.
    const grace = clock.sleep(graceMs, {signal: over.signal}).catch(() => {});
    await Promise.race([job.groupEnded(over.signal), grace]);
    over.abort();
    job.signal('SIGKILL');
  }

  return {
    get running() {
      return active.size;
    },
    isRunning: (entryId) => ofEntry.has(entryId),
    isRunOf: (id, userId) => active.get(id)?.userId === userId,
    start(entry, claim, given) {
      const run: ActiveRun = {
        entry,
        claim,
        given,
        listeners: new Set(),
        over: Promise.withResolvers(),
        process: null,
        userId: null,
        isListening: false,
        ending: stopReason === null ? null : {status: 'interrupted', reason: stopReason},
        ended: Promise.resolve(),
      };
      active.set(claim.id, run);
      ofEntry.set(entry.id, (ofEntry.get(entry.id) ?? new Set()).add(run));
      waiting.push(run);
      // Whoever claimed goes on first; after a crash between claim and start nothing has begun.
      queueMicrotask(() => void pump());
    },
    follow(id, listener) {
      const run = active.get(id);
      if (run === undefined) return null;
      const {stdout = '', stderr = ''} = run.process?.output() ?? {};
      if (stdout !== '') listener.output('stdout', stdout);
      if (stderr !== '') listener.output('stderr', stderr);
      run.listeners.add(listener);
      if (run.process !== null) listen(run, run.process);
      return () => {
        run.listeners.delete(listener);
      };
    },
    async stop({graceMs, reason}) {
      stopReason = reason;
      const all = [...active.values()];
      for (const run of all) end(run, {status: 'interrupted', reason}, graceMs);
      await Promise.all(all.map(({over}) => over.promise));
    },
  };
}

function toResult(
  end: JobEnd,
  ending: Ending | null,
  boundsMemory: boolean,
): Pick<RunResult, 'status' | 'reason' | 'exitCode' | 'signal'> {
  return {
    ...outcome(end, ending, boundsMemory),
    exitCode: end.kind === 'exited' ? end.code : null,
    signal: end.kind === 'signalled' ? end.signal : null,
  };
}

function outcome(
  end: JobEnd,
  ending: Ending | null,
  boundsMemory: boolean,
): Pick<RunResult, 'status' | 'reason'> {
  if (end.kind === 'failed_to_start') return {status: 'failed', reason: `failed_to_start: ${end.message}`};
  if (ending !== null) return ending;
  const succeeded = end.kind === 'exited' && end.code === 0;
  // A shell tells of a child that was killed by adding 128.
  const wasKilled = end.kind === 'signalled' ? end.signal === 'SIGKILL' : end.code === 137;
  const reason = boundsMemory && wasKilled ? 'killed_from_outside' : null;
  return {status: succeeded ? 'succeeded' : 'failed', reason};
}

function notStarted(how: Pick<RunResult, 'status' | 'reason'>, finishedMs: number): RunResult {
  const nothing = {exitCode: null, signal: null, stdout: '', stderr: '', truncated: false, startedMs: null};
  return {...how, ...nothing, finishedMs};
}
