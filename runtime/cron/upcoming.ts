import type {Zone} from '../../schemas/schedule/zone.ts';
import {nextDue} from './due.ts';
import type {Entry} from './entry.ts';

/** The next runs of an entry strictly after `afterMs`, at most `count` of them, as epoch ms; none while switched off. */
export function upcomingRuns(entry: Entry, zone: Zone, afterMs: number, count: number): number[] {
  const runs: number[] = [];
  let atMs = nextDue(entry, zone, afterMs);
  while (atMs !== null && runs.length < count) {
    runs.push(atMs);
    atMs = nextDue(entry, zone, atMs);
  }
  return runs;
}
