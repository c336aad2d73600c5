import {nextRun} from '../../schemas/schedule/next-run.ts';
import type {Zone} from '../../schemas/schedule/zone.ts';
import type {Entry} from './entry.ts';

/**
 * The minutes after `fromMs` and before `nowMs` at which the entry was due while no runtime was there to see it;
 * the newest `most` of them, since no more records of an entry are kept.
 */
export function dueWhileDown(
  entry: Entry,
  zone: Zone,
  {fromMs, nowMs, most}: {fromMs: number; nowMs: number; most: number},
): number[] {
  if (!entry.job.enabled) return [];
  const untilMs = Math.min(nowMs, entry.expiresAtMs ?? nowMs);
  let due: number[] = [];
  for (
    let atMs = nextRun(entry.job.schedule, zone, fromMs);
    atMs !== null && atMs < untilMs;
    atMs = nextRun(entry.job.schedule, zone, atMs)
  ) {
    due.push(atMs);
    if (due.length > 2 * most) due = due.slice(-most);
  }
  return due.slice(-most);
}
