import type {Schedule} from './parse.ts';
import type {Zone} from './zone.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** The longest wait that can end: 29 February on a given day of the week, across a century without a leap day. */
const horizonMs = 41 * 366 * dayMs;

/** Beyond this a jump of the wall clock is a correction, not summer time, and moves no job. The limit of Vixie cron. */
const longestShiftMs = 3 * hourMs;

/**
 * The next run strictly after `afterMs` (epoch ms), at a whole minute; null for `@reboot` and for dates that never
 * come.
 *
 * Where the wall clock jumps, the rules of the Vixie daemon hold. A job whose minute or hour begins with `*`
 * follows the wall clock: it skips the gap and runs in both passes of a repeated hour. Any other job runs once:
 * right after the gap that swallowed its time, and in the first pass of a repeated hour.
 */
export function nextRun(schedule: Schedule, zone: Zone, afterMs: number): number | null {
  if (schedule.reboot) return null;
  let fromMs = (Math.floor(afterMs / minuteMs) + 1) * minuteMs;
  const untilMs = fromMs + horizonMs;
  while (fromMs < untilMs) {
    const {startMs, endMs, offsetMs, previousOffsetMs} = zone.segmentAt(fromMs);
    const shiftMs = offsetMs - previousOffsetMs;
    let fromWall = fromMs + offsetMs;
    if (!schedule.wildcard && shiftMs !== 0 && Math.abs(shiftMs) <= longestShiftMs) {
      const wallBefore = startMs + previousOffsetMs;
      const wallAfter = startMs + offsetMs;
      if (shiftMs > 0 && fromMs === startMs && nextWall(schedule, wallBefore, wallAfter) !== null)
        return startMs;
      // After a jump back the wall clock repeats what this job has had already.
      if (shiftMs < 0) fromWall = Math.max(fromWall, wallBefore);
    }
    const wall = nextWall(schedule, fromWall, Math.min(endMs, untilMs) + offsetMs);
    if (wall !== null) return wall - offsetMs;
    fromMs = endMs;
  }
  return null;
}

/** The first matching wall-clock minute in [from, until), both written as if the local time were UTC. */
function nextWall(schedule: Schedule, from: number, until: number): number | null {
  let day = Math.floor(from / dayMs);
  let minuteOfDay = Math.floor((from - day * dayMs) / minuteMs);
  while (day * dayMs < until) {
    const date = new Date(day * dayMs);
    const month = date.getUTCMonth();
    if (!has(schedule.months, month + 1)) {
      day = Date.UTC(date.getUTCFullYear(), month + 1, 1) / dayMs;
      minuteOfDay = 0;
      continue;
    }
    if (matchesDay(schedule, date.getUTCDate(), date.getUTCDay())) {
      const minute = nextMinuteOfDay(schedule, minuteOfDay);
      if (minute !== null) {
        const wall = day * dayMs + minute * minuteMs;
        return wall < until ? wall : null;
      }
    }
    day += 1;
    minuteOfDay = 0;
  }
  return null;
}

function matchesDay({days, weekdays, dayRule}: Schedule, day: number, weekday: number): boolean {
  return dayRule === 'both'
    ? has(days, day) && has(weekdays, weekday)
    : has(days, day) || has(weekdays, weekday);
}

function nextMinuteOfDay({hours, minutes}: Schedule, from: number): number | null {
  const fromHour = Math.floor(from / 60);
  for (const hour of hours) {
    if (hour < fromHour) continue;
    const fromMinute = hour === fromHour ? from % 60 : 0;
    const minute = minutes.find((candidate) => candidate >= fromMinute);
    if (minute !== undefined) return hour * 60 + minute;
  }
  return null;
}

function has(set: number, value: number): boolean {
  return ((set >>> value) & 1) === 1;
}
