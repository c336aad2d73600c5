import type {Clock} from '../../runtime/platform/clock.ts';

interface Sleeper {
  atMs: number;
  wake(): void;
}

/** A clock that stands still until `advance`; sleepers wake in order of their time. */
export class FakeClock implements Clock {
  #nowMs: number;
  readonly #settled: () => Promise<void>;
  #sleepers: Sleeper[] = [];

  /** `settled` resolves when the work of those that woke is done. */
  constructor(
    start: string | number = '2026-01-01T00:00:00Z',
    {settled = fewTurns}: {settled?: () => Promise<void>} = {},
  ) {
    this.#nowMs = typeof start === 'number' ? start : Date.parse(start);
    this.#settled = settled;
  }

  now(): number {
    return this.#nowMs;
  }

  sleep(ms: number, {signal}: {signal?: AbortSignal} = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const sleeper: Sleeper = {
        atMs: this.#nowMs + ms,
        wake: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, {once: true});
      this.#sleepers.push(sleeper);
      if (ms <= 0) this.#wakeDue();
    });
  }

  /** Number of sleepers that wait; tests use it to see that a loop has gone to sleep. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  /** Moves time forward, waking each sleeper at its own instant and letting its work settle before the next. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await this.#settled();
      const next = this.#sleepers.toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#wakeDue();
    }
    this.#nowMs = untilMs;
    await this.#settled();
  }

  /** Steps the wall clock without waking anybody, as NTP or a suspended machine does. */
  step(ms: number): void {
    this.#nowMs += ms;
  }

  #wakeDue(): void {
    const due = this.#sleepers.filter((sleeper) => sleeper.atMs <= this.#nowMs);
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.atMs > this.#nowMs);
    for (const sleeper of due.sort((a, b) => a.atMs - b.atMs)) sleeper.wake();
  }
}

async function fewTurns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
