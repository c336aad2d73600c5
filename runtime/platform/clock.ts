/** The only source of time. `sleep` rejects with the signal's reason when it aborts; it never wakes early by `now()`. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  sleep(ms: number, options?: {signal?: AbortSignal}): Promise<void>;
}

/** `setTimeout` counts in 32 bits; a longer delay fires at once. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, {signal} = {}) {
    const untilMs = Date.now() + ms;
    for (;;) {
      const leftMs = untilMs - Date.now();
      if (leftMs <= 0) return;
      await timer(Math.min(leftMs, longestTimerMs), signal);
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
