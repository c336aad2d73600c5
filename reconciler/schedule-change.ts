import {jobWarnings} from '../schemas/crontab/job-warnings.ts';
import {ruleOf} from '../schemas/crontab.ts';
import {type NamedJob, namedJobs} from '../schemas/named-jobs.ts';
import {matchesDay, nextRun} from '../schemas/schedule/next-run.ts';
import {hoursOf, minutesOf, type Schedule, writtenOut} from '../schemas/schedule/parse.ts';
import type {PlannedJob, ScheduleChange} from '../schemas/schedule-change.ts';
import {type BranchPolicy, tightened} from './branch-settings.ts';
import {type FilesOfTree, fileWarnings} from './command-files.ts';
import {crontabIssues} from './desired.ts';
import type {BranchFiles, CrontabFile} from './observation.ts';
import {namesOneOf} from './preview-holds.ts';

const dayMs = 24 * 60 * 60_000;
const minuteMs = 60_000;
const shownRuns = 5;
const shownMinutes = 3;

/** The files of one side; no crontab and no script where the commit has no `.hoody/`. */
export type Side = Pick<BranchFiles, 'crontabs' | 'scripts' | 'settings' | 'issues'>;

export interface ChangeContext {
  /** Of lines without a zone of their own. */
  readonly timeZone: string;
  readonly nowMs: number;
  readonly describe: (schedule: Schedule) => string;
  /** Paths that differ between the two commits. */
  readonly changedPaths: readonly string[];
  readonly tree: FilesOfTree;
  /** What the operator allows to the head, as a preview and when it is live. */
  readonly operator: {readonly preview: BranchPolicy; readonly live: BranchPolicy};
  /** Crontabs of other branches, by name. */
  readonly others: ReadonlyMap<string, readonly CrontabFile[]>;
}

/** What it means for what runs when `head` takes the place of `base`. Pure. */
export function scheduleChange(
  base: Side,
  head: Side,
  context: ChangeContext,
): Omit<ScheduleChange, 'base' | 'head' | 'merge' | 'running'> {
  const {timeZone, nowMs} = context;
  const [before, after] = [namedJobs(base.crontabs, timeZone), namedJobs(head.crontabs, timeZone)];
  const {added, changed, removed, same} = jobChanges(before, after, context.changedPaths);
  const shape = createShape(context);
  const planned = (job: NamedJob) => plannedJob(job, shape);
  const [preview, live] = (['preview', 'live'] as const).map((role) =>
    tightened(context.operator[role], head.settings, {live: role === 'live', kept: false}),
  );
  const collisionsOf = createCollisions(context, shape);
  const load = loadOf(after, shape);
  return {
    timezone: timeZone,
    added: added.map(planned),
    changed: changed.map(({then, now, what}) => ({before: planned(then), after: planned(now), what})),
    removed: removed.map(planned),
    same: same.map(planned),
    totals: {before: totalOf(before, shape), after: totalOf(after, shape)},
    scripts: scriptChanges(base, head),
    settings: {preview: [...(preview?.effects ?? [])], live: [...(live?.effects ?? [])]},
    issues: [
      ...head.issues,
      ...crontabIssues(head.crontabs),
      ...(preview?.issues ?? []),
      ...(live?.issues ?? []),
    ],
    warnings: after.flatMap((job) => [
      ...jobWarnings(job.job, job.text, job.zone, nowMs).map((warning) => ({file: job.file, ...warning})),
      ...fileWarnings(job, context.tree),
    ]),
    collisions: [...added, ...changed.map(({now}) => now)].flatMap((job) =>
      collisionsOf(job).map((collision) => ({job: planned(job), ...collision})),
    ),
    load: {from: new Date(shape.fromMs).toISOString(), minutes: load},
    busiest: busiestMinutes(load, shape),
  };
}

/** Which jobs come, change, go and stay; jobs stay what they are where the commands name a file of `changedPaths`. */
export function jobChanges(
  before: readonly NamedJob[],
  after: readonly NamedJob[],
  changedPaths: readonly string[],
): {
  readonly added: readonly NamedJob[];
  readonly changed: readonly {then: NamedJob; now: NamedJob; what: Difference[]}[];
  readonly removed: readonly NamedJob[];
  readonly same: readonly NamedJob[];
} {
  const pairs = pair(before, after);
  const namesChanged = namesOneOf(changedPaths);
  const compared = [...pairs].map(([then, now]) => ({then, now, what: differences(then, now, namesChanged)}));
  const kept = new Set(pairs.values());
  return {
    added: after.filter((job) => !kept.has(job)),
    changed: compared.filter(({what}) => what.length > 0),
    removed: before.filter((job) => !pairs.has(job)),
    same: compared.filter(({what}) => what.length === 0).map(({now}) => now),
  };
}

