import {systemClock} from '../runtime/platform/clock.ts';
import type {Terminal} from './terminal.ts';

const patienceMs = 1000;

/** Says on stderr what is being waited for, once that takes more than a second and somebody watches. */
export async function withProgress<T>(terminal: Terminal, text: string, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  if (terminal.errIsTty) {
    systemClock.sleep(patienceMs, {signal: done.signal}).then(
      () => terminal.err(`${text}\n`),
      () => {
        // It was done before.
      },
    );
  }
  try {
    return await work;
  } finally {
    done.abort();
  }
}
