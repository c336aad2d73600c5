import type {EntryItem, ManagedEntry, RawItem} from '../../schemas/cron-api.ts';
import type {PauseView} from '../../schemas/cron-run-api.ts';
import type {Metadata} from '../../schemas/crontab/managed.ts';
import {printDuration} from '../../schemas/duration.ts';
import type {Run} from '../../schemas/run.ts';
import type {StoredCrontab} from './crontab-store.ts';
import type {Entry} from './entry.ts';
import type {Pause} from './pause-store.ts';
import {type DescribeSchedule, describeEntry} from './schedule-words.ts';

/** What the text does not say about an entry. */
export interface EntryFacts extends EntryTimes {
  readonly describe: DescribeSchedule;
}

export interface EntryTimes {
  readonly nowMs: number;
  /** IANA zone of lines that name none. */
  readonly defaultTimeZone: string;
  /** Epoch ms; null where it never comes. */
  nextRunMs(entry: Entry): number | null;
  lastRun(entry: Entry): Run | null;
  pauseOf(entry: Entry): Pause | null;
  /** True for a line that the controller holds back. */
  isHeld(entry: Entry): boolean;
}

/** One item per managed entry and per raw line, in file order, so that a page is built from its own lines only. */
export function itemBuilders(stored: StoredCrontab, facts: EntryFacts): (() => EntryItem)[] {
  const ruleAt = new Map(stored.entries.map((entry) => [entry.job.line, entry]));
  return stored.crontab.lines.flatMap(({text, managedJob}, index) => {
    const entry = ruleAt.get(index + 1);
    if (managedJob === null) return [() => rawItem(text.replace(/\r?\n?$/, ''), entry, facts)];
    // The other lines of a pair belong to the item of its rule.
    const metadata = entry?.job.managed;
    if (entry === undefined || metadata === undefined || metadata === null) return [];
    return [
      (): EntryItem => {
        const {user: _user, ...item} = managedEntry(entry, metadata, stored.changedMs, facts);
        return {type: 'managed', ...item};
      },
    ];
  });
}

export function managedEntry(
  entry: Entry,
  metadata: Metadata,
  changedMs: number,
  facts: EntryFacts,
): ManagedEntry {
  const {job, expiresAtMs} = entry;
  const fallback = new Date(changedMs).toISOString();
  return {
    id: entry.id,
    user: entry.user,
    name: metadata.name,
    comment: metadata.comment,
    schedule: job.schedule.text,
    schedule_human: describeEntry(entry, facts.describe),
    command: job.command,
    enabled: job.enabled,
    expired: expiresAtMs !== null && expiresAtMs <= facts.nowMs,
    expires_at: metadata.expiresAt,
    run_at: metadata.runAt,
    created_at: metadata.createdAt ?? fallback,
    updated_at: metadata.updatedAt ?? metadata.createdAt ?? fallback,
    ...howItRuns(entry, facts),
    ...timesOf(entry, facts),
  };
}

export function rawItem(line: string, entry: Entry | undefined, facts: EntryFacts): RawItem {
  if (entry === undefined) return {type: 'raw', line};
  const {schedule, command} = entry.job;
  return {
    type: 'raw',
    line,
    id: entry.id,
    name: entry.name,
    schedule: schedule.text,
    schedule_human: describeEntry(entry, facts.describe),
    command,
    ...howItRuns(entry, facts),
    ...timesOf(entry, facts),
  };
}

function howItRuns({job}: Entry, facts: EntryTimes) {
  const {overlap, timeoutMs, retries, catchupMs, jitterMs} = job.options;
  return {
    timezone: job.timeZone ?? facts.defaultTimeZone,
    overlap,
    timeout_seconds: timeoutMs === null ? null : timeoutMs / 1000,
    retries,
    catchup: catchupMs === null ? 'none' : printDuration(catchupMs),
    jitter: printDuration(jitterMs),
  };
}

function timesOf(
  entry: Entry,
  facts: EntryTimes,
): {next_run: string | null; last_run: Run | null; paused: PauseView | null; held: boolean} {
  return {
    next_run: iso(facts.nextRunMs(entry)),
    last_run: facts.lastRun(entry),
    paused: pauseView(facts.pauseOf(entry)),
    held: facts.isHeld(entry),
  };
}

function pauseView(pause: Pause | null): PauseView | null {
  if (pause === null) return null;
  const {reason, sinceMs, untilMs, owner} = pause;
  return {reason, owner, since: new Date(sinceMs).toISOString(), until: iso(untilMs)};
}

function iso(epochMs: number | null): string | null {
  return epochMs === null ? null : new Date(epochMs).toISOString();
}
