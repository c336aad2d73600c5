import type {Schedule} from './parse.ts';

const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

/** The schedule in plain English where it is a common one, else its own text. Free text: nobody should parse it. */
export function describeSchedule(schedule: Schedule): string {
  if (schedule.reboot) return 'Once when the container starts';
  const {minutes, hours} = schedule;
  const days = describeDays(schedule);
  const [minute = 0] = minutes;
  const [hour = 0] = hours;
  if (days === null) return schedule.text;

  if (hours.length === 24) {
    if (minutes.length === 60) return sentence('Every minute', days);
    if (minutes.length === 1) {
      return sentence(minute === 0 ? 'Every hour' : `At ${minute} minutes past every hour`, days);
    }
    const step = evenStep(minutes, 60);
    return step === null ? schedule.text : sentence(`Every ${step} minutes`, days);
  }
  if (minutes.length !== 1) return schedule.text;
  const step = evenStep(hours, 24);
  if (step !== null && minute === 0) return sentence(`Every ${step} hours`, days);
  if (hours.length > 4) return schedule.text;
  const times = hours.length === 1 ? clock(hour, minute) : list(hours.map((each) => clock(each, minute)));
  return `At ${times} ${days === '' ? 'every day' : days}`;
}

/** `''` for every day; null where the days have no short description. */
function describeDays({days, months, weekdays: set, dayRule}: Schedule): string | null {
  const everyDay = days === bitRange(1, 31);
  const everyWeekday = set === bitRange(0, 6);
  if (months !== bitRange(1, 12) || dayRule === 'either') return null;
  if (everyDay && everyWeekday) return '';
  if (everyDay) {
    if (set === bitRange(1, 5)) return 'from Monday to Friday';
    return `on ${list(weekdays.filter((_, day) => ((set >>> day) & 1) === 1))}`;
  }
  const day = Math.log2(days >>> 0);
  return everyWeekday && Number.isInteger(day) ? `on day ${day} of the month` : null;
}

/** n where the values are 0, n, 2n, ... up to `length`. */
function evenStep(values: readonly number[], length: number): number | null {
  const step = values[1];
  if (step === undefined || length % step !== 0 || values.length !== length / step) return null;
  return values.every((value, index) => value === index * step) ? step : null;
}

function bitRange(first: number, last: number): number {
  let set = 0;
  for (let value = first; value <= last; value += 1) set |= 1 << value;
  return set;
}

function clock(hour: number, minute: number): string {
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
}

function list(words: readonly string[]): string {
  const last = words.at(-1) ?? '';
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} and ${last}`;
}

function sentence(what: string, days: string): string {
  return days === '' ? what : `${what} ${days}`;
}
