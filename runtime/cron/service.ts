import {randomUUID} from 'node:crypto';
import {join} from 'node:path';
import type {ControlEvent, ControlState, LastRun, ScheduleState} from '../../schemas/control.ts';
import type {
  CreateEntry,
  CrontabList,
  CrontabPreview,
  EntryList,
  ManagedEntry,
  PageRequest,
  RawItem,
  ReplacedCrontab,
  SchedulePreview,
  SchedulePreviewRequest,
  UpdateEntry,
} from '../../schemas/cron-api.ts';
import {
  insertManaged,
  keepManaged,
  type ManagedRule,
  removeManaged,
  replaceManaged,
} from '../../schemas/crontab/edit.ts';
import {type Metadata, parseTimestamp, uuidPattern} from '../../schemas/crontab/managed.ts';
import {type CrontabJob, crontabSizeProblem, parseCrontab} from '../../schemas/crontab.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Issue} from '../../schemas/issue.ts';
import type {Run, RunList} from '../../schemas/run.ts';
import {createZone, isTimeZone, type Zone} from '../../schemas/schedule/zone.ts';
import type {Clock} from '../platform/clock.ts';
import {mkdir} from '../platform/files.ts';
import type {Log} from '../platform/log.ts';
import {createSerialLock, type SerialLock} from '../platform/serial-lock.ts';
import {openCrontabStore, readCrontab, type StoredCrontab} from './crontab-store.ts';
import {dueWhileDown} from './downtime.ts';
import {type Entry, runId} from './entry.ts';
import {checkCommand, checkComment, checkExpiresAt, checkName, checkSchedule} from './entry-input.ts';
import {type EntryTimes, itemBuilders, managedEntry, rawItem} from './entry-view.ts';
import {createJobRunner} from './job-runner.ts';
import {previewCrontab, previewSchedule} from './preview.ts';
import {openRunStore, type RunClaim, type RunFilter} from './run-store.ts';
import {createScheduler, type DueRun} from './scheduler.ts';
import {createCronUsers} from './users.ts';

export interface CronOptions {
  /** Ours alone: crontabs and run records. */
  readonly directory: string;
  /** `HOME` and working directory of jobs. */
  readonly dataDirectory: string;
  readonly clock: Clock;
  readonly log: Log;
  /** IANA zone of lines without `CRON_TZ`. */
  readonly defaultTimeZone: string;
  /** Names that have a crontab beside `root` and, where we are root, the system users. */
  readonly users: readonly string[];
  /** Read at each start of a job. */
  readonly environment: () => {
    readonly revision: string | null;
    readonly variables: Readonly<Record<string, string>>;
  };
  /** Absolute path; `/bin/sh` unless given. */
  readonly shell?: string;
}

export interface TaggedCrontab {
  readonly user: string;
  readonly crontab: string;
  readonly etag: string;
  readonly rawEtag: string;
}

export interface PutOptions {
  /** `keep`: the text is raw and the managed entries stay. `replace`: the text is the whole file. */
  readonly managed: 'keep' | 'replace';
  /** The value of an `If-Match` header; either tag matches. null sets no condition. */
  readonly ifMatch: string | null;
}

export type RunQuery = Omit<RunFilter, 'user' | 'after'> & {readonly cursor: string | null};

/** Crontabs, entries and runs of one container. All methods throw AppError. */
export interface CronService {
  getCrontab(user: string): Promise<TaggedCrontab>;
  putCrontab(user: string, text: string, options: PutOptions): Promise<TaggedCrontab & ReplacedCrontab>;
  listCrontabs(page: PageRequest): Promise<CrontabList>;

  listEntries(user: string, page: PageRequest): Promise<EntryList>;
  createEntry(user: string, entry: CreateEntry): Promise<ManagedEntry>;
  /** By id or unambiguous prefix. A raw line answers with its list item. */
  getEntry(user: string, id: string): Promise<ManagedEntry | RawItem>;
  updateEntry(user: string, id: string, change: UpdateEntry): Promise<ManagedEntry>;
  deleteEntry(user: string, id: string): Promise<void>;

  listRuns(user: string, query: RunQuery): Promise<RunList>;
  getRun(user: string, id: string): Promise<Run>;

  previewSchedule(request: SchedulePreviewRequest): SchedulePreview;
  previewCrontab(text: string): CrontabPreview;

