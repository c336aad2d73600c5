import type {Clock} from '../runtime/platform/clock.ts';
import {AppError} from '../schemas/errors.ts';

/**
 * A queue of branch keys and nothing else. A key that is added while it waits stays one item; a key that is
 * added while it is being worked on is worked on once more afterwards.
 */
export interface BranchQueue {
  /** `first` goes before everything that waits, `last` after everything else: nothing is known to have changed. */
  add(key: string, options?: {first?: boolean; last?: boolean}): void;
  /** Adds the key after a delay; an earlier `addAfter` of the same key is replaced. */
  addAfter(key: string, delayMs: number): void;
  /** Aborts the signal of the work in hand for this key, if any. */
  cancel(key: string, reason: Error): void;
  /** Keys that wait or are worked on. */
  readonly size: number;
  /** Resolves when none of the keys waits or is worked on. */
  settled(keys: readonly string[]): Promise<void>;
  /** Resolves when nothing waits and nothing is worked on; delayed keys do not count. */
  idle(): Promise<void>;
  /** What waits, goes on and is tried again later, now. */
  report(): QueueReport;
  /** Takes no more keys, aborts the work in hand and resolves when it has ended. */
  close(): Promise<void>;
}

export interface QueueReport {
  readonly waiting: number;
  /** How long the key that has waited longest does so; 0 where none waits. */
  readonly longestWaitMs: number;
  /** Longest first. */
  readonly working: readonly WorkInHand[];
  /** Keys that come back by themselves at their instant, the next first. */
  readonly delayed: readonly {readonly key: string; readonly dueMs: number}[];
}

export interface WorkInHand {
  readonly key: string;
  readonly forMs: number;
  /** It was told to end, did not, and has lost its place to others. */
  readonly stuck: boolean;
}

/** Work on one key that exceeds this is told to end: what hangs must not hold a place for ever. */
const longestWorkMs = 10 * 60_000;
/** By then it has ended, or others get its place. */
const endGraceMs = 30_000;

interface Work {
  readonly stop: AbortController;
  readonly sinceMs: number;
  stuck: boolean;
}

interface Delay {
  readonly stop: AbortController;
  readonly dueMs: number;
}

export function createQueue({
  clock,
  concurrency,
  work,
  onStuck = () => {},
}: {
  clock: Clock;
  concurrency: number;
  /** Work that does not end although it was told to. */
  onStuck?: (key: string) => void;
  /** Never rejects: it reports its own failures. */
  work: (key: string, signal: AbortSignal) => Promise<void>;
}): BranchQueue {
  /** Since when. */
  const waiting = new Map<string, number>();
  const urgent = new Map<string, number>();
  const unhurried = new Map<string, number>();
  const working = new Map<string, Work>();
  const again = new Set<string>();
  const delayed = new Map<string, Delay>();
  let waiters: {readonly isOver: () => boolean; readonly resolve: () => void}[] = [];
  let closed = false;

  const queues = [urgent, waiting, unhurried] as const;
  const isBusy = (key: string) => queues.some((queue) => queue.has(key)) || working.get(key)?.stuck === false;
  const lengthOf = () => queues.reduce((length, {size}) => length + size, 0);
  /** What is stuck holds no place, and nobody waits for it. */
  const taken = () => [...working.values()].filter(({stuck}) => !stuck).length;

  const settle = () => {
    const over = waiters.filter(({isOver}) => isOver());
    waiters = waiters.filter((waiter) => !over.includes(waiter));
    for (const {resolve} of over) resolve();
  };

  const when = (isOver: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      waiters.push({isOver, resolve});
      settle();
    });

  const next = (): string | undefined => {
    const [key] = queues.find(({size}) => size > 0)?.keys() ?? [];
    return key;
  };

  const watch = async (key: string, item: Work, signal: AbortSignal): Promise<void> => {
    await clock.sleep(longestWorkMs, {signal});
    item.stop.abort(
      new AppError(
        'BACKEND_ERROR',
        `The work took longer than ${longestWorkMs / 60_000} minutes and was given up`,
      ),
    );
    await clock.sleep(endGraceMs, {signal});
    item.stuck = true;
    onStuck(key);
    pump();
    settle();
  };

  const pump = () => {
    while (!closed && taken() < concurrency) {
      const key = next();
      if (key === undefined) break;
      for (const queue of queues) queue.delete(key);
      const item: Work = {stop: new AbortController(), sinceMs: clock.now(), stuck: false};
      working.set(key, item);
      const over = new AbortController();
      watch(key, item, over.signal).catch(() => {
        // It ended in time.
      });
      work(key, item.stop.signal).finally(() => {
        over.abort();
        working.delete(key);
        if (again.delete(key)) waiting.set(key, clock.now());
        pump();
        settle();
      });
    }
  };

  return {
    add(key, {first = false, last = false} = {}) {
      if (closed) return;
      delayed.get(key)?.stop.abort();
      if (working.has(key)) again.add(key);
      else {
        const present = queues.find((queue) => queue.has(key));
        const wanted = first ? urgent : last ? unhurried : waiting;
        // A place once taken is kept, or changed for a better one.
        if (present === undefined || queues.indexOf(wanted) < queues.indexOf(present)) {
          wanted.set(key, present?.get(key) ?? clock.now());
          present?.delete(key);
        }
      }
      pump();
    },
    addAfter(key, delayMs) {
      if (closed) return;
      delayed.get(key)?.stop.abort();
      const delay: Delay = {stop: new AbortController(), dueMs: clock.now() + delayMs};
      delayed.set(key, delay);
      clock.sleep(delayMs, {signal: delay.stop.signal}).then(
        () => {
          delayed.delete(key);
          this.add(key);
        },
        () => {
          // Replaced by a newer delay or by the key itself, or the queue closes.
          if (delayed.get(key) === delay) delayed.delete(key);
        },
      );
    },
    cancel(key, reason) {
      working.get(key)?.stop.abort(reason);
    },
    get size() {
      return lengthOf() + taken();
    },
    settled: (keys) => when(() => !keys.some(isBusy)),
    idle: () => when(() => lengthOf() + taken() === 0),
    report() {
      const nowMs = clock.now();
      const since = queues.flatMap((queue) => [...queue.values()]);
      return {
        waiting: since.length,
        longestWaitMs: since.reduce((longest, sinceMs) => Math.max(longest, nowMs - sinceMs), 0),
        working: [...working]
          .map(([key, {sinceMs, stuck}]) => ({key, forMs: Math.max(0, nowMs - sinceMs), stuck}))
          .sort((a, b) => b.forMs - a.forMs),
        delayed: [...delayed].map(([key, {dueMs}]) => ({key, dueMs})).sort((a, b) => a.dueMs - b.dueMs),
      };
    },
    async close() {
      closed = true;
      for (const {stop} of delayed.values()) stop.abort();
      for (const queue of queues) queue.clear();
      again.clear();
      for (const {stop} of working.values()) stop.abort(new Error('the controller stops'));
      await this.idle();
    },
  };
}

/** True where the queue told the work to end because it took too long. */
export function wasGivenUp({aborted, reason}: AbortSignal): boolean {
  return aborted && reason instanceof AppError;
}
