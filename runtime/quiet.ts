import type {Clock} from './platform/clock.ts';

/** Returns a function that notes activity; `act` is called once each time that nothing was noted for `quietMs`. */
export function whenQuiet({
  clock,
  quietMs,
  act,
}: {
  clock: Clock;
  quietMs: number;
  act: () => void;
}): () => void {
  let waiting = new AbortController();
  return () => {
    waiting.abort();
    waiting = new AbortController();
    clock.sleep(quietMs, {signal: waiting.signal}).then(act, () => {
      // There was activity since; its own wait goes on.
    });
  };
}
