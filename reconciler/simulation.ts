import {AppError} from '../schemas/errors.ts';
import type {NamedJob} from '../schemas/named-jobs.ts';
import {clockJumps, jumpEffect} from '../schemas/schedule/clock-jumps.ts';
import {matchesWallClock, nextRun} from '../schemas/schedule/next-run.ts';
import type {Zone} from '../schemas/schedule/zone.ts';
import type {Simulation} from '../schemas/simulation.ts';

/** Beyond this nobody reads them, and counting takes long. */
const mostRuns = 500_000;

/**
 * What the jobs would run from `fromMs` until before `toMs` (epoch ms), by their schedules alone: not pauses, jitter or
 * failures. Pure. Throws CONFIG_INVALID for more than half a million runs.
 */
export function simulate(
  jobs: readonly NamedJob[],
  {fromMs, toMs, mostShown}: {fromMs: number; toMs: number; mostShown: number},
): Pick<Simulation, 'runs' | 'total' | 'jobs' | 'surprises'> {
  const runs: {readonly atMs: number; readonly job: NamedJob}[] = [];
  const counted = jobs.map((job) => {
    const before = runs.length;
    for (let at = nextRun(job.job.schedule, job.zone, fromMs - 1); at !== null && at < toMs; ) {
      runs.push({atMs: at, job});
      if (runs.length > mostRuns)
        throw new AppError(
          'CONFIG_INVALID',
          `These are more than ${mostRuns} runs; write a shorter time, or one job with --job.`,
        );
      at = nextRun(job.job.schedule, job.zone, at);
    }
    const [first, last] = runs.length === before ? [] : [runs[before], runs.at(-1)];
    return {
      ...placeOf(job),
      command: job.job.command,
      schedule: job.job.schedule.text,
      timezone: job.zone.name,
      runs: runs.length - before,
      first: first === undefined ? null : iso(first.atMs),
      last: last === undefined ? null : iso(last.atMs),
    };
  });
  return {
    runs: runs
      .sort((a, b) => a.atMs - b.atMs)
      .slice(0, mostShown)
      .map(({atMs, job}) => ({
        ...placeOf(job),
        at: iso(atMs),
        wall: iso(atMs + job.zone.segmentAt(atMs).offsetMs).slice(0, 16),
        timezone: job.zone.name,
        clock: clockAt(job, atMs),
      })),
    total: runs.length,
    jobs: counted,
    surprises: jobs
      .flatMap((job) =>
        [...clockJumps(job.zone, fromMs, toMs)].flatMap((jump) => {
          const message = jumpEffect(job.job.schedule, job.zone, jump);
          return message === null ? [] : [{...placeOf(job), at: iso(jump.atMs), message}];
        }),
      )
      .sort((a, b) => a.at.localeCompare(b.at)),
  };
}

/** The instant at which the clock of the zone first shows a wall time, written as if local time were UTC. */
export function instantOfWall(zone: Zone, wall: number): number {
  const guess = wall - zone.segmentAt(wall).offsetMs;
  const before = wall - zone.segmentAt(guess - 3 * 3_600_000).offsetMs;
  const {offsetMs, startMs} = zone.segmentAt(before);
  // A time that the clock skips is where it goes on.
  return before + offsetMs === wall ? before : Math.max(startMs, wall - zone.segmentAt(guess).offsetMs);
}

function clockAt({job: {schedule}, zone}: NamedJob, atMs: number): Simulation['runs'][number]['clock'] {
  if (!matchesWallClock(schedule, zone, atMs)) return 'after_gap';
  const {startMs, offsetMs, previousOffsetMs} = zone.segmentAt(atMs);
  const isRepeated = offsetMs < previousOffsetMs && atMs + offsetMs < startMs + previousOffsetMs;
  return isRepeated ? 'second_pass' : 'usual';
}

function placeOf({user, name, file, job: {line}}: NamedJob) {
  return {user, job: name, file, line};
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
