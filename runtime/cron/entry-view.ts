import type {EntryItem, ManagedEntry, RawItem} from '../../schemas/cron-api.ts';
import type {Metadata} from '../../schemas/crontab/managed.ts';
import type {Run} from '../../schemas/run.ts';
import {describeSchedule} from '../../schemas/schedule/describe.ts';
import type {StoredCrontab} from './crontab-store.ts';
import type {Entry} from './entry.ts';

/** What the text does not say about an entry. */
export interface EntryTimes {
  readonly nowMs: number;
  /** Epoch ms; null where it never comes. */
  nextRunMs(entry: Entry): number | null;
  lastRun(entry: Entry): Run | null;
}

/** One item per managed entry and per raw line, in file order, so that a page is built from its own lines only. */
export function itemBuilders(stored: StoredCrontab, times: EntryTimes): (() => EntryItem)[] {
  const ruleAt = new Map(stored.entries.map((entry) => [entry.job.line, entry]));
  return stored.crontab.lines.flatMap(({text, managedJob}, index) => {
    const entry = ruleAt.get(index + 1);
    if (managedJob === null) return [() => rawItem(text.replace(/\r?\n?$/, ''), entry, times)];
    // The other lines of a pair belong to the item of its rule.
    const metadata = entry?.job.managed;
    if (entry === undefined || metadata === undefined || metadata === null) return [];
    return [
      (): EntryItem => {
        const {user: _user, ...item} = managedEntry(entry, metadata, stored.changedMs, times);
        return {type: 'managed', ...item};
      },
    ];
  });
}

export function managedEntry(
  entry: Entry,
  metadata: Metadata,
  changedMs: number,
  times: EntryTimes,
): ManagedEntry {
  const {job, expiresAtMs} = entry;
  const fallback = new Date(changedMs).toISOString();
  return {
    id: entry.id,
    user: entry.user,
    name: metadata.name,
    comment: metadata.comment,
    schedule: job.schedule.text,
    schedule_human: describeSchedule(job.schedule),
    command: job.command,
    enabled: job.enabled,
    expired: expiresAtMs !== null && expiresAtMs <= times.nowMs,
    expires_at: metadata.expiresAt,
    created_at: metadata.createdAt ?? fallback,
    updated_at: metadata.updatedAt ?? metadata.createdAt ?? fallback,
    ...timesOf(entry, times),
  };
}

export function rawItem(line: string, entry: Entry | undefined, times: EntryTimes): RawItem {
  if (entry === undefined) return {type: 'raw', line};
  const {schedule, command} = entry.job;
  return {
    type: 'raw',
    line,
    id: entry.id,
    name: entry.name,
    schedule: schedule.text,
    schedule_human: describeSchedule(schedule),
    command,
    ...timesOf(entry, times),
  };
}

function timesOf(entry: Entry, times: EntryTimes): {next_run: string | null; last_run: Run | null} {
  const nextRunMs = times.nextRunMs(entry);
  return {
    next_run: nextRunMs === null ? null : new Date(nextRunMs).toISOString(),
    last_run: times.lastRun(entry),
  };
}
