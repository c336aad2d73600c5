import type {ManagedEntry, RawItem} from '../../schemas/cron-api.ts';
import type {PauseRequest} from '../../schemas/cron-run-api.ts';
import {parseTimestamp} from '../../schemas/crontab/managed.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Run} from '../../schemas/run.ts';
import type {Clock} from '../platform/clock.ts';
import type {CrontabWrites} from './crontab-writes.ts';
import {type Entries, findEntry} from './entries.ts';
import type {Firing} from './firing.ts';
import type {PauseStore} from './pause-store.ts';
import type {RunQueries} from './run-queries.ts';

/** What a person does to one entry without changing the crontab. */
export interface EntryActions {
  /** The record of the run that begins, or of why it does not. */
  run(user: string, id: string): Promise<Run>;
  pause(user: string, id: string, request: PauseRequest): Promise<ManagedEntry | RawItem>;
  resume(user: string, id: string): Promise<ManagedEntry | RawItem>;
}

export function createEntryActions({
  writes,
  entries,
  queries,
  firing,
  pauses,
  clock,
  stopped,
}: {
  writes: CrontabWrites;
  entries: Entries;
  queries: RunQueries;
  firing: Firing;
  pauses: PauseStore;
  clock: Clock;
  stopped: AbortSignal;
}): EntryActions {
  return {
    async run(user, id) {
      const entry = findEntry(await writes.current(user), id);
      if (stopped.aborted)
        throw new AppError('SHUTTING_DOWN', 'The runtime is stopping; no job starts any more.');
      return queries.get(user, firing.runNow(entry));
    },

    async pause(user, id, {reason, until, owner}) {
      const entry = findEntry(await writes.current(user), id);
      const sinceMs = clock.now();
      const untilMs = checkUntil(until, sinceMs);
      pauses.set(entry, {reason: reason ?? null, sinceMs, untilMs, owner: owner ?? null});
      return entries.get(user, entry.id);
    },

    async resume(user, id) {
      const entry = findEntry(await writes.current(user), id);
      pauses.clear(entry);
      firing.fireOverdue();
      return entries.get(user, entry.id);
    },
  };
}

function checkUntil(text: string | null | undefined, nowMs: number): number | null {
  if (text === null || text === undefined) return null;
  const untilMs = parseTimestamp(text);
  if (untilMs !== null && untilMs > nowMs) return untilMs;
  const message = 'until is an RFC 3339 instant in the future, for example `2026-05-22T09:00:00Z`.';
  throw new AppError('INVALID_BODY', message, {details: {until: text.slice(0, 64)}});
}
