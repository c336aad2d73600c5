import {derivedName} from '../schemas/crontab/command.ts';
import {jobWarnings} from '../schemas/crontab/job-warnings.ts';
import {type CrontabJob, parseCrontab, ruleOf} from '../schemas/crontab.ts';
import type {Issue} from '../schemas/issue.ts';
import {matchesDay, nextRun} from '../schemas/schedule/next-run.ts';
import {hoursOf, minutesOf, type Schedule} from '../schemas/schedule/parse.ts';
import {createZone} from '../schemas/schedule/zone.ts';
import type {PlannedJob, ScheduleChange} from '../schemas/schedule-change.ts';
import {crontabIssues} from './desired.ts';
import type {BranchFiles, CrontabFile} from './observation.ts';
import {isNamed} from './preview-holds.ts';

const dayMs = 24 * 60 * 60_000;
const minuteMs = 60_000;
const shownRuns = 5;
const shownMinutes = 3;

/** The files of one side; no crontab and no script where the commit has no `.hoody/`. */
export type Side = Pick<BranchFiles, 'crontabs' | 'scripts' | 'issues'>;

export interface ChangeContext {
  /** Of lines without a zone of their own. */
  readonly timeZone: string;
  readonly nowMs: number;
  readonly describe: (schedule: Schedule) => string;
  /** Paths that differ between the two commits. */
  readonly changedPaths: readonly string[];
  /** Files of the head's tree, with whether they can be executed. */
  readonly tree: ReadonlyMap<string, {readonly executable: boolean}>;
  /** Crontabs of other branches, by name. */
  readonly others: ReadonlyMap<string, readonly CrontabFile[]>;
}

interface Job {
  readonly user: string;
  readonly file: string;
  readonly text: string;
  readonly job: CrontabJob;
  readonly name: string | null;
  readonly zone: string;
}

/** Of commits that have no `.hoody/`. */
export const noScheduleChange: Omit<ScheduleChange, 'base' | 'head'> = {
  added: [],
  changed: [],
  removed: [],
  same: [],
  scripts: {added: [], changed: [], removed: []},
  issues: [],
  warnings: [],
  collisions: [],
  busiest: [],
};

/** What it means for what runs when `head` takes the place of `base`. Pure. */
export function scheduleChange(
  base: Side,
  head: Side,
  context: ChangeContext,
): Omit<ScheduleChange, 'base' | 'head'> {
  const [before, after] = [jobsOf(base.crontabs, context), jobsOf(head.crontabs, context)];
  const pairs = pair(before, after);
  const planned = (job: Job) => plannedJob(job, context);
  const compared = [...pairs].map(([then, now]) => ({then, now, what: differences(then, now, context)}));
  const changed = compared.filter(({what}) => what.length > 0);
  const taken = new Set(pairs.keys());
  const kept = new Set(pairs.values());
  const added = after.filter((job) => !kept.has(job));
  return {
    added: added.map(planned),
    changed: changed.map(({then, now, what}) => ({before: planned(then), after: planned(now), what})),
    removed: before.filter((job) => !taken.has(job)).map(planned),
    same: compared.filter(({what}) => what.length === 0).map(({now}) => planned(now)),
    scripts: scriptChanges(base, head),
    issues: [...head.issues, ...crontabIssues(head.crontabs)],
    warnings: after.flatMap((job) => warningsOf(job, context)),
    collisions: [...added, ...changed.map(({now}) => now)].flatMap((job) => {
      const branches = collidingBranches(job, context);
      return branches.length === 0 ? [] : [{job: planned(job), branches}];
    }),
    busiest: busiestMinutes(after, context.nowMs),
  };
}

function jobsOf(crontabs: readonly CrontabFile[], {timeZone}: Pick<ChangeContext, 'timeZone'>): Job[] {
  return crontabs.flatMap(({file, user, text}) => {
    const {jobs, lines} = parseCrontab(text, {file, managedAllowed: false});
    return jobs.map((job) => ({
      user,
      file,
      text: lines[job.line - 1]?.text ?? '',
      job,
      name: job.givenName ?? derivedName(job.command),
      zone: job.timeZone ?? timeZone,
    }));
  });
}

