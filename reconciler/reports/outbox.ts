import * as z from 'zod';
import {openJournal} from '../../runtime/platform/journal.ts';
import type {Log} from '../../runtime/platform/log.ts';
import {type Report, reportSchema, targetOf} from './report.ts';

const entrySchema = z.object({
  target: z.string(),
  report: reportSchema,
  /** Digest of what it says. */
  says: z.string(),
  /** Epoch ms before which it is not sent: something else may be true by then. */
  not_before: z.number(),
  /** When it was last wanted otherwise, epoch ms. */
  changed_at: z.number(),
  /** Of the check run, deployment or comment on the forge. */
  id: z.int().nullable(),
  /** What the forge is known to have. */
  written: z.string().nullable(),
});
const lineSchema = z.union([entrySchema, z.object({target: z.string(), dropped: z.literal(true)})]);

export type OutboxEntry = Readonly<z.infer<typeof entrySchema>> & {
  /** The forge may have something of it, known or not. */
  readonly attempted: boolean;
};

/**
 * What is to stand on the forge and what is known to stand there, one entry for each place; the newest wish replaces
 * older ones. Everything is on disk before it is acted upon.
 */
export interface Outbox {
  get(target: string): OutboxEntry | undefined;
  all(): OutboxEntry[];
  /** Of a branch, by its key. */
  ofKey(key: string): OutboxEntry[];
  /** Resolves when it is on disk. False where the same was wanted already. */
  put(report: Report, wish: {says: string; notBeforeMs: number; nowMs: number}): Promise<boolean>;
  attempt(target: string): void;
  /** `says`: of what was sent; something newer may be wanted by now. */
  written(target: string, what: {says: string; id: number | null}): Promise<void>;
  /** Forgets the place, unless something else than `says` is wanted there by now. */
  drop(target: string, options: {says: string}): Promise<void>;
  close(): Promise<void>;
}

/** What has stood unchanged for so long is remembered no longer. */
const keptMs = 90 * 24 * 60 * 60_000;
/** So many lines more than entries are written before the file is made anew. */
const slackLines = 2000;

/** Lines that cannot be read are left out and logged: what is wanted is found anew, and what stands there is looked for. */
export async function openOutbox({
  path,
  log,
  nowMs,
}: {
  path: string;
  log: Log;
  nowMs: number;
}): Promise<Outbox> {
  const {journal, lines} = await openJournal(path);
  const entries = new Map<string, OutboxEntry>();
  let unreadable = 0;
  for (const text of lines) {
    const line = parseLine(text);
    if (line === null) unreadable += 1;
    else if ('dropped' in line) entries.delete(line.target);
    else entries.set(line.target, {...line, attempted: true});
  }
  if (unreadable > 0) log.warn('lines about reports cannot be read', {path, lines: unreadable});
  for (const {target, says, written, changed_at} of [...entries.values()])
    if (says === written && nowMs - changed_at > keptMs) entries.delete(target);
  let written = lines.length;

  /** In memory only when it is on disk: nobody acts on what a crash could take back. */
  const save = async (target: string, entry: OutboxEntry | null): Promise<void> => {
    written += 1;
    const {attempted: _memoryOnly, ...kept} = entry ?? {attempted: false, target, dropped: true};
    await journal.append(JSON.stringify(kept));
    if (entry === null) entries.delete(target);
    else entries.set(target, entry);
    if (written <= entries.size + slackLines) return;
    written = entries.size;
    await journal.rewrite([...entries.values()].map(({attempted: _, ...all}) => JSON.stringify(all)));
  };
  let turn: Promise<unknown> = Promise.resolve();
  /** What is decided by what is known must not be overtaken. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work);
    turn = result.catch(() => {
      // Whoever waits for it is told.
    });
    return result;
  };

  return {
    get: (target) => entries.get(target),
    all: () => [...entries.values()],
    ofKey: (key) =>
      [...entries.values()].filter(({report}) => report.kind !== 'comment' && report.key === key),
    put: (report, {says, notBeforeMs, nowMs: changedMs}) =>
      inTurn(async () => {
        const target = targetOf(report);
        const known = entries.get(target);
        if (known?.says === says) return false;
        await save(target, {
          target,
          report,
          says,
          not_before: notBeforeMs,
          changed_at: changedMs,
          id: known?.id ?? null,
          written: known?.written ?? null,
          attempted: known?.attempted ?? false,
        });
        return true;
      }),
    attempt(target) {
      const known = entries.get(target);
      if (known !== undefined) entries.set(target, {...known, attempted: true});
    },
    written: (target, {says, id}) =>
      inTurn(async () => {
        const known = entries.get(target);
        if (known !== undefined) await save(target, {...known, written: says, id: id ?? known.id});
      }),
    drop: (target, {says}) =>
      inTurn(async () => {
        if (entries.get(target)?.says === says) await save(target, null);
      }),
    close: () => inTurn(() => journal.close()),
  };
}

function parseLine(text: string): z.infer<typeof lineSchema> | null {
  try {
    return lineSchema.parse(JSON.parse(text));
  } catch {
    // The caller counts it.
    return null;
  }
}
