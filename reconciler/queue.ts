import type {Clock} from '../runtime/platform/clock.ts';

/**
 * A queue of branch keys and nothing else. A key that is added while it waits stays one item; a key that is
 * added while it is being worked on is worked on once more afterwards.
 */
export interface BranchQueue {
  /** `first` goes before everything that waits. */
  add(key: string, options?: {first?: boolean}): void;
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
  /** Takes no more keys, aborts the work in hand and resolves when it has ended. */
  close(): Promise<void>;
}

export function createQueue({
  clock,
  concurrency,
  work,
}: {
  clock: Clock;
  concurrency: number;
  /** Never rejects: it reports its own failures. */
  work: (key: string, signal: AbortSignal) => Promise<void>;
}): BranchQueue {
  const waiting = new Set<string>();
  const urgent = new Set<string>();
  const working = new Map<string, AbortController>();
  const again = new Set<string>();
  const delayed = new Map<string, AbortController>();
  let waiters: {readonly isOver: () => boolean; readonly resolve: () => void}[] = [];
  let closed = false;

  const isBusy = (key: string) => waiting.has(key) || urgent.has(key) || working.has(key);

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
    const [key] = urgent.size > 0 ? urgent : waiting;
    return key;
  };

  const pump = () => {
    while (!closed && working.size < concurrency) {
      const key = next();
      if (key === undefined) break;
      urgent.delete(key);
      waiting.delete(key);
      const controller = new AbortController();
      working.set(key, controller);
      work(key, controller.signal).finally(() => {
        working.delete(key);
        if (again.delete(key)) waiting.add(key);
        pump();
        settle();
      });
    }
  };

  return {
    add(key, {first = false} = {}) {
      if (closed) return;
      delayed.get(key)?.abort();
      if (working.has(key)) again.add(key);
      else if (first || urgent.has(key)) {
        waiting.delete(key);
        urgent.add(key);
      } else waiting.add(key);
      pump();
    },
    addAfter(key, delayMs) {
      if (closed) return;
      delayed.get(key)?.abort();
      const controller = new AbortController();
      delayed.set(key, controller);
      clock.sleep(delayMs, {signal: controller.signal}).then(
        () => {
          delayed.delete(key);
          this.add(key);
        },
        () => {
          // Replaced by a newer delay or by the key itself, or the queue closes.
          if (delayed.get(key) === controller) delayed.delete(key);
        },
      );
    },
    cancel(key, reason) {
      working.get(key)?.abort(reason);
    },
    get size() {
      return waiting.size + urgent.size + working.size;
    },
    settled: (keys) => when(() => !keys.some(isBusy)),
    idle: () => when(() => waiting.size + urgent.size + working.size === 0),
    async close() {
      closed = true;
      for (const controller of delayed.values()) controller.abort();
      waiting.clear();
      urgent.clear();
      again.clear();
      for (const controller of working.values()) controller.abort(new Error('the controller stops'));
      await this.idle();
    },
  };
}
