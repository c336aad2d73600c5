import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {QueueStatus} from '../schemas/queue.ts';
import type {BranchQueue} from './queue.ts';
import type {RecordStore} from './record-store.ts';

/** What the queue has in hand, in the names of people. */
export function queueStatus(queue: BranchQueue, records: Pick<RecordStore, 'get'>): QueueStatus {
  const {waiting, longestWaitMs, working, delayed} = queue.report();
  return {
    waiting,
    longest_wait_ms: longestWaitMs,
    working: working.map(({key, forMs, stuck}) => ({
      key,
      branch: records.get(key)?.branch ?? key,
      for_ms: forMs,
      stuck,
    })),
    failing: delayed.flatMap(({key, dueMs}) => {
      const record = records.get(key);
      if (record === undefined || record.failures === 0) return [];
      const {branch, failures, conditions} = record;
      const message = conditions.find(({type}) => type === 'Ready')?.message ?? '';
      return [{key, branch, failures, retry_at: new Date(dueMs).toISOString(), message}];
    }),
  };
}

const lookIntervalMs = 30_000;
/** Longer than anybody expects, and long before the queue ends the work itself. */
const noticeableMs = 60_000;

/** Says in the log, once each, that branches wait long for their turn and that work on one takes long. Ends with the signal. */
export async function logSlowQueue(
  read: () => QueueStatus,
  {clock, log, signal}: {clock: Clock; log: Log; signal: AbortSignal},
): Promise<void> {
  let isLagging = false;
  let slow: ReadonlySet<string> = new Set();
  while (!signal.aborted) {
    await clock.sleep(lookIntervalMs, {signal});
    const {waiting, longest_wait_ms, working} = read();
    const lags = longest_wait_ms >= noticeableMs;
    if (lags && !isLagging) log.warn('branches wait long for their turn', {waiting, longest_wait_ms});
    if (!lags && isLagging) log.info('branches wait no longer for their turn');
    isLagging = lags;
    const present = working.filter(({for_ms}) => for_ms >= noticeableMs);
    for (const {key, branch, for_ms} of present)
      if (!slow.has(key)) log.warn('the work on a branch takes long', {key, branch, for_ms});
    slow = new Set(present.map(({key}) => key));
  }
}
