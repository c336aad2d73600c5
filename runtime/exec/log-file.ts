import {dirname} from 'node:path';
import type {Clock} from '../platform/clock.ts';
import {readTextIfPresent} from '../platform/durable-file.ts';
import {sizeOf} from '../platform/file-tail.ts';
import {appendFile, mkdir, rename} from '../platform/files.ts';
import {createSerialLock} from '../platform/serial-lock.ts';

/** A file of lines that grows, and gives way to a new one when it is large. */
export interface LogFile {
  readonly path: string;
  /** Asks for the line at the next write, a moment later. Never throws: a full disk must not fail a call. */
  write(line: () => string): void;
  /** Resolves when what was written before is on its way to the disk. */
  flush(): Promise<void>;
  /** What is in the file now, and every line that comes after it, none twice and none left out. */
  follow(listener: (line: string) => void): Promise<{text: string; unsubscribe: () => void}>;
}

const waitMs = 200;
const maxFileBytes = 5 * 1024 * 1024;
/** A burst beyond this is cut, so that the log never holds more memory than the calls themselves. */
const mostWaiting = 1000;

/** One former file is kept, as `<path>.1`. */
export function createLogFile({
  path,
  clock,
  onError,
}: {
  path: string;
  clock: Clock;
  onError: (error: unknown) => void;
}): LogFile {
  const inTurn = createSerialLock();
  const listeners = new Set<(line: string) => void>();
  let waiting: (() => string)[] = [];
  let isPlanned = false;

  async function writeWaiting(): Promise<void> {
    const lines = waiting.map((line) => line().replaceAll('\n', ' '));
    waiting = [];
    if (lines.length === 0) return;
    try {
      await mkdir(dirname(path), {recursive: true, mode: 0o700});
      if ((await sizeOf(path)) > maxFileBytes) await rename(path, `${path}.1`);
      await appendFile(path, `${lines.join('\n')}\n`, {mode: 0o600});
    } catch (error) {
      onError(error);
    }
    for (const line of lines) for (const listener of listeners) listener(line);
  }

  const flush = () => inTurn(writeWaiting);

  return {
    path,
    write(line) {
      if (waiting.length >= mostWaiting) return;
      waiting.push(line);
      if (isPlanned) return;
      isPlanned = true;
      void clock.sleep(waitMs).then(() => {
        isPlanned = false;
        return flush();
      });
    },
    flush,
    follow: (listener) =>
      inTurn(async () => {
        await writeWaiting();
        const text = (await readTextIfPresent(path)) ?? '';
        listeners.add(listener);
        return {text, unsubscribe: () => void listeners.delete(listener)};
      }),
  };
}
