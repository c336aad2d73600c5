import * as z from 'zod';
import {durationSchema, printDuration} from './duration.ts';
import type {Issue} from './issue.ts';
import {type NamedJob, namedJobs} from './named-jobs.ts';
import {nextRun} from './schedule/next-run.ts';
import type {Zone} from './schedule/zone.ts';
import {parseYaml} from './yaml-file.ts';

export const crontabTestPath = '.hoody/crontab.test.yaml';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

const jobName = z.string().min(1).max(200);
const duration = durationSchema.refine((ms) => ms >= minuteMs && ms <= 366 * dayMs, 'write 1m to 366d');
const timeOfDay = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/, "write a time of day as '02:30'");

const kinds = ['never_within', 'only_between', 'runs_per_day', 'at_least_every'] as const;

const assertionSchema = z
  .strictObject({
    job: jobName.meta({description: 'Name of a job as `branchtab runs` shows it; * stands for anything.'}),
    user: z
      .string()
      .min(1)
      .max(32)
      .optional()
      .meta({description: 'Whose job it is; anybody’s unless given.'}),
    never_within: duration
      .optional()
      .meta({description: 'No run of it begins closer than this to one of `of`, before or after.'}),
    of: jobName.optional().meta({description: 'The other job, with never_within.'}),
    only_between: z.tuple([timeOfDay, timeOfDay]).optional().meta({
      description: 'Times of day in its time zone between which it begins; the second is not part of it.',
    }),
    runs_per_day: z
      .strictObject({
        min: z.int().min(0).max(100_000).default(0),
        max: z.int().min(0).max(100_000).default(100_000),
      })
      .optional()
      .meta({description: 'Runs on each day of its time zone.'}),
    at_least_every: duration.optional().meta({description: 'No longer time passes between two runs of it.'}),
    because: z.string().min(1).max(500).optional().meta({description: 'Shown where it does not hold.'}),
  })
  .refine((assertion) => kinds.filter((kind) => assertion[kind] !== undefined).length === 1, {
    message: `write exactly one of ${kinds.join(', ')}`,
  })
  .refine(({never_within, of}) => (never_within === undefined) === (of === undefined), {
    message: '`never_within` and `of` belong together',
  })
  .meta({id: 'Assertion'});
type Assertion = z.infer<typeof assertionSchema>;

/** `.hoody/crontab.test.yaml`: what must hold for the schedule of the branch. */
export const crontabTestSchema = z
  .strictObject({version: z.literal(1), assertions: z.array(assertionSchema).max(100)})
  .meta({id: 'CrontabTest', title: '.hoody/crontab.test.yaml'});

/** A year with a leap day, always the same one: a commit is right or wrong on every day alike. */
const fromMs = Date.UTC(2028, 0, 1);
const untilMs = Date.UTC(2029, 0, 1);
/** Of all jobs together, in equal shares; a job with more runs is looked at from the first of January as far as that goes. */
const mostRuns = 200_000;
const mostRunsOfJob = 50_000;
const leastRunsOfJob = 20;

/**
 * What does not hold of the assertions in `text`, with the place of each. `crontabs` are without issues of their own,
 * `timeZone` is that of lines without one. Pure.
 */
export function crontabTestIssues(
  text: string,
  {crontabs, timeZone}: {crontabs: readonly {user: string; file: string; text: string}[]; timeZone: string},
): Issue[] {
  const {value, issues, positionOf} = parseYaml(text, crontabTestPath, crontabTestSchema);
  if (value === null) return issues;
  const jobs = namedJobs(crontabs, timeZone);
  const schedules = createSchedules(jobs);
  return value.assertions.flatMap((assertion, index) => {
    const why = assertion.because === undefined ? '' : ` (${assertion.because})`;
    const at = (...path: string[]) => positionOf(['assertions', index, ...path]);
    const unknown = [assertion.job, assertion.of].find(
      (name) => name !== undefined && !jobs.some((job) => isNamed(job, name)),
    );
    if (unknown !== undefined)
      return [
        {
          file: crontabTestPath,
          ...at(unknown === assertion.job ? 'job' : 'of'),
          code: 'job_unknown',
          message: `No job of the crontabs is called ${JSON.stringify(unknown)}.`,
        },
      ];
    const tested = jobs.filter(
      (job) => isNamed(job, assertion.job) && (assertion.user ?? job.user) === job.user,
    );
    const problem = problemOf(tested, {assertion, jobs, schedules});
    if (problem === null) return [];
    return [{file: crontabTestPath, ...at(), code: 'assertion_failed', message: `${problem}${why}.`}];
  });
}

