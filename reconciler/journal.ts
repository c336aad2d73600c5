import {join} from 'node:path';
import type {Clock} from '../runtime/platform/clock.ts';
import {listNames} from '../runtime/platform/directories.ts';
import {readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {appendFile, mkdir, rm} from '../runtime/platform/files.ts';
import type {Log} from '../runtime/platform/log.ts';
import {type JournalEvent, journalEventSchema} from '../schemas/journal.ts';
import {isBranchKey} from './branch-key.ts';

/** What happened to each branch, one file of JSON lines each; it outlives the controller and the branch. */
export interface Journal {
  /** Never throws: what cannot be written is logged and nothing waits for it. */
  add(key: string, event: JournalEvent): Promise<void>;
  /** Newest first; empty for a branch that nothing is known of. */
  read(key: string): Promise<JournalEvent[]>;
  /** Removes the journals whose newest event is older than 90 days, but for those of `known` keys. */
  prune(known: (key: string) => boolean): Promise<void>;
}

/** A file that has grown to twice this is brought back to it. */
const keptEvents = 200;
const keptMs = 90 * 24 * 60 * 60_000;
const suffix = '.jsonl';

export function openJournal({directory, clock, log}: {directory: string; clock: Clock; log: Log}): Journal {
  const pathOf = (key: string) => join(directory, `${key}${suffix}`);
  /** Lines of each file that was written to. */
  const lengths = new Map<string, number>();
  const writes = new Map<string, Promise<void>>();

  const inOrder = (key: string, task: () => Promise<void>): Promise<void> => {
    const next = (writes.get(key) ?? Promise.resolve()).then(task).catch((error) => {
      log.warn('the journal of a branch could not be written', {key, error});
    });
    writes.set(key, next);
    return next.finally(() => {
      if (writes.get(key) === next) writes.delete(key);
    });
  };

  const linesOf = async (key: string): Promise<string[]> =>
    ((await readTextIfPresent(pathOf(key))) ?? '').split('\n').filter((line) => line !== '');

  const read = async (key: string): Promise<JournalEvent[]> => {
    // People ask by name too; only a key is the name of a file.
    if (!isBranchKey(key)) return [];
    await writes.get(key);
    return (await linesOf(key)).flatMap(parseEvent).reverse();
  };

  return {
    add: (key, event) =>
      inOrder(key, async () => {
        const line = `${JSON.stringify(event)}\n`;
        const length = (lengths.get(key) ?? (await linesOf(key)).length) + 1;
        await mkdir(directory, {recursive: true, mode: 0o700});
        if (length < 2 * keptEvents) {
          // A line that a crash tore must not take this one with it.
          await appendFile(pathOf(key), lengths.has(key) ? line : `\n${line}`, {mode: 0o600});
          lengths.set(key, length);
          return;
        }
        const kept = (await linesOf(key)).slice(1 - keptEvents);
        await writeFileDurably(pathOf(key), [...kept, line].join('\n'));
        lengths.set(key, kept.length + 1);
      }),
    read,
    async prune(known) {
      for (const name of await listNames(directory)) {
        const key = name.slice(0, -suffix.length);
        if (!name.endsWith(suffix) || known(key)) continue;
        const [newest] = await read(key);
        if (newest === undefined || Date.parse(newest.at) < clock.now() - keptMs)
          await rm(pathOf(key), {force: true});
      }
    },
  };
}

/** A line torn by a crash, or of a newer version, is worth less than the ones around it: it is passed over. */
function parseEvent(line: string): JournalEvent[] {
  try {
    const parsed = journalEventSchema.safeParse(JSON.parse(line));
    return parsed.success ? [parsed.data] : [];
  } catch {
    // See above.
    return [];
  }
}
