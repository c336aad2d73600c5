import type {JobOptions, Overlap} from '../../schemas/crontab/options.ts';
import type {LimitUse, RunLimits} from '../../schemas/limits.ts';
import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';

/** Holds the jobs of the container to what the operator allows, and knows what is used of it. */
export interface JobLimits {
  /** Why no run may begin now, beside so many that are about to; null where one may. */
  refusal(beside?: number): LimitReason | null;
  overlapOf(options: JobOptions): Overlap;
  /** After which time a run is ended, and whose time that is. */
  runTimeOf(options: JobOptions): {
    readonly timeoutMs: number | null;
    readonly reason: 'timeout' | LimitReason;
  };
  /** A kill that was not ours may be that of a memory limit. */
  readonly boundsMemory: boolean;
  noteStarted(runs: number): void;
  noteRefused(reason: LimitReason): void;
  /** `tookMs`: how long it took; null where nobody can tell. */
  noteFinished(tookMs: number | null, reason: string | null): void;
  /** What is reached now. */
  report(): LimitUse[];
}

export type LimitReason = 'limit_runs_per_day' | 'limit_run_time' | 'limit_disk';

/** For people: which limit it is, and where it is changed. */
export const limitSentences: Readonly<Record<LimitReason, string>> = {
  limit_runs_per_day:
    'as many runs as limits.runs_per_day allows were started today (UTC); the operator raises it in environments of branchtab.yaml',
  limit_run_time:
    'it took longer than limits.run_time allows; write timeout=... above the line to ask for more, up to limits.longest_run_time, which the operator raises in environments of branchtab.yaml',
  limit_disk:
    'data directory and workspace take more than limits.disk allows; remove files, or let the operator raise it in environments of branchtab.yaml',
};

const dayMs = 24 * 60 * 60_000;
/** Between two measurements of the disk, which cost a walk through all files. */
const measureEveryMs = 30_000;

export function createJobLimits({
  limits,
  clock,
  log,
  startedSince,
  measureDisk,
}: {
  limits: () => RunLimits | null;
  clock: Clock;
  log: Log;
  /** Runs that were started at or after an instant, epoch ms. */
  startedSince: (sinceMs: number) => number;
  /** Bytes that count against the limit of the disk. */
  measureDisk: () => Promise<number>;
}): JobLimits {
  let today = {startMs: -1, started: 0, long: 0, refused: new Map<LimitReason, number>()};
  let disk: {bytes: number; atMs: number} | null = null;
  let isMeasuring = false;

  /** Days are those of UTC. What was started before we were is read once. */
  function ofToday() {
    const startMs = Math.floor(clock.now() / dayMs) * dayMs;
    if (today.startMs !== startMs)
      today = {startMs, started: startedSince(startMs), long: 0, refused: new Map()};
    return today;
  }

  function measureSoon(): void {
    const isFresh = disk !== null && clock.now() - disk.atMs < measureEveryMs;
    if (isMeasuring || isFresh || (limits()?.disk_bytes ?? null) === null) return;
    isMeasuring = true;
    measureDisk()
      .then(
        (bytes) => {
          disk = {bytes, atMs: clock.now()};
        },
        (error: unknown) => log.warn('the use of the disk could not be measured', {error}),
      )
      .finally(() => {
        isMeasuring = false;
      });
  }

  const isOver = (used: number, most: number | null | undefined) => most != null && used >= most;

  return {
    refusal(beside = 0) {
      const most = limits();
      if (most === null) return null;
      // Before the run that is asked for is on record: it counts from its start on.
      const {started} = ofToday();
      measureSoon();
      if (!most.enforced) return null;
      if (isOver(started + beside, most.runs_per_day)) return 'limit_runs_per_day';
      return isOver((disk?.bytes ?? 0) - 1, most.disk_bytes) ? 'limit_disk' : null;
    },
    overlapOf({overlap, said}) {
      const most = limits();
      if (most?.enforced !== true || most.overlap === 'allow' || overlap === 'forbid') return overlap;
      return most.overlap === 'forbid' && said.includes('overlap') ? overlap : 'forbid';
    },
    runTimeOf({timeoutMs, said}) {
      const most = limits();
      if (most?.enforced !== true) return {timeoutMs, reason: 'timeout'};
      const ownMs = said.includes('timeout') ? (timeoutMs ?? Number.POSITIVE_INFINITY) : null;
      const mostMs =
        (ownMs === null ? most.run_time_ms : most.longest_run_time_ms) ?? Number.POSITIVE_INFINITY;
      if (ownMs !== null && ownMs <= mostMs) return {timeoutMs, reason: 'timeout'};
      return {timeoutMs: Number.isFinite(mostMs) ? mostMs : null, reason: 'limit_run_time'};
    },
    get boundsMemory() {
      return (limits()?.memory_bytes ?? null) !== null;
    },
    noteStarted(runs) {
      if (limits() !== null) ofToday().started += runs;
    },
    noteRefused(reason) {
      const {refused} = ofToday();
      refused.set(reason, (refused.get(reason) ?? 0) + 1);
    },
    noteFinished(tookMs, reason) {
      const most = limits();
      if (most === null) return;
      measureSoon();
      const {refused} = ofToday();
      if (reason === 'limit_run_time') refused.set(reason, (refused.get(reason) ?? 0) + 1);
      if (tookMs !== null && isOver(tookMs, most.run_time_ms)) ofToday().long += 1;
    },
    report() {
      const most = limits();
      if (most === null) return [];
      const {started, long, refused} = ofToday();
      const use = (limit: LimitUse['limit'], used: number, bound: number | null): LimitUse[] => {
        const count = refused.get(`limit_${limit}`) ?? 0;
        const isTold = limit === 'run_time' ? long > 0 && (count > 0 || !most.enforced) : isOver(used, bound);
        return bound !== null && isTold ? [{limit, most: bound, used, refused: count}] : [];
      };
      return [
        ...use('runs_per_day', started, most.runs_per_day),
        ...use('run_time', long, most.run_time_ms),
        ...use('disk', disk?.bytes ?? 0, most.disk_bytes),
      ];
    },
  };
}
