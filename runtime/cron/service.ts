import {join} from 'node:path';
import {
  type ContainerSettings,
  type ContainerUser,
  heldLine,
  type ScheduleGate,
} from '../../schemas/control.ts';
import type {ControlEvent, ControlState, LastRun} from '../../schemas/control-state.ts';
import type {
  CreateEntry,
  CrontabList,
  CrontabPreview,
  CrontabReport,
  EntryList,
  ManagedEntry,
  NextRuns,
  PageRequest,
  RawItem,
  SchedulePreview,
  SchedulePreviewRequest,
  UpdateEntry,
} from '../../schemas/cron-api.ts';
import type {OutputEvent, PauseRequest, Why} from '../../schemas/cron-run-api.ts';
import {crontabLimits, ruleOf} from '../../schemas/crontab.ts';
import {AppError} from '../../schemas/errors.ts';
import type {RunLimits} from '../../schemas/limits.ts';
import type {Run, RunCall, RunList} from '../../schemas/run.ts';
import {createZone, isTimeZone} from '../../schemas/schedule/zone.ts';
import type {Clock} from '../platform/clock.ts';
import {mkdir} from '../platform/files.ts';
import type {Log} from '../platform/log.ts';
import {createCrontabHistory} from './crontab-history.ts';
import {openCrontabStore, type StoredCrontab} from './crontab-store.ts';
import {checkCrontabSize, createCrontabWrites, type PutOptions} from './crontab-writes.ts';
import {missedWhileDown} from './downtime.ts';
import {createEntries} from './entries.ts';
import {type Entry, isExpired, runId} from './entry.ts';
import {createEntryActions} from './entry-actions.ts';
import type {EntryTimes} from './entry-view.ts';
import {createFiring, type JobEnvironment} from './firing.ts';
import {createJobMail, type JobMailOptions} from './job-mail.ts';
import {createJobRunner} from './job-runner.ts';
import {createCronMetrics} from './metrics.ts';
import {openPauseStore} from './pause-store.ts';
import {previewCrontab, previewSchedule} from './preview.ts';
import {reportPut} from './put-report.ts';
import {createRetries} from './retries.ts';
import {openRunDatabase} from './run-database.ts';
import {followRun} from './run-following.ts';
import {createJobLimits} from './run-limits.ts';
import {createRunQueries, type RunQuery} from './run-queries.ts';
import {createRunRecorder} from './run-recorder.ts';
import {createRunRetention} from './run-retention.ts';
import {createRunStore, type RunClaim, type RunResult} from './run-store.ts';
import {createScheduler} from './scheduler.ts';
import {type CronUser, createCronUsers} from './users.ts';
import {explain} from './why.ts';
import {createZones} from './zones.ts';

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
  /** Further ones; asked each time. */
  readonly configuredUsers?: () => readonly ContainerUser[];
  readonly environment: JobEnvironment;
  /** Raw lines that do not run by themselves; asked with each run. None unless given. */
  readonly heldLines?: () => ContainerSettings['held_lines'];
  /** What bounds the jobs; asked with each run. Nothing does unless given. */
  readonly limits?: () => RunLimits | null;
  /** Bytes that count against the limit of the disk; asked for where there is one. */
  readonly measureDisk?: () => Promise<number>;
  /** Tells this container from others, so that the jitter of equal jobs differs. Empty unless given. */
  readonly jitterSeed?: string;
  /** Sends what `MAILTO` asks for; `host` stands for the container in sender and subject. */
  readonly mail?: JobMailOptions;
  /** Jobs that one user's crontab may hold; without it the lines are the limit. */
  readonly maxEntries?: () => number;
  /** Bytes of all records together; 64 MiB unless given. */
  readonly maxRecordBytes?: number;
  /** Absolute path; `/bin/sh` unless given. */
  readonly shell?: string;
  /** Characters of all users' crontabs together; 40 Mi unless given. */
  readonly maxTotalLength?: number;
}

export interface TaggedCrontab {
  readonly user: string;
  readonly crontab: string;
  readonly etag: string;
  readonly rawEtag: string;
}

export interface PutCrontab extends TaggedCrontab {
  readonly removed_expired: number;
  /** What the text means and what has changed; worked out when it is asked for. */
  report(): Promise<CrontabReport>;
}

