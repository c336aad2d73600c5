import type {Run} from '../../schemas/run.ts';

const minuteMs = 60_000;
/** A record of a minute may be written this much after it. */
const latestRecordMs = 5000;

/**
 * What is wrong with the records of the minutely job whose command begins with `command`: due minutes in
 * [fromMs, untilMs) without a record, and minutes with two. Empty where nothing is.
 */
export function wrongMinutes(
  runs: readonly Run[],
  command: string,
  fromMs: number,
  untilMs: number,
): string[] {
  const minutes = runs
    .filter((run) => run.command.startsWith(command) && run.attempt === 1)
    .map(({scheduled_at}) => Date.parse(scheduled_at));
  const due: number[] = [];
  for (
    let minute = Math.ceil(fromMs / minuteMs) * minuteMs;
    minute < untilMs - latestRecordMs;
    minute += minuteMs
  )
    due.push(minute);
  const text = (minute: number) => new Date(minute).toISOString();
  return [
    ...due.filter((minute) => !minutes.includes(minute)).map((minute) => `no record of ${text(minute)}`),
    ...minutes
      .filter((minute, index) => minutes.indexOf(minute) !== index)
      .map((minute) => `two records of ${text(minute)}`),
  ];
}
