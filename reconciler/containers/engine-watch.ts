import type {Clock} from '../../runtime/platform/clock.ts';
import type {Log} from '../../runtime/platform/log.ts';

export interface EngineWatch {
  /** For people: which engine, and where it is. */
  readonly engine: string;
  readonly address: string;
  /** Yields when the engine begins to listen to us and for every change; ends when the connection does. */
  readonly changes: (options: {signal: AbortSignal}) => AsyncIterable<void>;
  /** Asks what runs and tells of ends. */
  readonly look: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  /** After this the engine is asked for its events again when they ended. */
  readonly intervalMs?: number | undefined;
}

const defaultIntervalMs = 2_000;
const settleMs = 100;
const intervalsOfSweep = 5;

/** Looks after every change that an engine tells of, and now and then, until the signal aborts. */
export function watchEngine(watch: EngineWatch, signal: AbortSignal): void {
  void follow(watch, signal);
  void sweep(watch, signal);
}

async function follow(
  {engine, address, changes, look, clock, log, intervalMs = defaultIntervalMs}: EngineWatch,
  signal: AbortSignal,
): Promise<void> {
  let isAway = false;
  while (!signal.aborted) {
    try {
      for await (const _ of changes({signal})) {
        await look();
        if (isAway) log.info(`${engine} answers again`, {address});
        isAway = false;
        // It tells of an end shortly before its list does.
        await clock.sleep(settleMs, {signal});
        await look();
      }
    } catch (error) {
      if (!signal.aborted && !isAway) log.warn(`${engine} tells no events`, {error});
      isAway = true;
    }
    await clock.sleep(intervalMs, {signal}).catch(() => {
      // Nobody watches any more.
    });
  }
}

/** For an end that came before the engine listened to us, or of which its list did not know yet. */
async function sweep(
  {look, clock, intervalMs = defaultIntervalMs}: EngineWatch,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await clock.sleep(intervalMs * intervalsOfSweep, {signal}).catch(() => {
      // Nobody watches any more.
    });
    if (signal.aborted) return;
    await look().catch(() => {
      // An engine that is away is told by whoever listens to its events.
    });
  }
}
