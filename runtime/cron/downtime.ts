import type {StoredCrontab} from './crontab-store.ts';
import {newestDue} from './due.ts';
import type {RunStore} from './run-store.ts';
import type {DueRun} from './scheduler.ts';
import type {Zones} from './zones.ts';

/**
 * What was due up to and with `untilMs` and has no record, because no runtime was there to see it. `crontabs` are as
 * the former runtime left them. Of each entry that has any the newest `most`, in ascending order.
 */
export function missedWhileDown(
  crontabs: readonly StoredCrontab[],
  {runs, zones, untilMs, most}: {runs: RunStore; zones: Zones; untilMs: number; most: number},
): DueRun[][] {
  const ofEntries = crontabs.flatMap(({entries, changedMs}) =>
    entries.map((entry): DueRun[] => {
      // Whoever runs only once is not missed: it runs as soon as it may.
      if (entry.runAtMs !== null) return [];
      const fromMs = Math.max(changedMs, runs.lastScheduledMs(entry.id) ?? 0);
      const zone = zones.of(entry.job.timeZone);
      return newestDue(entry, zone, {fromMs, untilMs: untilMs + 1, most}).map((scheduledMs) => ({
        entry,
        scheduledMs,
        skipped: 'runtime_down',
        catchup: false,
      }));
    }),
  );
  return ofEntries.filter((missed) => missed.length > 0);
}
