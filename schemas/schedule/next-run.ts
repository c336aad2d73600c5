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
  if (schedule.reboot || !hasDate(schedule)) return null;
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

/** Days of each month of a leap year, January first. */
const longestMonths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** False for 30 February and the like, which would else be looked for through the whole horizon. */
function hasDate({days, months, dayRule}: Schedule): boolean {
  // Any of the days 1 to 29 is in every month of a leap year.
  if (dayRule === 'either' || (days & 0x3ffffffe) !== 0) return true;
  const first = has(days, 30) ? 30 : 31;
  return longestMonths.some((length, index) => has(months, index + 1) && first <= length);
}

/**
 * True where the wall clock of `zone` shows a time at `atMs` that the schedule names. A run at any other time stands
 * in for one that a jump of the wall clock has swallowed.
 */
export function matchesWallClock(schedule: Schedule, zone: Zone, atMs: number): boolean {
  const wall = Math.floor(atMs / minuteMs) * minuteMs + zone.segmentAt(atMs).offsetMs;
  return nextWall(schedule, wall, wall + minuteMs) === wall;
}

/** The first matching wall-clock minute in [from, until), both written as if the local time were UTC; null if none. */
export function nextWall(schedule: Schedule, from: number, until: number): number | null {
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

/** `day` counts from 1, `weekday` from Sunday as 0. */
export function matchesDay(
  {days, weekdays, dayRule}: Pick<Schedule, 'days' | 'weekdays' | 'dayRule'>,
  day: number,
  weekday: number,
): boolean {
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
