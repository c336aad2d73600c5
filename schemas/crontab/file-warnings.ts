import type {Crontab, CrontabJob} from '../crontab.ts';
import {matchesDay, matchesTime} from '../schedule/next-run.ts';
import {hoursOf, minutesOf} from '../schedule/parse.ts';
import {readAssignment} from './environment.ts';
import type {CrontabWarning} from './warning.ts';

/** So many starts in one minute are more than a small container does in a second. */
const crowd = 20;
const minutesOfDay = 24 * 60;
const dayMs = minutesOfDay * 60_000;
/** So many of the fullest minutes are looked at, each for a year. */
const candidates = 8;

/** What concerns a crontab as a whole and no single job. `mailDelivered`: somebody sends what `MAILTO` asks for. */
export function fileWarnings(
  {lines, jobs}: Crontab,
  {
    nowMs,
    mailDelivered,
    timeZoneOf,
  }: {
    nowMs: number;
    mailDelivered: boolean;
    /** Jobs of different zones are not counted together. */
    timeZoneOf: (job: CrontabJob) => string;
  },
): CrontabWarning[] {
  const found: CrontabWarning[] = [];
  const returns = lines.findIndex(({text}) => /\r\n?$/.test(text));
  if (returns !== -1) {
    const message =
      'The line ends as on Windows. Here the carriage return is dropped; other crons hand it to the command.';
    found.push({code: 'carriage_return', message, line: returns + 1, column: 1});
  }
  const last = lines.at(-1);
  if (last !== undefined && !last.text.endsWith('\n') && last.kind !== 'blank') {
    const message = 'The last line has no line end. It counts here; crontab(1) refuses such a file.';
    found.push({code: 'final_newline_missing', message, line: lines.length, column: last.text.length + 1});
  }
  for (const [index, {kind, text}] of lines.entries()) {
    if (kind !== 'environment' || mailDelivered) continue;
    const read = readAssignment(text.replace(/\r?\n?$/, ''));
    if (read === null || typeof read === 'string' || read.name !== 'MAILTO' || read.value === '') continue;
    const message =
      'No mail is sent, since no SMTP server is configured; the output is in the records of the runs.';
    found.push({code: 'mail_not_delivered', message, line: index + 1, column: text.search(/\S/) + 1});
  }
  const groups = Map.groupBy(
    jobs.filter(({enabled, schedule}) => enabled && !schedule.reboot),
    timeZoneOf,
  );
  for (const inZone of groups.values()) {
    const crowded = crowdedMinute(inZone, nowMs);
    if (crowded !== null) found.push(crowded);
  }
  return found;
}

/** The fullest minute of a day of the next year in which more than `crowd` of the jobs start. */
function crowdedMinute(jobs: readonly CrontabJob[], nowMs: number): CrontabWarning | null {
  if (jobs.length <= crowd) return null;
  const counts = new Uint16Array(minutesOfDay);
  for (const same of Map.groupBy(jobs, ({schedule}) => schedule.text).values()) {
    const schedule = same[0]?.schedule;
    if (schedule === undefined) continue;
    const minutes = minutesOf(schedule);
    for (const hour of hoursOf(schedule)) {
      for (const minute of minutes) {
        const at = hour * 60 + minute;
        counts[at] = (counts[at] ?? 0) + same.length;
      }
    }
  }
  const fullest = [...counts.keys()]
    .filter((at) => (counts[at] ?? 0) > crowd)
    .sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b);
  for (const at of fullest.slice(0, candidates)) {
    const there = jobs.filter(({schedule}) => matchesTime(schedule, Math.floor(at / 60), at % 60));
    const together = onOneDay(there, nowMs);
    const tooMuch = together[crowd];
    if (tooMuch === undefined) continue;
    const time = `${String(Math.floor(at / 60)).padStart(2, '0')}:${String(at % 60).padStart(2, '0')}`;
    const message = `${together.length} jobs start at ${time}; spread them over other minutes.`;
    return {code: 'many_jobs_in_one_minute', message, line: tooMuch.line, column: 1};
  }
  return null;
}

/** Those of the jobs that share the first day of the next year on which more than `crowd` of them run. */
function onOneDay(jobs: readonly CrontabJob[], nowMs: number): readonly CrontabJob[] {
  const today = Math.floor(nowMs / dayMs) * dayMs;
  for (let day = 0; day < 366; day += 1) {
    const date = new Date(today + day * dayMs);
    const running = jobs.filter(
      ({schedule}) =>
        ((schedule.months >>> (date.getUTCMonth() + 1)) & 1) === 1 &&
        matchesDay(schedule, date.getUTCDate(), date.getUTCDay()),
    );
    if (running.length > crowd) return running;
  }
  return [];
}
