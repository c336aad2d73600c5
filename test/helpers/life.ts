import type {Clock} from '../../runtime/platform/clock.ts';

/**
 * The life of a controller or runtime that shares its process with others. When it has ended nothing that it waits for
 * comes about any more, as after `kill -9`: what it had done is done, and it takes no further step.
 */
export interface Life {
  readonly isOver: boolean;
  readonly ended: AbortSignal;
  /** Calls of ports that go on. */
  readonly calls: number;
  end(): void;
  /** Where life ends before or during the call, it never resolves. */
  spend<T>(call: () => Promise<T>): Promise<T>;
}

/** `beforeCall` may end it. */
export function createLife({beforeCall = () => {}}: {beforeCall?: () => void} = {}): Life {
  const over = new AbortController();
  let calls = 0;
  const life: Life = {
    get isOver() {
      return over.signal.aborted;
    },
    ended: over.signal,
    get calls() {
      return calls;
    },
    end: () => over.abort(new Error('its life is over')),
    async spend(call) {
      if (life.isOver) return never();
      calls += 1;
      let outcome: {value: Awaited<ReturnType<typeof call>>} | {error: unknown} | null = null;
      try {
        // A call begins at once, as it does without us: what it does before its first wait is seen by the caller.
        beforeCall();
        if (!life.isOver) outcome = {value: await call()};
      } catch (error) {
        outcome = {error};
      }
      calls -= 1;
      if (life.isOver || outcome === null) return never();
      if ('error' in outcome) throw outcome.error;
      return outcome.value;
    },
  };
  return life;
}

function never<T>(): Promise<T> {
  return new Promise(() => {});
}

/** A clock whose sleeps end with a life. */
export function lived(clock: Clock, life: Life): Clock {
  return {
    now: () => clock.now(),
    async sleep(ms, {signal} = {}) {
      if (life.isOver) return never();
      const signals = signal === undefined ? [life.ended] : [life.ended, signal];
      try {
        await clock.sleep(ms, {signal: AbortSignal.any(signals)});
      } catch (error) {
        if (life.isOver) return never();
        throw error;
      }
    },
  };
}

/** Functions of ports that answer at once, or last as long as what they follow. */
const passing: ReadonlySet<string> = new Set(['all', 'get', 'watch', 'events']);

/** A port of which every asynchronous call is spent by a life. */
export function livedPort<Port extends object>(port: Port, life: Life): Port {
  return new Proxy(port, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const call = () =>
          value.apply(
            target,
            args.map((argument) => endingWith(life, argument)),
          );
        return passing.has(String(name)) ? call() : life.spend(async () => call());
      };
    },
  });
}

/** The connections and processes of whoever dies end with it. */
function endingWith(life: Life, argument: unknown): unknown {
  if (typeof argument !== 'object' || argument === null || !('signal' in argument)) return argument;
  const {signal} = argument;
  if (!(signal instanceof AbortSignal)) return argument;
  return {...argument, signal: AbortSignal.any([signal, life.ended])};
}

const longestWaitMs = 30_000;

/** Looks again until it is over; throws where that takes unreasonably long. */
export async function until(isOver: () => boolean, what: string): Promise<void> {
  const lastMs = performance.now() + longestWaitMs;
  while (!isOver()) {
    if (performance.now() > lastMs) throw new Error(`${what} do not end`);
    await Bun.sleep(1);
  }
}
