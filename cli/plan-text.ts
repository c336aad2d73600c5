import {
  collisionLine,
  mergeLines,
  runningLines,
  settingsLines,
  totalLines,
} from '../reconciler/plan-sentences.ts';
import {formatRate} from '../schemas/run-rate.ts';
import {createZone} from '../schemas/schedule/zone.ts';
import type {PlannedJob, ScheduleChange} from '../schemas/schedule-change.ts';
import {type Paint, printable} from './terminal.ts';

const noPaint = (text: string) => text;
const plain: Paint = {bold: noPaint, dim: noPaint, green: noPaint, yellow: noPaint, red: noPaint};

/** For a terminal: what comes, changes and goes, in words. */
export function planText(change: ScheduleChange, paint: Paint = plain): string {
  const {added, changed, removed, same, scripts, issues, warnings, collisions, busiest, load, timezone} =
    change;
  const lines = [
    paint.bold(
      `${printable(change.base.name)} ${short(change.base.commit)} → ${printable(change.head.name)} ${short(change.head.commit)}`,
    ),
    ...mergeLines(change).map((line) => paint.yellow(printable(line))),
    ...added.map((job) => `${paint.green('+')} ${title(job)}: ${when(job)}\n    ${next(job, timezone)}`),
    ...changed.map(({before, after, what}) => {
      const words = what.includes('schedule')
        ? `${before.schedule_human} → ${after.schedule_human}, ${formatRate(before.runs_per_day)} → ${formatRate(after.runs_per_day)} a day`
        : `${what.join(', ')} changed; ${when(after)}`;
      return `${paint.yellow('~')} ${title(after)}: ${words}\n    ${next(after, timezone)}`;
    }),
    ...removed.map((job) => `${paint.red('-')} ${title(job)}: was ${when(job)}`),
    ...(same.length === 0 ? [] : [`= ${count(same.length, 'job')} the same on both`]),
    ...totalLines(change).map(printable),
    ...runningLines(change).map((line) => paint.yellow(printable(line))),
    ...Object.entries(scripts).flatMap(([what, paths]) =>
      paths.map((path) => `script ${what}: ${printable(path)}`),
    ),
    ...settingsLines(change).map(printable),
    ...issues.map((issue) => paint.red(`error ${place(issue)}`)),
    ...warnings.map((warning) => paint.yellow(`warning ${place(warning)}`)),
    ...collisions.map((collision) => paint.yellow(`warning ${printable(collisionLine(collision))}`)),
    ...(busiest.length === 0
      ? []
      : [paint.dim(`load by hour of the next day from ${load.from}: ${hours(load)}`)]),
    ...busiest
      .slice(0, 1)
      .map(({at, jobs}) => paint.dim(`busiest minute of the next day: ${at}, ${jobs} jobs`)),
  ];
  if (added.length + changed.length + removed.length === 0) lines.splice(1, 0, 'No job changes.');
  return `${lines.join('\n')}\n`;
}

function title({user, name, command}: PlannedJob): string {
  const owner = user === 'root' ? '' : `${user}: `;
  return `${owner}${printable(name ?? command.slice(0, 60))}`;
}

function when(job: PlannedJob): string {
  const zone = job.timezone === 'UTC' ? '' : ` (${job.timezone})`;
  return `${job.schedule_human}${zone}, ${formatRate(job.runs_per_day)} a day`;
}

function next({next: runs, timezone}: PlannedJob, repositoryZone: string): string {
  if (runs.length === 0) return 'never runs by the clock';
  const zone = timezone === 'UTC' ? repositoryZone : timezone;
  const local = zone === 'UTC' ? '' : `; in ${zone} ${wallTimes(runs, zone).join(', ')}`;
  return `next ${runs.map((at) => `${at.slice(0, 16)}Z`).join(', ')}${local}`;
}

function wallTimes(times: readonly string[], name: string): string[] {
  const zone = createZone(name);
  return times.map((at) => {
    const atMs = Date.parse(at);
    return new Date(atMs + zone.segmentAt(atMs).offsetMs).toISOString().slice(0, 16).replace('T', ' ');
  });
}

/** A bar for each hour. */
function hours({minutes}: ScheduleChange['load']): string {
  const sums = Array.from({length: 24}, (_, hour) =>
    minutes.slice(hour * 60, hour * 60 + 60).reduce((sum, jobs) => sum + jobs, 0),
  );
  const most = Math.max(1, ...sums);
  return sums.map((sum) => (sum === 0 ? '·' : '▁▂▃▄▅▆▇█'[Math.ceil((sum / most) * 8) - 1])).join('');
}

function place({file, line, column, message}: ScheduleChange['issues'][number]): string {
  return `${file}:${line}:${column} ${printable(message)}`;
}

function count(number: number, what: string): string {
  return number === 1 ? `1 ${what} is` : `${number} ${what}s are`;
}

function short(commit: string): string {
  return commit.slice(0, 8);
}
