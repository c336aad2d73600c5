import type {Clock} from '../platform/clock.ts';

/** Returns a function to note each call; `act` is called when none came for `quietMs`. Costs a call next to nothing. */
export function createHostRest({
  clock,
  quietMs,
  act,
}: {
  clock: Clock;
  quietMs: number;
  act: () => void;
}): () => void {
  let calls = 0;
  let isWatching = false;

  async function watch(): Promise<void> {
    isWatching = true;
    for (let seen = -1; seen !== calls; ) {
      seen = calls;
      await clock.sleep(quietMs);
    }
    isWatching = false;
    act();
  }

  return () => {
    calls += 1;
    if (!isWatching) void watch();
  };
}
