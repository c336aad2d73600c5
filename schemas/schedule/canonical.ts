import {valuesOf} from './bit-set.ts';
import {hoursOf, minutesOf, type Schedule} from './parse.ts';

/**
 * The five fields written anew from the values they stand for, so that a reader who takes text literally reads what
 * really runs: one of minute 35 and 0 for a step of 35, no repeated values, names as numbers. `*` stands for every
 * value and nothing else. Where either day field may match and one of them is full, every day matches: both are `*`;
 * else the days of the week are a plain list, the one form that readers take as one of two ways to match.
 * null for `@reboot`, which has no fields.
 */
export function canonicalFields(schedule: Schedule): string | null {
  if (schedule.reboot) return null;
  const {dayRule} = schedule;
  const days = valuesOf(schedule.days, 1, 31);
  const weekdays = valuesOf(schedule.weekdays, 0, 6);
  const either = dayRule === 'either';
  const everyDay = either && (days.length === 31 || weekdays.length === 7);
  return [
    printField(minutesOf(schedule), 0, 59),
    printField(hoursOf(schedule), 0, 23),
    everyDay ? '*' : printField(days, 1, 31),
    printField(valuesOf(schedule.months, 1, 12), 1, 12),
    everyDay ? '*' : either ? weekdays.join(',') : printField(weekendTogether(weekdays), 0, 6),
  ].join(' ');
}

/** Sunday as 7 where Saturday is there too: `5-7` reads better than `0,5,6`. */
function weekendTogether(weekdays: readonly number[]): readonly number[] {
  const together = weekdays[0] === 0 && weekdays.at(-1) === 6 && weekdays.length < 7;
  return together ? [...weekdays.slice(1), 7] : weekdays;
}

function printField(values: readonly number[], first: number, last: number): string {
  const count = last - first + 1;
  if (values.length === count) return '*';
  const [from = 0, second = 0] = values;
  const step = second - from;
  const even = step > 1 && values.every((value, index) => value === first + index * step);
  if (even && values.length * step === count) return `*/${step}`;
  if (values.length < 3 || values.some((value, index) => value !== from + index * step))
    return printRanges(values);
  return step === 1 ? `${from}-${values.at(-1)}` : `${from}-${values.at(-1)}/${step}`;
}

function printRanges(values: readonly number[]): string {
  const items: string[] = [];
  for (let start = 0; start < values.length; ) {
    let end = start;
    while (values[end + 1] === (values[end] ?? 0) + 1) end += 1;
    if (end - start < 2) end = start;
    items.push(end === start ? `${values[start]}` : `${values[start]}-${values[end]}`);
    start = end + 1;
  }
  return items.join(',');
}