/** Who was who before: the same rule, else the same given name, else the same command, else the same program. */
function pair(before: readonly NamedJob[], after: readonly NamedJob[]): Map<NamedJob, NamedJob> {
  const pairs = new Map<NamedJob, NamedJob>();
  const open = new Set(after);
  const keys: ((job: NamedJob) => string | null)[] = [
    ({job}) => ruleOf(job),
    ({job}) => job.givenName,
    ({job}) => job.command,
    ({name}) => name,
  ];
  for (const key of keys) {
    const wanted = new Map<string, NamedJob[]>();
    for (const job of open) {
      const value = key(job);
      if (value === null) continue;
      const identity = `${job.user} ${value}`;
      wanted.set(identity, [...(wanted.get(identity) ?? []), job]);
    }
    for (const then of before) {
      const value = key(then);
      const now =
        pairs.has(then) || value === null ? undefined : wanted.get(`${then.user} ${value}`)?.shift();
      if (now === undefined) continue;
      pairs.set(then, now);
      open.delete(now);
    }
  }
  return pairs;
}

type Difference = ScheduleChange['changed'][number]['what'][number];

function differences(
  then: NamedJob,
  now: NamedJob,
  namesChanged: (command: string) => boolean,
): Difference[] {
  const same: Record<Difference, boolean> = {
    schedule: writtenOut(then.job.schedule) === writtenOut(now.job.schedule),
    command: then.job.commandText === now.job.commandText,
    variables: isEqual(then.job.environment, now.job.environment),
    options: isEqual(then.job.options, now.job.options),
    timezone: then.zone.name === now.zone.name,
    script: !namesChanged(now.job.command),
  };
  return (Object.keys(same) as Difference[]).filter((what) => !same[what]);
}

