import {randomUUID} from 'node:crypto';
import type {
  CreateEntry,
  EntryList,
  ManagedEntry,
  NextRuns,
  PageRequest,
  RawItem,
  UpdateEntry,
} from '../../schemas/cron-api.ts';
import {insertManaged, type ManagedRule, removeManaged, replaceManaged} from '../../schemas/crontab/edit.ts';
import {type Metadata, uuidPattern} from '../../schemas/crontab/managed.ts';
import type {OptionTexts} from '../../schemas/crontab/options.ts';
import {type CrontabJob, parseCrontab} from '../../schemas/crontab.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Clock} from '../platform/clock.ts';
import type {StoredCrontab} from './crontab-store.ts';
import type {CrontabWrites} from './crontab-writes.ts';
import type {Entry} from './entry.ts';
import {checkCommand, checkComment, checkExpiresAt, checkName, checkSchedule} from './entry-input.ts';
import {changeOptions, checkRunAt, scheduleOfInstant} from './entry-options.ts';
import {type EntryFacts, type EntryTimes, itemBuilders, managedEntry, rawItem} from './entry-view.ts';
import {loadScheduleWords} from './schedule-words.ts';
import {upcomingRuns} from './upcoming.ts';
import type {Zones} from './zones.ts';

/** Managed entries as JSON; each is two lines of its user's crontab. */
export interface Entries {
  list(user: string, page: PageRequest): Promise<EntryList>;
  create(user: string, entry: CreateEntry): Promise<ManagedEntry>;
  /** By id or unambiguous prefix. A raw line answers with its list item. */
  get(user: string, id: string): Promise<ManagedEntry | RawItem>;
  update(user: string, id: string, change: UpdateEntry): Promise<ManagedEntry>;
  delete(user: string, id: string): Promise<void>;
  next(user: string, id: string, count: number): Promise<NextRuns>;
}

export function createEntries({
  writes,
  clock,
  times,
  zones,
}: {
  writes: CrontabWrites;
  clock: Clock;
  times: () => EntryTimes;
  zones: Zones;
}): Entries {
  async function view(stored: StoredCrontab, id: string): Promise<ManagedEntry> {
    const entry = stored.entries.find((candidate) => candidate.id === id);
    if (entry === undefined || entry.job.managed === null) throw noEntry(id);
    return managedEntry(entry, entry.job.managed, stored.changedMs, await facts());
  }

  /** The rule of an entry that either repeats or runs once. Throws INVALID_SCHEDULE or INVALID_RUN_AT. */
  function scheduleFor(
    schedule: string | null | undefined,
    runAt: string | null,
    {timezone}: OptionTexts,
  ): string {
    if (runAt === null) return checkSchedule(schedule ?? '');
    if (typeof schedule !== 'string') return scheduleOfInstant(runAt, zones.of(timezone ?? null));
    throw new AppError('INVALID_RUN_AT', 'An entry either repeats or runs once; give schedule or run_at.');
  }

  async function facts(): Promise<EntryFacts> {
    return {...times(), describe: await loadScheduleWords()};
  }

  return {
    async list(user, {page, limit}) {
      const builders = itemBuilders(await writes.current(user), await facts());
      const entries = builders.slice((page - 1) * limit, page * limit).map((build) => build());
      return {user, page, limit, total: builders.length, entries};
    },

    async create(user, input) {
      const runAt = checkRunAt(input.run_at, clock.now());
      const optionTexts = changeOptions({}, input);
      const schedule = scheduleFor(input.schedule, runAt, optionTexts);
      const command = checkCommand(input.command);
      const now = new Date(clock.now()).toISOString();
      const metadata = {
        id: randomUUID(),
        createdAt: now,
        updatedAt: now,
        expiresAt: checkExpiresAt(input.expires_at, clock.now()),
        name: checkName(input.name),
        comment: checkComment(input.comment),
        runAt,
        optionTexts,
        unknown: [],
      };
      const rule = checkPair({metadata, schedule, command, enabled: input.enabled ?? true});
      return view(await writes.change(user, ({crontab}) => insertManaged(crontab, rule)), metadata.id);
    },

    async get(user, id) {
      const stored = await writes.current(user);
      const entry = findEntry(stored, id);
      if (entry.job.managed !== null) return view(stored, entry.id);
      const line = stored.crontab.lines[entry.job.line - 1]?.text ?? '';
      return rawItem(line.replace(/\r?\n?$/, ''), entry, await facts());
    },

    async update(user, id, change) {
      let changedId = '';
      const stored = await writes.change(user, ({crontab, entries}) => {
        const {job, managed} = findManaged({entries}, id);
        changedId = managed.id;
        const expiresAt = change.clear_expiration
          ? null
          : (checkExpiresAt(change.expires_at, clock.now()) ?? managed.expiresAt);
        const runAt = checkRunAt(change.run_at, clock.now());
        const optionTexts = changeOptions(managed.optionTexts, change);
        const repeats = typeof change.schedule === 'string';
        const isSame = !repeats && runAt === null && managed.runAt === null;
        const metadata = {
          ...managed,
          expiresAt,
          runAt: repeats ? null : (runAt ?? managed.runAt),
          optionTexts,
          updatedAt: new Date(clock.now()).toISOString(),
          name: checkName(change.name) ?? managed.name,
          comment: checkComment(change.comment) ?? managed.comment,
        };
        const rule = checkPair({
          metadata,
          schedule: isSame
            ? job.schedule.text
            : scheduleFor(change.schedule, runAt ?? (repeats ? null : managed.runAt), optionTexts),
          command: typeof change.command === 'string' ? checkCommand(change.command) : job.command,
          enabled: change.enabled ?? job.enabled,
        });
        return replaceManaged(crontab, crontab.jobs.indexOf(job), rule);
      });
      return view(stored, changedId);
    },

    async next(user, id, count) {
      const entry = findEntry(await writes.current(user), id);
      const zone = zones.of(entry.job.timeZone);
      const next = upcomingRuns(entry, zone, clock.now(), count).map((atMs) => new Date(atMs).toISOString());
      return {entry_id: entry.id, timezone: zone.name, next};
    },

    async delete(user, id) {
      await writes.change(user, ({crontab, entries}) => {
        const {managed} = findManaged({entries}, id);
        return removeManaged(crontab, (metadata) => metadata.id === managed.id);
      });
    },
  };
}

