import {resolve} from 'node:path';
import {readCrontabs} from '../../reconciler/branch-files.ts';
import {crontabIssues} from '../../reconciler/desired.ts';
import {instantOfWall, simulate} from '../../reconciler/simulation.ts';
import {openLocalSource} from '../../reconciler/sources/git-local.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {inDirectory, wholeRepository} from '../../schemas/branch-name.ts';
import {parseTimestamp} from '../../schemas/crontab/managed.ts';
import {durationSchema} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import {namedJobs} from '../../schemas/named-jobs.ts';
import {createZone, isTimeZone, type Zone} from '../../schemas/schedule/zone.ts';
import type {Simulation} from '../../schemas/simulation.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {type Environment, readConfig} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';
import {dayOf} from '../time-range.ts';

export interface SimulateFlags {
  readonly from?: string;
  readonly to?: string;
  readonly tz?: string;
  readonly head?: string;
  readonly repo?: readonly string[];
  readonly path?: string;
  readonly job?: string;
  readonly limit: string;
  readonly json?: boolean;
}

const dayMs = 86_400_000;
const longestMs = 3660 * dayMs;

/** `branchtab simulate`: what the crontabs of a commit would run in a stretch of time. Needs no controller. */
export async function simulateRuns(
  flags: SimulateFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const timezone = flags.tz ?? (await readConfig(undefined)).timezone;
  if (!isTimeZone(timezone))
    throw new AppError(
      'CONFIG_INVALID',
      `--tz ${timezone} is no time zone; write one such as Europe/Berlin.`,
    );
  const {fromMs, toMs} = stretchOf(flags, createZone(timezone));
  const mostShown = Number(flags.limit);
  if (!Number.isInteger(mostShown) || mostShown < 0)
    throw new AppError('CONFIG_INVALID', `--limit ${flags.limit} is no number of runs.`);
  const {head, crontabs, issues} = await crontabsOf(flags, environment);
  const all = namedJobs(crontabs, timezone);
  const jobs = flags.job === undefined ? all : all.filter(({name}) => name === flags.job);
  if (flags.job !== undefined && jobs.length === 0)
    throw new AppError('CONFIG_INVALID', `--job ${flags.job}: no job of the crontabs has this name.`);
  const simulation: Simulation = {
    head,
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    timezone,
    ...simulate(jobs, {fromMs, toMs, mostShown}),
    issues,
  };
  terminal.out(flags.json ? `${JSON.stringify(simulation)}\n` : simulationText(simulation, terminal));
  return issues.length === 0 ? exitCodes.ok : exitCodes.failed;
}

async function crontabsOf(
  {head: name = 'HEAD', repo, path: directory}: SimulateFlags,
  environment: Environment,
): Promise<Pick<Simulation, 'head' | 'issues'> & ReturnType<typeof readCrontabs>> {
  const {signal} = new AbortController();
  const source = await openLocalSource({
    path: resolve(repo?.[0] ?? '.'),
    environment,
    clock: systemClock,
    log: silentLog,
  });
  try {
    const commit = await source.resolve(name, {signal});
    const path = directory?.replace(/\/+$/, '') ?? wholeRepository;
    const tree = await source.readHoody(commit, {path, signal});
    if (tree === null)
      throw new AppError('REVISION_NOT_FOUND', `${name} has no ${inDirectory(path, '.hoody')} directory`);
    const {crontabs, issues} = readCrontabs(tree);
    const named = crontabs.map((crontab) => ({...crontab, file: inDirectory(path, crontab.file)}));
    return {head: {name, commit}, crontabs: named, issues: [...issues, ...crontabIssues(named)]};
  } finally {
    await source.close();
  }
}

function stretchOf({from, to}: SimulateFlags, zone: Zone): {fromMs: number; toMs: number} {
  const nowMs = systemClock.now();
  const fromMs = from === undefined ? nowMs : instantOf('--from', from, zone, nowMs);
  const duration = durationSchema.safeParse(to);
  let toMs = fromMs + dayMs;
  if (to !== undefined) toMs = duration.success ? fromMs + duration.data : instantOf('--to', to, zone, nowMs);
  if (toMs <= fromMs) throw new AppError('CONFIG_INVALID', '--to is not after --from.');
  if (toMs - fromMs > longestMs)
    throw new AppError('CONFIG_INVALID', '--to is more than ten years after --from.');
  return {fromMs, toMs};
}

/** RFC 3339, or a day, which begins with the zone's midnight. */
function instantOf(flag: string, text: string, zone: Zone, nowMs: number): number {
  const wallNow = nowMs + zone.segmentAt(nowMs).offsetMs;
  const midnight = dayOf(text, wallNow);
  const atMs = midnight === null ? parseTimestamp(text) : instantOfWall(zone, midnight);
  if (atMs !== null) return atMs;
  throw new AppError(
    'CONFIG_INVALID',
    `${flag} ${text} is no time; write 2026-11-17T09:00:00Z, 2026-11-17${flag === '--to' ? ', 7d' : ''} or tuesday.`,
  );
}

const clockWords = {
  usual: '',
  after_gap: 'right after the clock skipped its time',
  second_pass: 'the clock shows this time for the second time',
} as const;

function simulationText(simulation: Simulation, {paint, columns}: Terminal): string {
  const {head, from, to, timezone, runs, total, jobs, surprises, issues} = simulation;
  const title = (job: {user: string; job: string | null; file: string; line: number}) =>
    `${job.user === 'root' ? '' : `${job.user}: `}${printable(job.job ?? `${job.file}:${job.line}`)}`;
  const table = (rows: readonly (readonly string[])[]) => formatTable(rows, {columns});
  const rows = runs.map((run) => [
    `${run.at.slice(0, 16)}Z`,
    run.timezone === 'UTC' ? '' : `${run.wall.replace('T', ' ')} ${run.timezone}`,
    title(run),
    clockWords[run.clock],
  ]);
  const summary = jobs.map((job) => [
    title(job),
    String(job.runs),
    job.schedule,
    job.timezone,
    printable(job.command.slice(0, 60)),
  ]);
  const more = total - runs.length;
  return [
    paint.bold(
      `${printable(head.name)} ${head.commit.slice(0, 8)} from ${from.slice(0, 16)}Z until ${to.slice(0, 16)}Z, lines without a zone in ${timezone}\n`,
    ),
    runs.length === 0 ? '' : table([['AT', 'IN ITS ZONE', 'JOB', 'CLOCK'], ...rows]),
    more === 0 ? '' : `... and ${more} more; --limit ${total} shows all, --job one job.\n`,
    total === 0 ? 'Nothing runs in that time.\n' : '',
    jobs.length === 0 ? '' : `\n${table([['JOB', 'RUNS', 'SCHEDULE', 'ZONE', 'COMMAND'], ...summary])}`,
    ...surprises.map(({message, ...job}) =>
      paint.yellow(`clock ${title(job)} (${job.file}:${job.line}): ${message}\n`),
    ),
    ...issues.map((issue) =>
      paint.red(`error ${issue.file}:${issue.line}:${issue.column} ${printable(issue.message)}\n`),
    ),
  ].join('');
}