/** What a job does from the beginning of the year to `endMs`, epoch ms. */
interface Looked {
  readonly runs: readonly number[];
  readonly endMs: number;
}

interface Run {
  readonly atMs: number;
  readonly job: NamedJob;
}

/**
 * What is known of the jobs. Each thing is found once, however many assertions ask: the time that a branch's file
 * takes must not grow with the product of its jobs and its assertions.
 */
interface Schedules {
  readonly lookedAt: (job: NamedJob) => Looked;
  /** Minutes of the day in its zone at which it ever runs, each with the first such run in epoch ms. */
  readonly minutes: (job: NamedJob) => ReadonlyMap<number, number>;
  /** Runs by day of its zone, in days since 1970. */
  readonly days: (job: NamedJob) => ReadonlyMap<number, number>;
  /** Of all jobs, in order. */
  readonly allRuns: () => readonly Run[];
}

function createSchedules(jobs: readonly NamedJob[]): Schedules {
  const most = Math.min(mostRunsOfJob, Math.max(leastRunsOfJob, Math.floor(mostRuns / jobs.length)));
  const lookedAt = remembered(({job, zone}): Looked => {
    const runs: number[] = [];
    let at = nextRun(job.schedule, zone, fromMs - 1);
    for (; at !== null && at < untilMs && runs.length < most; at = nextRun(job.schedule, zone, at))
      runs.push(at);
    return {runs, endMs: at === null ? untilMs : Math.min(at, untilMs)};
  });
  const wallOf = (zone: Zone, atMs: number) => atMs + zone.segmentAt(atMs).offsetMs;
  let all: readonly Run[] | null = null;
  return {
    lookedAt,
    minutes: remembered((job) => {
      const found = new Map<number, number>();
      for (const at of lookedAt(job).runs) {
        const minute = Math.floor((wallOf(job.zone, at) % dayMs) / minuteMs);
        if (!found.has(minute)) found.set(minute, at);
      }
      return found;
    }),
    days: remembered((job) => {
      const found = new Map<number, number>();
      for (const at of lookedAt(job).runs) {
        const day = Math.floor(wallOf(job.zone, at) / dayMs);
        found.set(day, (found.get(day) ?? 0) + 1);
      }
      return found;
    }),
    allRuns() {
      all ??= jobs
        .flatMap((job) => lookedAt(job).runs.map((atMs) => ({atMs, job})))
        .sort((a, b) => a.atMs - b.atMs);
      return all;
    },
  };
}

function remembered<T>(find: (job: NamedJob) => T): (job: NamedJob) => T {
  const known = new Map<NamedJob, T>();
  return (job) => {
    const found = known.get(job) ?? find(job);
    known.set(job, found);
    return found;
  };
}

function isNamed({name}: NamedJob, wanted: string): boolean {
  return name !== null && matches(name, wanted.split('*'));
}

/** Linear, whatever a branch writes: a pattern of many stars must not take long. */
function matches(name: string, [first = '', ...rest]: readonly string[]): boolean {
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}

interface Grounds {
  readonly assertion: Assertion;
  readonly jobs: readonly NamedJob[];
  readonly schedules: Schedules;
}

/** A sentence without its full stop about the first of the jobs for which the assertion does not hold; else null. */
function problemOf(tested: readonly NamedJob[], {assertion, jobs, schedules}: Grounds): string | null {
  const {
    never_within: distance,
    of,
    only_between: window,
    runs_per_day: count,
    at_least_every: gap,
  } = assertion;
  if (distance !== undefined && of !== undefined) {
    const others = new Set(jobs.filter((job) => isNamed(job, of)));
    const found = closeRuns(schedules.allRuns(), {tested: new Set(tested), others, distanceMs: distance});
    if (found === null) return null;
    const [one, other] = found;
    return `${called(one.job)} begins at ${when(one)} and ${called(other.job)} at ${when(other)}; they are never to be within ${printDuration(distance)}`;
  }
  for (const job of tested) {
    let problem: string | null = null;
    if (window !== undefined) problem = windowProblem(job, window, schedules);
    else if (count !== undefined) problem = dayProblem(job, count, schedules);
    else if (gap !== undefined) problem = gapProblem(job, gap, schedules);
    if (problem !== null) return problem;
  }
  return null;
}

