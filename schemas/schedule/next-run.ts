import {firstFrom, has} from './bit-set.ts';
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
  // The date is counted along, since a Date for each day would cost more than all the rest.
  let year = yearOf(day);
  let month = 1;
  let dayOfMonth = day - firstDayOf(year) + 1;
  while (dayOfMonth > daysIn(month, year)) {
    dayOfMonth -= daysIn(month, year);
    month += 1;
  }
  while (day * dayMs < until) {
    if (has(schedule.months, month)) {
      const weekday = (((day + 4) % 7) + 7) % 7;
      if (matchesDay(schedule, dayOfMonth, weekday)) {
        const minute = nextMinuteOfDay(schedule, minuteOfDay);
        if (minute !== -1) {
          const wall = day * dayMs + minute * minuteMs;
          return wall < until ? wall : null;
        }
      }
      day += 1;
      dayOfMonth += 1;
    } else {
      day += daysIn(month, year) - dayOfMonth + 1;
      dayOfMonth = daysIn(month, year) + 1;
    }
    minuteOfDay = 0;
    if (dayOfMonth > daysIn(month, year)) {
      dayOfMonth = 1;
      month = month === 12 ? 1 : month + 1;
      if (month === 1) year += 1;
    }
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

export function matchesTime(schedule: Schedule, hour: number, minute: number): boolean {
  return has(schedule.hours, hour) && nextMinute(schedule, minute) === minute;
}

/** -1 where the day has no such minute any more. */
function nextMinuteOfDay(schedule: Schedule, from: number): number {
  const fromHour = Math.floor(from / 60);
  const hour = firstFrom(schedule.hours, fromHour);
  if (hour === -1) return -1;
  const minute = nextMinute(schedule, hour === fromHour ? from % 60 : 0);
  if (minute !== -1) return hour * 60 + minute;
  const laterHour = firstFrom(schedule.hours, hour + 1);
  return laterHour === -1 ? -1 : laterHour * 60 + nextMinute(schedule, 0);
}

function nextMinute({minutesLow, minutesHigh}: Schedule, from: number): number {
  const low = from < 32 ? firstFrom(minutesLow, from) : -1;
  if (low !== -1) return low;
  const high = firstFrom(minutesHigh, Math.max(0, from - 32));
  return high === -1 ? -1 : high + 32;
}

/** Days from 1970 to the first of January of `year`. */
function firstDayOf(year: number): number {
  const before = year - 1;
  const leapDays = Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400);
  return before * 365 + leapDays - 719_162;
}

function yearOf(day: number): number {
  const year = 1970 + Math.floor(day / 365.2425);
  if (day < firstDayOf(year)) return year - 1;
  return day < firstDayOf(year + 1) ? year : year + 1;
}

function daysIn(month: number, year: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}
