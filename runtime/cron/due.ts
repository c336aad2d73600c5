import {matchesWallClock, nextRun} from '../../schemas/schedule/next-run.ts';
import type {Zone} from '../../schemas/schedule/zone.ts';
import type {Entry} from './entry.ts';

const minuteMs = 60_000;
/** How much further back each look goes, while too few minutes were found. */
const widening = 8;

/** The first instant after `afterMs` at which the entry runs; null when it never does. Pauses do not count. */
export function nextDue(
  {job, expiresAtMs, runAtMs, delayMs}: Entry,
  zone: Zone,
  afterMs: number,
): number | null {
  if (!job.enabled) return null;
  const minute = runAtMs === null ? nextRun(job.schedule, zone, afterMs - delayMs) : null;
  const atMs = minute === null ? runAtMs : minute + delayMs;
  if (atMs === null || atMs <= afterMs) return null;
  return expiresAtMs !== null && atMs >= expiresAtMs ? null : atMs;
}

/** In ascending order the newest `most` instants in (fromMs, untilMs) at which the entry was due. Looks back no further than it must. */
export function newestDue(
  entry: Entry,
  zone: Zone,
  {fromMs, untilMs, most}: {fromMs: number; untilMs: number; most: number},
): number[] {
  for (let windowMs = most * minuteMs; ; windowMs *= widening) {
    const startMs = Math.max(fromMs, untilMs - windowMs);
    const due: number[] = [];
    for (
      let atMs = nextDue(entry, zone, startMs);
      atMs !== null && atMs < untilMs;
      atMs = nextDue(entry, zone, atMs)
    ) {
      due.push(atMs);
    }
    if (due.length >= most || startMs === fromMs) return due.slice(-most);
  }
}

/** True for a run that stands in for one whose time of day the wall clock has left out. */
export function movedByGap({job, runAtMs, delayMs}: Entry, zone: Zone, scheduledMs: number): boolean {
  if (job.schedule.wildcard || job.schedule.reboot || runAtMs !== null) return false;
  return !matchesWallClock(job.schedule, zone, scheduledMs - delayMs);
}