/** Crontabs, entries and runs of one container. All methods throw AppError. */
export interface CronService {
  getCrontab(user: string): Promise<TaggedCrontab>;
  putCrontab(user: string, text: string, options: PutOptions): Promise<PutCrontab>;
  /** Throws INVALID_USER or USER_NOT_FOUND. */
  findUser(name: string): Promise<CronUser>;
  listCrontabs(page: PageRequest): Promise<CrontabList>;

  listEntries(user: string, page: PageRequest): Promise<EntryList>;
  createEntry(user: string, entry: CreateEntry): Promise<ManagedEntry>;
  /** By id or unambiguous prefix. A raw line answers with its list item. */
  getEntry(user: string, id: string): Promise<ManagedEntry | RawItem>;
  updateEntry(user: string, id: string, change: UpdateEntry): Promise<ManagedEntry>;
  deleteEntry(user: string, id: string): Promise<void>;
  nextRuns(user: string, id: string, count: number): Promise<NextRuns>;

  /** Starts a run whatever the schedule says, and answers with its record. */
  runEntry(user: string, id: string): Promise<Run>;
  pauseEntry(user: string, id: string, request: PauseRequest): Promise<ManagedEntry | RawItem>;
  resumeEntry(user: string, id: string): Promise<ManagedEntry | RawItem>;

  listRuns(user: string, query: RunQuery): Promise<RunList>;
  /** Of one entry, by id or unambiguous prefix, also when it is gone. */
  listEntryRuns(user: string, id: string, query: RunQuery): Promise<RunList>;
  getRun(user: string, id: string): Promise<Run>;
  /** The output there is, then what comes in, then the record when the run is over. */
  followRun(user: string, id: string, signal: AbortSignal): Promise<AsyncIterable<OutputEvent>>;
  /** Whether and why an entry, given by id, beginning of it or name, ran in the minute of `atMs`. */
  why(user: string, entry: string, atMs: number): Promise<Why>;

  /** Notes a call of a script in the record of the run that made it. An unknown run is left out of account. */
  addCall(runId: string, call: RunCall): void;
  runningJobs(): number;
  /** True where the run goes on as this system user. */
  isRunOf(runId: string, userId: number): boolean;

  previewSchedule(request: SchedulePreviewRequest): Promise<SchedulePreview>;
  previewCrontab(text: string): CrontabPreview;

  /** Begins to run jobs. `reboot`: the container was started, so `@reboot` lines are due once the schedule runs. */
  start(options: {reboot: boolean}): void;
  /** Starts no more jobs and ends the running ones as `interrupted`. Crontabs and records can still be read. */
  stop(options: {graceMs: number; reason: string}): Promise<void>;
  /** After `stop`: closes the records; the service cannot be used any more. */
  close(): void;
  /** `held` until it is called. Nothing of it is stored here. */
  setScheduleState(state: ScheduleGate): void;
  summary(): Pick<ControlState, 'crontabs' | 'running_jobs' | 'limits' | 'next_run' | 'last_run'>;
  /** In the text form of Prometheus. */
  metrics(): string;
  /** Returns the unsubscribe function. */
  on(listener: (event: ControlEvent) => void): () => void;
}

/** Of each entry so many records stay, whatever their age. */
const keptPerEntry = 50;
const recordAgeMs = 30 * 24 * 60 * 60_000;