interface Distance {
  readonly tested: ReadonlySet<NamedJob>;
  readonly others: ReadonlySet<NamedJob>;
  readonly distanceMs: number;
}

/** The first run of a tested job and one of another that are closer than the distance. */
function closeRuns(runs: readonly Run[], {tested, others, distanceMs}: Distance): [Run, Run] | null {
  const lastTested = createLastRuns();
  const lastOther = createLastRuns();
  for (const run of runs) {
    const isNear = (former: Run | null): former is Run =>
      former !== null && run.atMs - former.atMs < distanceMs;
    const other = tested.has(run.job) ? lastOther.ofAnother(run.job) : null;
    if (isNear(other)) return [run, other];
    const one = others.has(run.job) ? lastTested.ofAnother(run.job) : null;
    if (isNear(one)) return [one, run];
    if (tested.has(run.job)) lastTested.add(run);
    if (others.has(run.job)) lastOther.add(run);
  }
  return null;
}

/** Remembers the latest runs of two jobs: one of them is not that of the job that is asked about. */
function createLastRuns() {
  let last: Run | null = null;
  let lastOfAnother: Run | null = null;
  return {
    add(run: Run): void {
      if (last !== null && last.job !== run.job) lastOfAnother = last;
      last = run;
    },
    ofAnother: (job: NamedJob): Run | null => (last?.job === job ? lastOfAnother : last),
  };
}

function windowProblem(
  job: NamedJob,
  [from, to]: readonly [string, string],
  {minutes}: Schedules,
): string | null {
  const [first, last] = [minuteOf(from), minuteOf(to)];
  const outside = [...minutes(job)]
    .filter(([minute]) =>
      first <= last ? minute < first || minute >= last : minute < first && minute >= last,
    )
    .map(([, atMs]) => atMs);
  if (outside.length === 0) return null;
  const atMs = outside.reduce((earliest, at) => Math.min(earliest, at));
  return `${called(job)} begins at ${when({job, atMs})}, and is to begin between ${from} and ${to} alone`;
}

function minuteOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}

function dayProblem(
  job: NamedJob,
  {min, max}: {min: number; max: number},
  {lookedAt, days}: Schedules,
): string | null {
  const counts = days(job);
  // What was looked at begins and ends within a day of a zone that is not UTC.
  const firstDay = Math.floor(fromMs / dayMs) + 1;
  const lastDay = Math.floor(lookedAt(job).endMs / dayMs) - 2;
  for (let day = firstDay; day <= lastDay; day += 1) {
    const count = counts.get(day) ?? 0;
    if (count >= min && count <= max) continue;
    const date = new Date(day * dayMs).toISOString().slice(0, 10);
    return `${called(job)} runs ${count} times on ${date}; ${count < min ? `at least ${min}` : `at most ${max}`} are asserted`;
  }
  return null;
}

function gapProblem(job: NamedJob, gapMs: number, {lookedAt}: Schedules): string | null {
  const {runs, endMs} = lookedAt(job);
  const asserted = `; at least every ${printDuration(gapMs)} is asserted`;
  const [first] = runs;
  if (first === undefined) return `${called(job)} never runs${asserted}`;
  let former = Math.min(first, fromMs + gapMs);
  for (const at of [...runs, endMs]) {
    if (at - former > gapMs)
      return `${called(job)} does not run from ${when({job, atMs: former})} until ${when({job, atMs: at})}${asserted}`;
    former = at;
  }
  return null;
}

/** Its name, and where it stands. */
function called({name, file, job}: NamedJob): string {
  return `\`${name ?? job.commandText}\` (${file}:${job.line})`;
}

function when({atMs, job: {zone}}: Run): string {
  const wall = new Date(atMs + zone.segmentAt(atMs).offsetMs).toISOString();
  return `${wall.slice(0, 10)} ${wall.slice(11, 16)} ${zone.name}`;
}
