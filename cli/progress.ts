import {type Clock, systemClock} from '../runtime/platform/clock.ts';
import type {Terminal} from './terminal.ts';

const patienceMs = 1000;

/** Says on stderr what is being waited for, once that takes more than a second and somebody watches. */
export async function withProgress<T>(
  {err, errIsTty}: Pick<Terminal, 'err' | 'errIsTty'>,
  text: string,
  work: Promise<T>,
  clock: Clock = systemClock,
): Promise<T> {
  const done = new AbortController();
  if (errIsTty) {
    clock.sleep(patienceMs, {signal: done.signal}).then(
      () => err(`${text}\n`),
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
