import type {RunStatus} from '../../schemas/run-status.ts';
import type {RunStore} from './run-store.ts';

/** What is counted since the start of the runtime, in the text form that Prometheus reads. No command, no user text. */
export interface CronMetrics {
  /** The same store; what goes through it is counted. */
  metered(runs: RunStore): RunStore;
  print(gauges: CronGauges): string;
}

export interface CronGauges {
  readonly runningJobs: number;
  /** One for each entry; epoch ms, null where it never comes. */
  readonly nextRuns: readonly {readonly entryId: string; readonly atMs: number | null}[];
}

interface Histogram {
  /** Observations per bucket, each counted in the first that holds it; the last is beyond all bounds. */
  readonly counts: number[];
  readonly boundsSeconds: readonly number[];
  sumSeconds: number;
}

interface OpenRun {
  readonly entryId: string;
  readonly scheduledMs: number;
}

const latenessBoundsSeconds = [0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1, 3, 10, 60, 300];
const durationBoundsSeconds = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600];

/** So many entries that are gone keep their counters, for a reader that comes by now and then. */
const mostGone = 1000;

export function createCronMetrics(): CronMetrics {
  const counters = new Map<string, Map<RunStatus, number>>();
  const open = new Map<string, OpenRun>();
  const lateness = createHistogram(latenessBoundsSeconds);
  const duration = createHistogram(durationBoundsSeconds);

  function count(entryId: string, status: RunStatus): void {
    const ofEntry = counters.get(entryId) ?? new Map<RunStatus, number>();
    counters.set(entryId, ofEntry);
    ofEntry.set(status, (ofEntry.get(status) ?? 0) + 1);
  }

  function forget(current: ReadonlySet<string>): void {
    const gone = [...counters.keys()].filter((entryId) => !current.has(entryId));
    for (const entryId of gone.slice(0, Math.max(0, gone.length - mostGone))) counters.delete(entryId);
  }

  return {
    metered: (runs) => ({
      ...runs,
      claim(claims) {
        const taken = runs.claim(claims);
        for (const {id, entryId, scheduledMs, skipped} of taken) {
          if (skipped === null) open.set(id, {entryId, scheduledMs});
          else count(entryId, 'skipped');
        }
        return taken;
      },
      finished(results) {
        runs.finished(results);
        for (const [id, {status, startedMs, finishedMs}] of results) {
          const run = open.get(id);
          if (run === undefined) continue;
          open.delete(id);
          count(run.entryId, status);
          if (startedMs === null) continue;
          observe(lateness, startedMs - run.scheduledMs);
          observe(duration, finishedMs - startedMs);
        }
      },
    }),

    print({runningJobs, nextRuns}) {
      forget(new Set(nextRuns.map(({entryId}) => entryId)));
      const lines = heading('runs_total', 'counter', 'Runs that are over, and due runs that were skipped.');
      for (const [entryId, ofEntry] of counters) {
        for (const [status, value] of ofEntry)
          lines.push(`${prefix}runs_total{entry_id="${entryId}",status="${status}"} ${value}`);
      }
      lines.push(
        ...printHistogram(
          'run_lateness_seconds',
          'From the scheduled time to the start, of runs that are over.',
          lateness,
        ),
        ...printHistogram('run_duration_seconds', 'From the start to the end.', duration),
        ...heading('running_jobs', 'gauge', 'Jobs that run now.'),
        `${prefix}running_jobs ${runningJobs}`,
        ...heading('next_run_timestamp_seconds', 'gauge', 'When an entry is due next.'),
      );
      for (const {entryId, atMs} of nextRuns) {
        if (atMs !== null)
          lines.push(`${prefix}next_run_timestamp_seconds{entry_id="${entryId}"} ${atMs / 1000}`);
      }
      return `${lines.join('\n')}\n`;
    },
  };
}

const prefix = 'branchtab_cron_';

function heading(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): string[] {
  return [`# HELP ${prefix}${name} ${help}`, `# TYPE ${prefix}${name} ${type}`];
}

function createHistogram(boundsSeconds: readonly number[]): Histogram {
  return {counts: [...boundsSeconds, Infinity].map(() => 0), boundsSeconds, sumSeconds: 0};
}

/** A clock that went back counts as no time at all. */
function observe(histogram: Histogram, ms: number): void {
  const seconds = Math.max(0, ms / 1000);
  const found = histogram.boundsSeconds.findIndex((bound) => seconds <= bound);
  const bucket = found === -1 ? histogram.boundsSeconds.length : found;
  histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + 1;
  histogram.sumSeconds += seconds;
}

function printHistogram(
  name: string,
  help: string,
  {counts, boundsSeconds, sumSeconds}: Histogram,
): string[] {
  let total = 0;
  const buckets = counts.map((count, index) => {
    total += count;
    return `${prefix}${name}_bucket{le="${boundsSeconds[index] ?? '+Inf'}"} ${total}`;
  });
  return [
    ...heading(name, 'histogram', help),
    ...buckets,
    `${prefix}${name}_sum ${sumSeconds}`,
    `${prefix}${name}_count ${total}`,
  ];
}
