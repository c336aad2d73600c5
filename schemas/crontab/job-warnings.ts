import type {CrontabJob} from '../crontab.ts';
import {valuesOf} from '../schedule/bit-set.ts';
import {type ClockJump, clockJumps, jumpEffect} from '../schedule/clock-jumps.ts';
import {nextRun} from '../schedule/next-run.ts';
import {hoursOf, minutesOf, type Schedule, splitWords} from '../schedule/parse.ts';
import type {Zone} from '../schedule/zone.ts';
import {readCommand} from './command.ts';
import type {CrontabWarning} from './warning.ts';

const dayMs = 24 * 60 * 60_000;
/** Every zone that changes its offset at all does so within a year. */
const lookAheadMs = 366 * dayMs;

/**
 * What is legal in one line of a crontab and seldom meant. `text` is the line of the rule; a job that is switched off
 * has no warnings. Looks at the year after `nowMs` (epoch ms).
 */
export function jobWarnings(job: CrontabJob, text: string, zone: Zone, nowMs: number): CrontabWarning[] {
  const {schedule, line, enabled} = job;
  if (!enabled || schedule.reboot) return enabled ? percentWarnings(job, text) : [];
  const words = splitWords(text, 5);
  const warning = (field: number, code: string, message: string): CrontabWarning => {
    const word = schedule.text.startsWith('@') ? words[0] : words[field];
    return {code, message, line, column: (word?.start ?? 0) + 1};
  };
  const found = percentWarnings(job, text);
  if (nextRun(schedule, zone, nowMs) === null) {
    found.push(warning(2, 'never_runs', 'No year has such a day, so this job never runs.'));
    return found;
  }
  const everyMinute = minutesOf(schedule).length === 60;
  if (everyMinute && !schedule.text.split(' ')[1]?.startsWith('*')) {
    const hours = hoursOf(schedule);
    const hour = String(hours[0] ?? 0);
    const message = `This runs in every minute of the hour, ${60 * hours.length} times a day; write \`0 ${hour}\` for once at ${hour.padStart(2, '0')}:00.`;
    found.push(warning(0, 'every_minute_of_hour', message));
  }
  for (const [field, message] of unevenSteps(schedule)) found.push(warning(field, 'uneven_step', message));
  const days = bothDayFields(schedule);
  if (days !== null) found.push(warning(2, 'both_day_fields', days));
  for (const [code, message] of jumpWarnings(schedule, zone, nowMs)) found.push(warning(1, code, message));
  return found;
}

/** The text that a job reads instead of running it is the classic accident with `date +%F`. */
function percentWarnings({line, managed}: CrontabJob, text: string): CrontabWarning[] {
  const percent = managed === null ? /(?<!\\)%/.exec(text) : null;
  if (percent === null) return [];
  const {stdin} = readCommand(text.slice(percent.index).replace(/\r?\n?$/, ''));
  const shown = stdin === null || stdin === '' ? 'nothing' : JSON.stringify(shorten(stdin));
  const message = `The command ends at this \`%\`; it reads ${shown} as its standard input. Write \`\\%\` for a percent sign.`;
  return [{code: 'percent_is_stdin', message, line, column: percent.index + 1}];
}

function* unevenSteps(schedule: Schedule): Generator<readonly [field: number, message: string]> {
  const fields = schedule.text.split(' ');
  const ranges = [
    {field: 0, count: 60, values: minutesOf(schedule), unit: 'minutes', whole: 'hour'},
    {field: 1, count: 24, values: hoursOf(schedule), unit: 'hours', whole: 'day'},
  ];
  for (const {field, count, values, unit, whole} of ranges) {
    const step = Number(/^\*\/(\d+)$/.exec(fields[field] ?? '')?.[1] ?? 1);
    if (count % step === 0) continue;
    const runs =
      values.length > 3 ? `${values[0]}, ${values[1]}, ... ${values.at(-1)}` : values.join(' and ');
    yield [
      field,
      `This is not every ${step} ${unit}: the count begins again with each ${whole}, so it matches ${runs}.`,
    ];
  }
}

function bothDayFields(schedule: Schedule): string | null {
  const [, , dayField = '', , weekdayField = ''] = schedule.text.split(' ');
  if (dayField === '*' || weekdayField === '*' || dayField === '' || weekdayField === '') return null;
  if (schedule.dayRule === 'both') {
    return 'A day field that begins with `*` joins the other by "and": only days that match both are meant.';
  }
  const some = valuesOf(schedule.days, 1, 31).length < 31 && valuesOf(schedule.weekdays, 0, 6).length < 7;
  return some
    ? 'A day that matches either of the two day fields is enough. Leave one of them `*`, or test the other in the command.'
    : 'One of the two day fields matches every day, and either is enough: this runs every day.';
}

/** The first jump of each kind. */
function* jumpWarnings(
  schedule: Schedule,
  zone: Zone,
  nowMs: number,
): Generator<readonly [code: string, message: string]> {
  const told = new Set<ClockJump['kind']>();
  for (const jump of clockJumps(zone, nowMs, nowMs + lookAheadMs)) {
    const effect = told.has(jump.kind) ? null : jumpEffect(schedule, zone, jump);
    if (effect === null) continue;
    told.add(jump.kind);
    yield [`dst_${jump.kind}`, effect];
  }
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
