import type {Clock} from './clock.ts';

/**
 * Returns a function that notes activity, which costs next to nothing. `act` is called once each time that nothing was
 * noted for `quietMs`, at the latest after twice as long.
 */
export function whenQuiet({
  clock,
  quietMs,
  act,
}: {
  clock: Clock;
  quietMs: number;
  act: () => void;
}): () => void {
  let noted = 0;
  let isWatching = false;

  async function watch(): Promise<void> {
    isWatching = true;
    for (let seen = -1; seen !== noted; ) {
      seen = noted;
      await clock.sleep(quietMs);
    }
    isWatching = false;
    act();
  }

  return () => {
    noted += 1;
    if (!isWatching) void watch();
  };
}
