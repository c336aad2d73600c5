import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import {type Entry, retryRunId} from './entry.ts';
import type {RunRecorder} from './run-recorder.ts';
import type {RunClaim, RunResult, RunStore} from './run-store.ts';

/** Further tries of runs that failed or took too long. Each is a record of its own, made when the one before ends. */
export interface Retries {
  /** Waits and tries again, where the job asks for that and has a try left. */
  consider(entry: Entry, claim: RunClaim, result: RunResult): void;
  /** A run of the schedule takes the place of a try that waits. */
  supersede(entryId: string): void;
  stop(reason: string): Promise<void>;
}

const firstWaitMs = 10_000;
const longestWaitMs = 5 * 60_000;

/** Twice as long before each further try: 10 s, 20 s, 40 s, ... up to 5 minutes. */
function retryWaitMs(attempt: number): number {
  return Math.min(longestWaitMs, firstWaitMs * 2 ** (attempt - 1));
}

export function createRetries({
  clock,
  log,
  runs,
  recorder,
  obstacle,
  start,
}: {
  clock: Clock;
  log: Log;
  runs: RunStore;
  recorder: RunRecorder;
  /** Why the entry may not run now; null where it may. */
  obstacle: (entry: Entry) => string | null;
  start: (entry: Entry, claim: RunClaim) => void;
}): Retries {
  const waiting = new Map<string, {claim: RunClaim; left: AbortController}[]>();
  let stopReason: string | null = null;

  async function wait(entry: Entry, claim: RunClaim): Promise<void> {
    const own = {claim, left: new AbortController()};
    waiting.set(entry.id, [...(waiting.get(entry.id) ?? []), own]);
    try {
      await clock.sleep(claim.scheduledMs - clock.now(), {signal: own.left.signal});
    } catch {
      // Whoever ended the wait has written why.
      return;
    }
    forget(entry.id, own);
    const reason = obstacle(entry);
    if (reason === null) start(entry, claim);
    else await giveUp(claim, 'skipped', reason);
  }

  function forget(entryId: string, own: object): void {
    const others = waiting.get(entryId)?.filter((each) => each !== own) ?? [];
    if (others.length > 0) waiting.set(entryId, others);
    else waiting.delete(entryId);
  }

  async function giveUp(claim: RunClaim, status: 'skipped' | 'interrupted', reason: string): Promise<void> {
    const nothing = {exitCode: null, signal: null, stdout: '', stderr: '', truncated: false, startedMs: null};
    await recorder.finished(claim.id, {status, reason, finishedMs: clock.now(), ...nothing});
  }

  return {
    consider(entry, claim, {status}) {
      if (stopReason !== null || (status !== 'failed' && status !== 'timed_out')) return;
      if (claim.attempt > entry.job.options.retries) return;
      const next: RunClaim = {
        ...claim,
        id: retryRunId(claim.id),
        attempt: claim.attempt + 1,
        scheduledMs: clock.now() + retryWaitMs(claim.attempt),
        cause: 'retry',
      };
      try {
        if (runs.claim([next]).length > 0) void wait(entry, next);
      } catch (error) {
        log.error('a further try could not be recorded and is left out', {error, entry_id: entry.id});
      }
    },
    supersede(entryId) {
      for (const {claim, left} of waiting.get(entryId) ?? []) {
        left.abort();
        void giveUp(claim, 'skipped', 'superseded');
      }
      waiting.delete(entryId);
    },
    async stop(reason) {
      stopReason = reason;
      const all = [...waiting.values()].flat();
      waiting.clear();
      for (const {left} of all) left.abort();
      await Promise.all(all.map(({claim}) => giveUp(claim, 'interrupted', reason)));
    },
  };
}
