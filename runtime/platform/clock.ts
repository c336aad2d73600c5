/**
 * The only source of time. `sleep` is measured by a monotonic clock, so that setting the wall clock neither
 * prolongs nor shortens it, and it rejects with the signal's reason when that aborts.
 */
export interface Clock {
  /** Epoch milliseconds of the wall clock. */
  now(): number;
  sleep(ms: number, options?: {signal?: AbortSignal}): Promise<void>;
}

/** `setTimeout` counts in 32 bits; a longer delay fires at once. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, {signal} = {}) {
    const untilMs = performance.now() + ms;
    // A timer may fire a fraction early: look again.
    for (let leftMs = ms; leftMs > 0; leftMs = untilMs - performance.now()) {
      await timer(Math.min(Math.ceil(leftMs), longestTimerMs), signal);
    }
  },
};

function timer(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      clearTimeout(handle);
      reject(signal?.reason);
    };
    const handle = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, {once: true});
  });
}

/** Milliseconds since some moment, by a clock that nobody sets. */
export function monotonicMs(): number {
  return performance.now();
}

/** Resolves after whatever the event loop has waiting, so that long work lets others have their turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