/** Who was who before: the same rule, else the same given name, else the same command, else the same program. */
function pair(before: readonly Job[], after: readonly Job[]): Map<Job, Job> {
  const pairs = new Map<Job, Job>();
  const open = new Set(after);
  const keys: ((job: Job) => string | null)[] = [
    ({job}) => ruleOf(job),
    ({job}) => job.givenName,
    ({job}) => job.command,
    ({name}) => name,
  ];
  for (const key of keys) {
    for (const then of before) {
      const wanted = key(then);
      if (pairs.has(then) || wanted === null) continue;
      const now = [...open].find((job) => job.user === then.user && key(job) === wanted);
      if (now === undefined) continue;
      pairs.set(then, now);
      open.delete(now);
    }
  }
  return pairs;
}

type Difference = ScheduleChange['changed'][number]['what'][number];

function differences(then: Job, now: Job, {changedPaths}: ChangeContext): Difference[] {
  const same: Record<Difference, boolean> = {
    schedule: then.job.schedule.text === now.job.schedule.text,
    command: then.job.commandText === now.job.commandText,
    variables: JSON.stringify(then.job.environment) === JSON.stringify(now.job.environment),
    options: JSON.stringify(then.job.options) === JSON.stringify(now.job.options),
    timezone: then.zone === now.zone,
    script: !changedPaths.some((path) => isNamed(path, now.job.command)),
  };
  return (Object.keys(same) as Difference[]).filter((what) => !same[what]);
}

function plannedJob({user, file, job, name, zone}: Job, {nowMs, describe}: ChangeContext): PlannedJob {
  const next: string[] = [];
  const clock = createZone(zone);
  for (let atMs: number | null = nowMs; next.length < shownRuns; ) {
    atMs = nextRun(job.schedule, clock, atMs);
    if (atMs === null) break;
    next.push(new Date(atMs).toISOString());
  }
  return {
    user,
    name,
    file,
    line: job.line,
    schedule: job.schedule.text,
    schedule_human: describe(job.schedule),
    command: job.command,
    timezone: zone,
    runs_per_day: runsPerDay(job.schedule, nowMs),
    next,
  };
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

function warningsOf({file, text, job, zone}: Job, {nowMs, tree}: ChangeContext): Issue[] {
  const found = jobWarnings(job, text, createZone(zone), nowMs).map((warning) => ({file, ...warning}));
  const program = /^(?:\.\/|\/srv\/)?([\w.-]+(?:\/[\w.-]+)+|[\w-]+\.\w+)(?=\s|$)/.exec(job.command);
  const path = program?.[1];
  if (path === undefined || /^\/(?!srv\/)/.test(job.command)) return found;
  const column = Math.max(0, text.indexOf(job.command)) + 1;
  const known = tree.get(path);
  if (known === undefined)
    found.push({
      file,
      line: job.line,
      column,
      code: 'file_missing',
      message: `There is no file \`${path}\` in this commit.`,
    });
  else if (!known.executable)
    found.push({
      file,
      line: job.line,
      column,
      code: 'file_not_executable',
      message: `\`${path}\` is not executable; run: git update-index --chmod=+x ${path}`,
    });
  return found;
}

/** Only lines that name a program or an address of their own: `true` on two branches is no collision. */
function collidingBranches({job, zone}: Job, {others, timeZone, nowMs}: ChangeContext): string[] {
  if (!/[/.]/.test(job.command)) return [];
  const minutes = minutesOfDay(job.schedule, zone, nowMs);
  return [...others].flatMap(([branch, crontabs]) => {
    const collides = jobsOf(crontabs, {timeZone})
      .filter((other) => other.job.command === job.command)
      .some((other) => !minutesOfDay(other.job.schedule, other.zone, nowMs).isDisjointFrom(minutes));
    return collides ? [branch] : [];
  });
}

function busiestMinutes(jobs: readonly Job[], nowMs: number): ScheduleChange['busiest'] {
  const counts = new Map<number, number>();
  for (const {job, zone} of jobs)
    for (const atMs of minutesOfDay(job.schedule, zone, nowMs)) counts.set(atMs, (counts.get(atMs) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count > 1)
    .sort(([a, first], [b, second]) => second - first || a - b)
    .slice(0, shownMinutes)
    .map(([atMs, count]) => ({at: new Date(atMs).toISOString(), jobs: count}));
}

/** Epoch ms of the runs of the 24 hours to come. */
function minutesOfDay(schedule: Schedule, zone: string, nowMs: number): ReadonlySet<number> {
  const runs = new Set<number>();
  const clock = createZone(zone);
  for (let atMs = nextRun(schedule, clock, nowMs - minuteMs); atMs !== null && atMs < nowMs + dayMs; ) {
    runs.add(atMs);
    atMs = nextRun(schedule, clock, atMs);
  }
  return runs;
}
