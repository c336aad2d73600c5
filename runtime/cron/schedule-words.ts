import {canonicalFields} from '../../schemas/schedule/canonical.ts';
import type {Schedule} from '../../schemas/schedule/parse.ts';
import type {Entry} from './entry.ts';

/** A schedule in plain English. Free text: nobody should parse it. */
export type DescribeSchedule = (schedule: Schedule) => string;

/**
 * Loads the words with their first use; a runtime that nobody asks never pays for them. The library reads only what
 * `canonicalFields` writes, since it takes a step of 35 minutes for every 35 minutes and knows nothing of Vixie's rule for the days.
 */
export async function loadScheduleWords(): Promise<DescribeSchedule> {
  const {default: cronstrue} = await import('cronstrue');
  const known = new Map<string, string>();
  return (schedule) => {
    const found = known.get(schedule.text);
    if (found !== undefined) return found;
    const fields = canonicalFields(schedule);
    const words =
      fields === null
        ? 'Once when the container starts'
        : withDays(
            schedule,
            cronstrue.toString(fields, {
              use24HourTimeFormat: true,
              logicalAndDayFields: schedule.dayRule === 'both',
            }),
          );
    known.set(schedule.text, words);
    return words;
  };
}

/** When an entry runs, in plain English: an entry that runs once does not follow its schedule. */
export function describeEntry({job}: Entry, describe: DescribeSchedule): string {
  const runAt = job.managed?.runAt ?? null;
  return runAt === null ? describe(job.schedule) : `Once at ${runAt}`;
}

/** A time of day alone says that it is meant for every day; two day fields of which one is enough say `or`. */
function withDays({dayRule}: Schedule, words: string): string {
  if (/^At [\d:, and]+$/.test(words)) return `${words} every day`;
  return dayRule === 'either' ? words.replace(', and on ', ', or on ') : words;
}