export async function openCron(options: CronOptions): Promise<CronService> {
  const {directory, clock, log, environment} = options;
  await mkdir(directory, {recursive: true, mode: 0o700});
  const store = await openCrontabStore(join(directory, 'crontabs'), {
    nowMs: clock.now(),
    jitterSeed: options.jitterSeed ?? '',
  });
  const database = openRunDatabase(join(directory, 'runs.db'));
  const metrics = createCronMetrics();
  const runs = metrics.metered(createRunStore(database));
  const pauses = openPauseStore(database);
  const history = createCrontabHistory(database);
  const retention = createRunRetention(database, {
    keptPerEntry,
    ageMs: recordAgeMs,
    maxBytes: options.maxRecordBytes ?? 64 * 1024 * 1024,
  });
  const recorder = createRunRecorder({clock, log, runs});
  const named = options.users.map((name) => ({name, account: null}));
  const users = createCronUsers(() => [...named, ...(options.configuredUsers?.() ?? [])]);
  const zones = createZones(options.defaultTimeZone);
  const listeners = new Set<(event: ControlEvent) => void>();
  const stopped = new AbortController();
  let lastRun: LastRun | null = runs.last();
  let isStarted = false;

  const emit = (event: ControlEvent) => {
    for (const listener of listeners) listener(event);
  };
  const limits = createJobLimits({
    limits: options.limits ?? (() => null),
    clock,
    log,
    startedSince: runs.startedSince,
    measureDisk: options.measureDisk ?? (async () => 0),
  });
  const runner = createJobRunner({
    limits,
    clock,
    log,
    runs,
    recorder,
    users,
    dataDirectory: options.dataDirectory,
    shell: options.shell ?? '/bin/sh',
    emit,
    onFinished(entry, claim, result) {
      lastRun = toLastRun(claim, result);
      retries.consider(entry, claim, result);
      mail.report(entry, claim, result);
    },
  });
  const {delivery, host} = options.mail ?? {delivery: () => null, host: 'localhost'};
  const mail = createJobMail({delivery, host, clock, log, stopped: stopped.signal});
  const retries = createRetries({
    clock,
    log,
    runs,
    recorder,
    obstacle: (entry) => firing.retryObstacle(entry),
    start: (entry, claim) => firing.startRetry(entry, claim),
  });
  const isHeld = ({user, job}: Entry) => {
    const held = options.heldLines?.() ?? [];
    return job.managed === null && (held === 'all' || held.includes(heldLine(user, ruleOf(job))));
  };
  const firing = createFiring({
    clock,
    log,
    environment,
    isHeld,
    limits,
    store,
    runs,
    pauses,
    runner,
    retries,
    zones,
    keptPerEntry,
    onSpent: ({user}) => void writes.sweepInBackground(user),
  });
  const scheduler = createScheduler({
    clock,
    log,
    zoneOf: ({job}) => zones.of(job.timeZone),
    onDue: firing.fire,
    onExpired(entries) {
      for (const user of new Set(entries.map((entry) => entry.user))) void writes.sweepInBackground(user);
    },
    onIdle() {
      firing.fire([]);
      recorder.flush();
      retention.step(clock.now());
    },
    mostMissed: keptPerEntry,
  });
  const writes = createCrontabWrites({
    store,
    users,
    clock,
    log,
    stopped: stopped.signal,
    emit,
    onReplaced(stored) {
      try {
        pauses.follow(stored.user, stored.entries);
      } catch (error) {
        log.error('a pause could not follow its line', {error, user: stored.user});
      }
      scheduler.replace(stored.user, stored.entries);
      remember(stored);
      if (isStarted) firing.fireOverdue();
    },
    isOver: (entry) =>
      isExpired(entry, clock.now()) || (entry.runAtMs !== null && runs.has(runId(entry.id, entry.runAtMs))),
    maxEntries: options.maxEntries ?? (() => crontabLimits.maxLines),
    maxTotalLength: options.maxTotalLength ?? 40 * 1024 * 1024,
  });
  const remember = ({user, text, changedMs}: StoredCrontab) => {
    try {
      history.record(user, text, changedMs);
    } catch (error) {
      log.error('a change of a crontab could not be added to its history', {error, user});
    }
  };
  const times = (): EntryTimes => ({
    nowMs: clock.now(),
    defaultTimeZone: options.defaultTimeZone,
    nextRunMs: ({user, id}) => scheduler.nextOf(user, id),
    lastRun: ({id}) => runs.lastOf(id),
    pauseOf: (entry) => pauses.of(entry, clock.now()),
    isHeld,
  });
  const entries = createEntries({writes, clock, times, zones});
  const queries = createRunQueries({users, runs, entriesOf: (user) => store.get(user).entries});
  const actions = createEntryActions({
    writes,
    entries,
    queries,
    firing,
    pauses,
    clock,
    stopped: stopped.signal,
  });
  const found = store.users().map((user) => store.get(user));
  for (const stored of found) {
    const {user, crontab} = stored;
    remember(stored);
    for (const issue of crontab.issues) log.warn('a stored crontab line does not run', {user, ...issue});
    scheduler.replace(user, stored.entries);
  }
  // From here on the scheduler sees what is due, and crontabs may change before it starts.
  let downtime = missedWhileDown(found, {runs, zones, untilMs: clock.now(), most: keptPerEntry});

  return {
    getCrontab: async (user) => tagged(await writes.current(user)),

    async putCrontab(user, text, how) {
      const {before, after, removedExpired} = await writes.put(user, text, how);
      const nowMs = clock.now();
      const activeMs = how.dryRun ? null : after === before ? after.changedMs : nowMs;
      const report = () =>
        reportPut({before, after, activeMs, nowMs, zones, mailDelivered: delivery() !== null, log});
      return {...tagged(after), removed_expired: removedExpired, report};
    },

    findUser: users.find,

    async listCrontabs({page, limit}) {
      const all = await users.list();
      const shown = all.slice((page - 1) * limit, page * limit);
      const items = await Promise.all(
        shown.map(async ({name}) => ({user: name, crontab: (await writes.current(name)).text})),
      );
      return {items, total: all.length, page, limit};
    },

    listEntries: entries.list,
    createEntry: entries.create,
    getEntry: entries.get,
    updateEntry: entries.update,
    deleteEntry: entries.delete,
    nextRuns: entries.next,

    runEntry: actions.run,
    pauseEntry: actions.pause,
    resumeEntry: actions.resume,

    listRuns: queries.list,
    listEntryRuns: queries.listOf,
    getRun: queries.get,
    async followRun(user, id, signal) {
      const {name} = await users.find(user);
      const run = await queries.get(name, id);
      return followRun(() => runs.get(name, run.id) ?? run, runner, signal);
    },
    async why(user, entry, atMs) {
      const {name} = await users.find(user);
      const asked = {user: name, wanted: entry, atMs, nowMs: clock.now()};
      return explain(asked, {store, history, runs, zones});
    },

    addCall: runs.addCall,
    runningJobs: () => runner.running,
    isRunOf: runner.isRunOf,

    async previewSchedule({schedule, timeZone, afterMs, count}) {
      if (timeZone !== null && !isTimeZone(timeZone)) {
        const message = `\`${timeZone.slice(0, 64)}\` is not an IANA time zone; write one such as \`Europe/Berlin\`.`;
        throw new AppError('INVALID_QUERY', message);
      }
      // A zone that only a preview asks for is not remembered.
      const zone = timeZone === null ? zones.of(null) : createZone(timeZone);
      return previewSchedule(schedule, zone, afterMs ?? clock.now(), count);
    },

    previewCrontab(text) {
      checkCrontabSize(text);
      return previewCrontab(text);
    },

    start({reboot}) {
      isStarted = true;
      firing.recordDowntime(downtime);
      downtime = [];
      firing.fireOverdue();
      scheduler.start();
      if (reboot) firing.expectReboot();
    },

    async stop(how) {
      stopped.abort();
      await scheduler.stop();
      await retries.stop(how.reason);
      await runner.stop(how);
    },

    close() {
      recorder.flush();
      database.close();
    },

    setScheduleState: firing.setState,

    summary() {
      const next = scheduler.next();
      return {
        crontabs: Object.fromEntries(store.users().map((user) => [user, counts(store.get(user))])),
        running_jobs: runner.running,
        limits: limits.report(),
        next_run:
          next === null
            ? null
            : {entry_id: next.entry.id, entry_name: next.entry.name, at: new Date(next.atMs).toISOString()},
        last_run: lastRun,
      };
    },

    metrics() {
      const entries = store.users().flatMap((user) => store.get(user).entries);
      const nextRuns = entries.map(({user, id}) => ({entryId: id, atMs: scheduler.nextOf(user, id)}));
      return metrics.print({runningJobs: runner.running, nextRuns});
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

function toLastRun(
  {id, entryId, entryName, scheduledMs}: RunClaim,
  {status, exitCode, finishedMs}: RunResult,
): LastRun {
  return {
    id,
    entry_id: entryId,
    entry_name: entryName,
    status,
    exit_code: exitCode,
    scheduled_at: new Date(scheduledMs).toISOString(),
    finished_at: new Date(finishedMs).toISOString(),
  };
}
