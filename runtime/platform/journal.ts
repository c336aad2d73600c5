import {open} from 'node:fs/promises';
import {readTextIfPresent, writeFileDurably} from './durable-file.ts';

/**
 * Lines that survive a crash once `append` has resolved. Lines that are appended at the same time share one write
 * and one fsync. A last line that a crash cut off is not among `lines`.
 */
export interface Journal {
  append(line: string): Promise<void>;
  /** Replaces all that was written before, as one step. */
  rewrite(lines: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** `lines`: what the journal held when it was opened. Throws the file system's error. */
export async function openJournal(path: string): Promise<{journal: Journal; lines: string[]}> {
  const text = (await readTextIfPresent(path)) ?? '';
  const lines = text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '');
  // What a crash cut off must not run into the next line.
  if (!text.endsWith('\n') || text === '')
    await writeFileDurably(path, lines.map((line) => `${line}\n`).join(''));
  let file = await open(path, 'a', 0o600);
  let waiting: string[] = [];
  let last: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;

  const inTurn = (task: () => Promise<void>): Promise<void> => {
    const result = last.then(task);
    last = result.catch(() => {
      // Whoever waits for it is told.
    });
    return result;
  };

  const writeWaiting = async (): Promise<void> => {
    next = null;
    const batch = waiting;
    waiting = [];
    await file.writeFile(batch.map((line) => `${line}\n`).join(''));
    await file.datasync();
  };

  return {
    lines,
    journal: {
      append(line) {
        waiting.push(line);
        next ??= inTurn(writeWaiting);
        return next;
      },
      rewrite: (all) =>
        inTurn(async () => {
          await writeFileDurably(path, all.map((line) => `${line}\n`).join(''));
          await file.close();
          file = await open(path, 'a', 0o600);
        }),
      close: () => inTurn(() => file.close()),
    },
  };
}