  /** Begins to run jobs. `reboot`: the container was started, so `@reboot` lines are due once the schedule runs. */
  start(options: {reboot: boolean}): void;
  /** Starts no more jobs and ends the running ones as `interrupted`. Crontabs and records can still be read. */
  stop(options: {graceMs: number; reason: string}): Promise<void>;
  /** After `stop`: closes the records; the service cannot be used any more. */
  close(): void;
  /** `held` until it is called. Nothing of it is stored here. */
  setScheduleState(state: ScheduleState): void;
  summary(): Pick<ControlState, 'crontabs' | 'running_jobs' | 'next_run' | 'last_run'>;
  /** Returns the unsubscribe function. */
  on(listener: (event: ControlEvent) => void): () => void;
}

const hourMs = 60 * 60_000;
const retention = {keptPerEntry: 50, ageMs: 30 * 24 * hourMs} as const;
/** After a failed attempt to take an expired entry out of the file; it does not run meanwhile. */
const sweepRetryMs = 5_000;

export async function openCron(options: CronOptions): Promise<CronService> {
  const {directory, clock, log, environment} = options;
  await mkdir(directory, {recursive: true, mode: 0o700});
  const store = await openCrontabStore(join(directory, 'crontabs'), clock.now());
  const runs = openRunStore(join(directory, 'runs.db'));
  const interrupted = runs.interruptUnfinished();
  if (interrupted > 0)
    log.warn('runs were interrupted by the end of the former runtime', {runs: interrupted});

  const users = createCronUsers(options.users);
  const zones = new Map<string, Zone>();
  const locks = new Map<string, SerialLock>();
  const listeners = new Set<(event: ControlEvent) => void>();
  const stopped = new AbortController();
  let scheduleState: ScheduleState = 'held';
  let rebootPending = false;
  let lastRun: LastRun | null = runs.last();
  let pruneAtMs = clock.now();

  const emit = (event: ControlEvent) => {
    for (const listener of listeners) listener(event);
  };
  const runner = createJobRunner({
    clock,
    log,
    runs,
    users,
    dataDirectory: options.dataDirectory,
    shell: options.shell ?? '/bin/sh',
    emit,
    onFinished({id, entryId, entryName, scheduledMs}, {status, exitCode, finishedMs}) {
      lastRun = {
        id,
        entry_id: entryId,
        entry_name: entryName,
        status,
        exit_code: exitCode,
        scheduled_at: new Date(scheduledMs).toISOString(),
        finished_at: new Date(finishedMs).toISOString(),
      };
    },
  });
  const scheduler = createScheduler({
    clock,
    log,
    zoneOf: ({job}) => zoneNamed(job.timeZone ?? options.defaultTimeZone),
    onDue: fire,
    onExpired(entries) {
      for (const user of new Set(entries.map((entry) => entry.user))) void sweepInBackground(user);
    },
    onIdle() {
      if (clock.now() < pruneAtMs) return;
      pruneAtMs = clock.now() + hourMs;
      runs.prune(clock.now() - retention.ageMs, retention.keptPerEntry);
    },
  });
  for (const user of store.users()) {
    const {entries, crontab} = store.get(user);
    for (const issue of crontab.issues) log.warn('a stored crontab line does not run', {user, ...issue});
    scheduler.replace(user, entries);
  }

  function zoneNamed(name: string): Zone {
    const zone = zones.get(name) ?? createZone(name);
    zones.set(name, zone);
    return zone;
  }

  /** Claims first: whoever finds the claim after a crash knows that the run may have begun. */
  function fire(due: readonly DueRun[]): void {
    const {revision, variables} = environment();
    const entries = new Map<string, Entry>();
    const claims = due.map(({entry, scheduledMs, skipped}): RunClaim => {
      const id = runId(entry.id, scheduledMs);
      entries.set(id, entry);
      return {
        id,
        entryId: entry.id,
        entryName: entry.name,
        user: entry.user,
        schedule: entry.job.schedule.text,
        command: entry.job.command,
        scheduledMs,
        revision,
        skipped: skipped ?? (scheduleState === 'running' ? null : scheduleState),
      };
    });
    for (const claim of runs.claim(claims)) {
      const entry = entries.get(claim.id);
      if (claim.skipped === null && entry !== undefined) runner.start(entry, claim, variables);
    }
  }

  /** Every due minute has a record, also those that nobody was there to see. */
  function recordDowntime(): void {
    const nowMs = clock.now();
    const due = store.users().flatMap((user) => {
      const {entries, changedMs} = store.get(user);
      return entries.flatMap((entry): DueRun[] => {
        const last = runs.lastOf(entry.id);
        const fromMs = Math.max(changedMs, last === null ? 0 : Date.parse(last.scheduled_at));
        const zone = zoneNamed(entry.job.timeZone ?? options.defaultTimeZone);
        const minutes = dueWhileDown(entry, zone, {fromMs, nowMs, most: retention.keptPerEntry});
        return minutes.map((scheduledMs) => ({entry, scheduledMs, skipped: 'runtime_down'}));
      });
    });
    if (due.length > 0) fire(due);
  }

  function fireReboot(): void {
    if (!rebootPending || scheduleState === 'held') return;
    rebootPending = false;
    const scheduledMs = clock.now();
    const entries = store.users().flatMap((user) => store.get(user).entries);
    fire(
      entries
        .filter(({job}) => job.schedule.reboot && job.enabled)
        .filter(({expiresAtMs}) => expiresAtMs === null || expiresAtMs > scheduledMs)
        .map((entry) => ({entry, scheduledMs, skipped: null})),
    );
  }

  function withLock<T>(user: string, task: () => Promise<T>): Promise<T> {
    const lock = locks.get(user) ?? createSerialLock();
    locks.set(user, lock);
    return lock(task);
  }

  /** Only under the user's lock. Throws where the new text is not a valid crontab; then nothing has changed. */
  async function replaceText(user: string, text: string): Promise<StoredCrontab> {
    const before = store.get(user);
    if (text === before.text) return before;
    checkSize(text);
    const after = readCrontab(user, text, clock.now());
    refuseIssues(after.crontab.issues);
    return commit(after);
  }

  async function commit(stored: StoredCrontab): Promise<StoredCrontab> {
    const {user, entries, rawEtag} = stored;
    await store.write(stored);
    scheduler.replace(user, entries);
    emit({type: 'crontab_changed', user, raw_etag: rawEtag});
    return stored;
  }

  /** Takes expired entries out of the text, whatever else it holds. Only under the user's lock. */
  async function sweep(user: string): Promise<StoredCrontab> {
    const stored = store.get(user);
    const gone = expiredIds(stored.entries, clock.now());
    if (gone.size === 0) return stored;
    return commit(
      readCrontab(
        user,
        removeManaged(stored.crontab, ({id}) => gone.has(id)),
        clock.now(),
      ),
    );
  }

  async function sweepInBackground(user: string): Promise<void> {
    while (!stopped.signal.aborted) {
      try {
        await withLock(user, () => sweep(user));
        return;
      } catch (error) {
        log.error('an expired entry could not be removed; it does not run', {error, user});
        // Rejects only at the end of the service, which the loop sees.
        await clock.sleep(sweepRetryMs, {signal: stopped.signal}).catch(() => {});
      }
    }
  }

  async function current(user: string): Promise<StoredCrontab> {
    const {name} = await users.find(user);
    return withLock(name, () => sweep(name));
  }

  function times(): EntryTimes {
    return {
      nowMs: clock.now(),
      nextRunMs: ({user, id}) => scheduler.nextOf(user, id),
      lastRun: ({id}) => runs.lastOf(id),
    };
  }

  function view(stored: StoredCrontab, id: string): ManagedEntry {
    const entry = stored.entries.find((candidate) => candidate.id === id);
    if (entry === undefined || entry.job.managed === null) throw noEntry(id);
    return managedEntry(entry, entry.job.managed, stored.changedMs, times());
  }

  async function listRuns(user: string, {cursor, ...query}: RunQuery): Promise<RunList> {
    const {name} = await users.find(user);
    const items = runs.list({...query, user: name, after: decodeCursor(cursor), limit: query.limit + 1});
    const page = items.slice(0, query.limit);
    const last = page.at(-1);
    return {
      items: page,
      next_cursor: items.length > page.length && last !== undefined ? encodeCursor(last) : null,
    };
  }

  return {
    getCrontab: async (user) => tagged(await current(user)),

    async putCrontab(user, text, {managed, ifMatch}) {
      checkSize(text);
      const {name} = await users.find(user);
      return withLock(name, async () => {
        const before = await sweep(name);
        requireMatch(before, ifMatch);
        if (managed === 'keep') {
          refuseIssues(parseCrontab(text, {file: 'crontab', managedAllowed: false}).issues);
          return {...tagged(await replaceText(name, keepManaged(before.crontab, text))), removed_expired: 0};
        }
        const wanted = readCrontab(name, text, clock.now());
        refuseIssues(wanted.crontab.issues);
        const gone = expiredIds(wanted.entries, clock.now());
        const after = await replaceText(
          name,
          removeManaged(wanted.crontab, ({id}) => gone.has(id)),
        );
        return {...tagged(after), removed_expired: gone.size};
      });
    },

    async listCrontabs({page, limit}) {
      const all = await users.list();
      const shown = all.slice((page - 1) * limit, page * limit);
      const items = await Promise.all(
        shown.map(async ({name}) => ({user: name, crontab: (await withLock(name, () => sweep(name))).text})),
      );
      return {items, total: all.length, page, limit};
    },

    async listEntries(user, {page, limit}) {
      const builders = itemBuilders(await current(user), times());
      const entries = builders.slice((page - 1) * limit, page * limit).map((build) => build());
      return {user, page, limit, total: builders.length, entries};
    },

    async createEntry(user, input) {
      const schedule = checkSchedule(input.schedule);
      const command = checkCommand(input.command);
      const now = new Date(clock.now()).toISOString();
      const metadata = {
        id: randomUUID(),
        createdAt: now,
        updatedAt: now,
        expiresAt: checkExpiresAt(input.expires_at, clock.now()),
        name: checkName(input.name),
        comment: checkComment(input.comment),
        unknown: [],
      };
      const {name} = await users.find(user);
      return withLock(name, async () => {
        const {crontab} = await sweep(name);
        const rule = {metadata, schedule, command, enabled: input.enabled ?? true};
        return view(await replaceText(name, insertManaged(crontab, checkPair(rule))), metadata.id);
      });
    },

    async getEntry(user, id) {
      const stored = await current(user);
      const entry = findEntry(stored, id);
      if (entry.job.managed !== null) return view(stored, entry.id);
      const line = stored.crontab.lines[entry.job.line - 1]?.text ?? '';
      return rawItem(line.replace(/\r?\n?$/, ''), entry, times());
    },

    async updateEntry(user, id, change) {
      const {name} = await users.find(user);
      return withLock(name, async () => {
        const {crontab, entries} = await sweep(name);
        const {job, managed} = findManaged({entries}, id);
        const expiresAt = change.clear_expiration
          ? null
          : (checkExpiresAt(change.expires_at, clock.now()) ?? managed.expiresAt);
        const metadata = {
          ...managed,
          expiresAt,
          updatedAt: new Date(clock.now()).toISOString(),
          name: checkName(change.name) ?? managed.name,
          comment: checkComment(change.comment) ?? managed.comment,
        };
        const rule = checkPair({
          metadata,
          schedule: typeof change.schedule === 'string' ? checkSchedule(change.schedule) : job.schedule.text,
          command: typeof change.command === 'string' ? checkCommand(change.command) : job.command,
          enabled: change.enabled ?? job.enabled,
        });
        const text = replaceManaged(crontab, crontab.jobs.indexOf(job), rule);
        return view(await replaceText(name, text), metadata.id);
      });
    },

    async deleteEntry(user, id) {
      const {name} = await users.find(user);
      await withLock(name, async () => {
        const {crontab, entries} = await sweep(name);
        const {managed} = findManaged({entries}, id);
        await replaceText(
          name,
          removeManaged(crontab, (metadata) => metadata.id === managed.id),
        );
      });
    },

    listRuns,

    async getRun(user, id) {
      const {name} = await users.find(user);
      const run = runs.get(name, id.toLowerCase());
      if (run === null)
        throw new AppError('RUN_NOT_FOUND', `No run of ${name} has the id \`${id.slice(0, 64)}\`.`);
      return run;
    },

    previewSchedule({schedule, timeZone, afterMs, count}) {
      if (timeZone !== null && !isTimeZone(timeZone)) {
        const message = `\`${timeZone.slice(0, 64)}\` is not an IANA time zone; write one such as \`Europe/Berlin\`.`;
        throw new AppError('INVALID_QUERY', message);
      }
      // A zone that only a preview asks for is not remembered.
      const zone = timeZone === null ? zoneNamed(options.defaultTimeZone) : createZone(timeZone);
      return previewSchedule(schedule, zone, afterMs ?? clock.now(), count);
    },

    previewCrontab(text) {
      checkSize(text);
      return previewCrontab(text);
    },

    start({reboot}) {
      rebootPending = reboot;
      recordDowntime();
      scheduler.start();
      fireReboot();
    },

    async stop(how) {
      stopped.abort();
      await scheduler.stop();
      await runner.stop(how);
    },

    close: () => runs.close(),

    setScheduleState(state) {
      scheduleState = state;
      fireReboot();
    },

    summary() {
      const next = scheduler.next();
      return {
        crontabs: Object.fromEntries(store.users().map((user) => [user, counts(store.get(user))])),
        running_jobs: runner.running,
        next_run:
          next === null
            ? null
            : {entry_id: next.entry.id, entry_name: next.entry.name, at: new Date(next.atMs).toISOString()},
        last_run: lastRun,
      };
    },

    on(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}

function tagged({user, text, etag, rawEtag}: StoredCrontab): TaggedCrontab {
  return {user, crontab: text, etag, rawEtag};
}

function counts({entries, rawEtag}: StoredCrontab): ControlState['crontabs'][string] {
  const managed = entries.filter(({job}) => job.managed !== null).length;
  return {raw_etag: rawEtag, jobs: entries.length - managed, managed};
}

function expiredIds(entries: readonly Entry[], nowMs: number): ReadonlySet<string> {
  return new Set(
    entries.filter(({expiresAtMs}) => expiresAtMs !== null && expiresAtMs <= nowMs).map(({id}) => id),
  );
}

function requireMatch({etag, rawEtag}: StoredCrontab, ifMatch: string | null): void {
  if (ifMatch === null || ifMatch.trim() === '*') return;
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (tags.includes(etag) || tags.includes(rawEtag)) return;
  const message = 'The crontab changed since you read it; read it again and repeat the change.';
  throw new AppError('PRECONDITION_FAILED', message, {details: {etag, raw_etag: rawEtag}});
}

function checkSize(text: string): void {
  const problem = crontabSizeProblem(text);
  if (problem !== null) throw new AppError('PAYLOAD_TOO_LARGE', problem);
}

function refuseIssues(issues: readonly Issue[]): void {
  const [first] = issues;
  if (first === undefined) return;
  const more = issues.length === 1 ? '' : ` (and ${issues.length - 1} more)`;
  const message = `Line ${first.line}, column ${first.column}: ${first.message}${more} Nothing was written.`;
  throw new AppError('INVALID_CRONTAB', message, {details: {issues: issues.slice(0, 100)}});
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

/** By full id or by a prefix of at least four characters that only one entry has. */
function findEntry({entries}: Pick<StoredCrontab, 'entries'>, id: string): Entry {
  const wanted = id.toLowerCase();
  if (!uuidPattern.test(wanted) && !/^[0-9a-f][0-9a-f-]{3,34}$/.test(wanted)) {
    throw new AppError('INVALID_ID', 'Entry id must be a UUID, or at least the first 4 characters of one.');
  }
  const [entry, other] = entries.filter((candidate) => candidate.id.startsWith(wanted));
  if (entry === undefined) throw noEntry(id);
  if (other !== undefined) {
    throw new AppError(
      'INVALID_ID',
      `More than one entry has an id that begins with \`${wanted}\`; write more of it.`,
    );
  }
  return entry;
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

function noEntry(id: string): AppError {
  return new AppError('ENTRY_NOT_FOUND', `There is no entry \`${id.slice(0, 64)}\`; it may have expired.`);
}

function encodeCursor({scheduled_at, id}: Run): string {
  return Buffer.from(JSON.stringify([scheduled_at, id])).toString('base64url');
}

function decodeCursor(cursor: string | null): RunFilter['after'] {
  if (cursor === null) return null;
  const [, scheduledAt = '', id = ''] =
    /^\["([^"]+)","([^"]+)"\]$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  const scheduledMs = parseTimestamp(scheduledAt);
  if (scheduledMs === null) {
    throw new AppError('INVALID_PAGINATION', 'The cursor is not one of ours; begin again without it.');
  }
  return {scheduledMs, id};
}