/** By full id or by a prefix of at least four characters that only one entry has. Throws INVALID_ID or ENTRY_NOT_FOUND. */
export function findEntry({entries}: Pick<StoredCrontab, 'entries'>, id: string): Entry {
  const beginning = checkId(id);
  const [entry, other] = entries.filter((candidate) => candidate.id.startsWith(beginning));
  if (entry === undefined) throw noEntry(id);
  if (other !== undefined) throw ambiguousId(beginning);
  return entry;
}

/** The id or the beginning of one in small letters. Throws INVALID_ID. */
export function checkId(id: string): string {
  const wanted = id.toLowerCase();
  if (uuidPattern.test(wanted) || idBeginning.test(wanted)) return wanted;
  throw new AppError('INVALID_ID', 'Entry id must be a UUID, or at least the first 4 characters of one.');
}

export const idBeginning = /^[0-9a-f][0-9a-f-]{3,34}$/;

export function ambiguousId(beginning: string): AppError {
  const message = `More than one entry has an id that begins with \`${beginning}\`; write more of it.`;
  return new AppError('INVALID_ID', message);
}

/** A command can be fine for a shell and still read differently on a crontab line. */
function checkPair(rule: ManagedRule): ManagedRule {
  const empty = parseCrontab('', {file: 'crontab', managedAllowed: true});
  const {jobs} = parseCrontab(insertManaged(empty, rule), {file: 'crontab', managedAllowed: true});
  if (jobs[0]?.command === rule.command && jobs[0].stdin === null) return rule;
  const message =
    'The command reads differently on a crontab line; put it into a script, or begin it with the program.';
  throw new AppError('INVALID_COMMAND', message);
}

function findManaged(
  stored: Pick<StoredCrontab, 'entries'>,
  id: string,
): {job: CrontabJob; managed: Metadata} {
  const {job} = findEntry(stored, id);
  const {managed} = job;
  if (managed === null) {
    throw new AppError(
      'ENTRY_NOT_FOUND',
      'This is a line of the raw crontab; change it by PUT of the crontab.',
    );
  }
  return {job, managed};
}

export function noEntry(id: string): AppError {
  return new AppError('ENTRY_NOT_FOUND', `There is no entry \`${id.slice(0, 64)}\`; it may have expired.`);
}