function isEqual(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** What is asked of schedules; each is worked out once, since many jobs share one. */
interface Shape {
  /** Beginning of the present minute, epoch ms. */
  readonly fromMs: number;
  /** Numbers of the minutes of the 24 hours from then in which it runs. */
  readonly minutesOf: (job: NamedJob) => ReadonlySet<number>;
  readonly perDay: (job: NamedJob) => number;
  /** The next five runs, RFC 3339. */
  readonly next: (job: NamedJob) => readonly string[];
  readonly words: (job: NamedJob) => string;
}

function createShape({nowMs, describe}: ChangeContext): Shape {
  const fromMs = Math.floor(nowMs / minuteMs) * minuteMs;
  const remembered = <T>(find: (job: NamedJob) => T): ((job: NamedJob) => T) => {
    const known = new Map<string, T>();
    return (job) => {
      const key = `${job.zone.name} ${job.job.schedule.text}`;
      const found = known.get(key) ?? find(job);
      known.set(key, found);
      return found;
    };
  };
  return {
    fromMs,
    minutesOf: remembered(({job: {schedule}, zone}) => {
      const minutes = new Set<number>();
      let atMs = nextRun(schedule, zone, fromMs - minuteMs);
      for (; atMs !== null && atMs < fromMs + dayMs; atMs = nextRun(schedule, zone, atMs))
        minutes.add((atMs - fromMs) / minuteMs);
      return minutes;
    }),
    perDay: remembered(({job: {schedule}}) => runsPerDay(schedule, nowMs)),
    next: remembered(({job: {schedule}, zone}) => {
      const next: string[] = [];
      for (let atMs: number | null = nowMs; next.length < shownRuns; ) {
        atMs = nextRun(schedule, zone, atMs);
        if (atMs === null) break;
        next.push(new Date(atMs).toISOString());
      }
      return next;
    }),
    words: ({job: {schedule}}) => describe(schedule),
  };
}

function plannedJob(named: NamedJob, {next, perDay, words}: Shape): PlannedJob {
  const {user, file, job, name, zone} = named;
  return {
    user,
    name,
    file,
    line: job.line,
    schedule: job.schedule.text,
    schedule_human: words(named),
    command: job.command,
    timezone: zone.name,
    runs_per_day: perDay(named),
    next: [...next(named)],
  };
}

function totalOf(jobs: readonly NamedJob[], {perDay}: Shape): ScheduleChange['totals']['after'] {
  return {jobs: jobs.length, runs_per_day: jobs.reduce((sum, job) => sum + perDay(job), 0)};
}

/** Mean over a year; summer time and its like move runs but hardly change their number. */
function runsPerDay(schedule: Schedule, nowMs: number): number {
  if (schedule.reboot) return 0;
  const today = Math.floor(nowMs / dayMs) * dayMs;
  const days = Array.from({length: 365}, (_, index) => new Date(today + index * dayMs));
  const matching = days.filter(
    (date) =>
      ((schedule.months >>> (date.getUTCMonth() + 1)) & 1) === 1 &&
      matchesDay(schedule, date.getUTCDate(), date.getUTCDay()),
  ).length;
  return (minutesOf(schedule).length * hoursOf(schedule).length * matching) / days.length;
}

function scriptChanges(base: Side, head: Side): ScheduleChange['scripts'] {
  const before = new Map(base.scripts.map(({path, sha256}) => [path, sha256]));
  const after = new Map(head.scripts.map(({path, sha256}) => [path, sha256]));
  return {
    added: [...after.keys()].filter((path) => !before.has(path)),
    changed: [...after]
      .filter(([path, hash]) => before.has(path) && before.get(path) !== hash)
      .map(([path]) => path),
    removed: [...before.keys()].filter((path) => !after.has(path)),
  };
}

type Collision = Omit<ScheduleChange['collisions'][number], 'job'>;

/** What other branches do in the same minute: run the same program, or ask for the same address elsewhere. */
function createCollisions(
  {others, timeZone}: ChangeContext,
  {minutesOf: minutes}: Shape,
): (job: NamedJob) => Collision[] {
  const users = new Map<string, {branch: string; job: NamedJob}[]>();
  for (const [branch, crontabs] of others)
    for (const job of namedJobs(crontabs, timeZone))
      for (const {what} of sharedThings(job)) users.set(what, [...(users.get(what) ?? []), {branch, job}]);
  return (job) =>
    sharedThings(job).flatMap(({what, url}) => {
      const own = minutes(job);
      const found = (users.get(what) ?? []).filter((other) => !minutes(other.job).isDisjointFrom(own));
      const branches = [...new Set(found.map(({branch}) => branch))];
      return branches.length === 0 ? [] : [{branches, url}];
    });
}

/** A container's own services: other branches ask theirs. */
const ownHost = /^(?:localhost|127\.[\d.]+|\[::1\]|hoody-[a-z]+)(?::\d+)?$/i;

/** The whole command where it names a program or an address of its own (`true` on two branches is no collision), else its addresses. */
function sharedThings({job: {command}}: NamedJob): {what: string; url: string | null}[] {
  const urls = [...command.matchAll(/https?:\/\/([^\s/'"`;|&()<>]+)[^\s'"`;|&()<>]*/g)];
  const elsewhere = urls.filter(([, host = '']) => !ownHost.test(host) && !host.includes('$'));
  if (elsewhere.length > 0)
    return [...new Set(elsewhere.map(([url]) => url))].map((url) => ({what: url, url}));
  return urls.length === 0 && /[/.]/.test(command) ? [{what: command, url: null}] : [];
}

/** Runs in each minute of the 24 hours to come. */
function loadOf(jobs: readonly NamedJob[], {minutesOf: minutes}: Shape): number[] {
  const load = Array.from({length: dayMs / minuteMs}, () => 0);
  for (const job of jobs) for (const minute of minutes(job)) load[minute] = (load[minute] ?? 0) + 1;
  return load;
}

function busiestMinutes(load: readonly number[], {fromMs}: Shape): ScheduleChange['busiest'] {
  return load
    .map((jobs, minute) => ({atMs: fromMs + minute * minuteMs, jobs}))
    .filter(({jobs}) => jobs > 1)
    .sort((a, b) => b.jobs - a.jobs || a.atMs - b.atMs)
    .slice(0, shownMinutes)
    .map(({atMs, jobs}) => ({at: new Date(atMs).toISOString(), jobs}));
}
