/**
 * The slow second opinion on next runs: walks minute by minute as the Vixie daemon does, with its own reading of
 * the fields and its own look at the wall clock. Shares no code with the engine.
 */

const minuteMs = 60_000;
const names: Record<string, number> = Object.fromEntries([
  ...['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'].map((n, i) => [
    n,
    i + 1,
  ]),
  ...['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'].map((n, i) => [n, i]),
]);

/** Epoch ms of every run in (afterMs, untilMs], at most one per minute. */
export function walkMinutes(
  expression: string,
  timeZone: string,
  afterMs: number,
  untilMs: number,
): number[] {
  const matches = matcher(expression);
  const [minute = '', hour = ''] = expression.split(/\s+/);
  const wildcard = minute.startsWith('*') || hour.startsWith('*');
  const wall = wallClock(timeZone);
  const runs: number[] = [];
  const startMs = Math.floor(afterMs / minuteMs) * minuteMs;
  // Begins half a day early, to know the wall clock's state at `afterMs`.
  let virtual = wall(startMs - 720 * minuteMs);
  for (let nowMs = startMs - 719 * minuteMs; nowMs <= untilMs; nowMs += minuteMs) {
    const now = wall(nowMs);
    const difference = now - virtual;
    let runsNow = false;
    if (difference === 1 || Math.abs(difference) > 180) {
      runsNow = matches(now);
      virtual = now;
    } else if (difference > 1) {
      runsNow = wildcard && matches(now);
      while (virtual < now) {
        virtual += 1;
        if (!wildcard && matches(virtual)) runsNow = true;
      }
    } else runsNow = wildcard && matches(now);
    if (runsNow && nowMs > afterMs) runs.push(nowMs);
  }
  return runs;
}

/** Minutes since 1970 on the wall, read from a formatted date. */
function wallClock(timeZone: string): (epochMs: number) => number {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  return (epochMs) => {
    const part = Object.fromEntries(
      format.formatToParts(epochMs).map(({type, value}) => [type, Number(value)]),
    );
    const {year = 0, month = 1, day = 1, hour = 0, minute = 0} = part;
    return Date.UTC(year, month - 1, day, hour, minute) / minuteMs;
  };
}

function matcher(expression: string): (wallMinute: number) => boolean {
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = expression.split(/\s+/);
  const accepts = (field: string, value: number, first: number, last: number): boolean =>
    field.split(',').some((item) => {
      const [range = '', step = '1'] = item.split('/');
      const [from = '', to = from] = range === '*' ? [String(first), String(last)] : range.split('-');
      const low = names[from.toLowerCase()] ?? Number(from);
      const high = names[to.toLowerCase()] ?? Number(to);
      return value >= low && value <= high && (value - low) % Number(step) === 0;
    });
  return (wallMinute) => {
    const date = new Date(wallMinute * minuteMs);
    const onDay = accepts(day, date.getUTCDate(), 1, 31);
    const dayOfWeek = date.getUTCDay();
    const onWeekday = accepts(weekday, dayOfWeek, 0, 7) || (dayOfWeek === 0 && accepts(weekday, 7, 0, 7));
    const both = day.startsWith('*') || weekday.startsWith('*');
    return (
      accepts(minute, date.getUTCMinutes(), 0, 59) &&
      accepts(hour, date.getUTCHours(), 0, 23) &&
      accepts(month, date.getUTCMonth() + 1, 1, 12) &&
      (both ? onDay && onWeekday : onDay || onWeekday)
    );
  };
}
