import type {Clock} from '../runtime/platform/clock.ts';

const dayMs = 24 * 60 * 60_000;

/** Now and every day until the signal aborts; throws what the task throws. */
export async function everyDay(
  task: () => Promise<void>,
  {clock, signal}: {clock: Clock; signal: AbortSignal},
): Promise<void> {
  while (!signal.aborted) {
    await task();
    await clock.sleep(dayMs, {signal});
  }
}
