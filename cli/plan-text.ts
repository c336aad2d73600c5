import type {PlannedJob, ScheduleChange} from '../schemas/schedule-change.ts';
import {type Paint, printable} from './terminal.ts';

const noPaint = (text: string) => text;
const plain: Paint = {bold: noPaint, dim: noPaint, green: noPaint, yellow: noPaint, red: noPaint};

/** For a terminal: what comes, changes and goes, in words. */
export function planText(change: ScheduleChange, paint: Paint = plain): string {
  const {added, changed, removed, same, scripts, issues, warnings, collisions, busiest} = change;
  const lines = [
    paint.bold(
      `${printable(change.base.name)} ${short(change.base.commit)} → ${printable(change.head.name)} ${short(change.head.commit)}`,
    ),
    ...added.map((job) => `${paint.green('+')} ${title(job)}: ${when(job)}\n    ${next(job)}`),
    ...changed.map(({before, after, what}) => {
      const words = what.includes('schedule')
        ? `${before.schedule_human} → ${after.schedule_human}, ${rate(before)} → ${rate(after)} a day`
        : `${what.join(', ')} changed; ${when(after)}`;
      return `${paint.yellow('~')} ${title(after)}: ${words}\n    ${next(after)}`;
    }),
    ...removed.map((job) => `${paint.red('-')} ${title(job)}: was ${when(job)}`),
    ...(same.length === 0 ? [] : [`= ${count(same.length, 'job')} the same on both`]),
    ...Object.entries(scripts).flatMap(([what, paths]) =>
      paths.map((path) => `script ${what}: ${printable(path)}`),
    ),
    ...settingsLines(change),
    ...issues.map((issue) => paint.red(`error ${place(issue)}`)),
    ...warnings.map((warning) => paint.yellow(`warning ${place(warning)}`)),
    ...collisions.map(({job, branches}) =>
      paint.yellow(
        `warning ${job.file}:${job.line} ${branches.map(printable).join(', ')} runs the same command in the same minute`,
      ),
    ),
    ...busiest
      .slice(0, 1)
      .map(({at, jobs}) => paint.dim(`busiest minute of the next day: ${at}, ${jobs} jobs`)),
  ];
  if (added.length + changed.length + removed.length === 0) lines.splice(1, 0, 'No job changes.');
  return `${lines.join('\n')}\n`;
}

/** For a comment on a pull request. */
export function planMarkdown(change: ScheduleChange): string {
  const {added, changed, removed, same, scripts, issues, warnings, collisions} = change;
  const rows = [
    ...added.map((job) => ['added', markdownText(title(job)), markdownText(when(job)), soon(job)]),
    ...changed.map(({before, after, what}) => [
      'changed',
      markdownText(title(after)),
      markdownText(
        what.includes('schedule')
          ? `${before.schedule_human} → ${after.schedule_human} (${rate(before)} → ${rate(after)} a day)`
          : `${what.join(', ')}; ${when(after)}`,
      ),
      soon(after),
    ]),
    ...removed.map((job) => ['removed', markdownText(title(job)), markdownText(`was ${when(job)}`), '']),
  ];
  const table =
    rows.length === 0
      ? ['No job changes.']
      : [
          '| | job | when | next run (UTC) |',
          '|---|---|---|---|',
          ...rows.map((cells) => `| ${cells.join(' | ')} |`),
        ];
  const notes = [
    ...issues.map((issue) => `- **error** ${markdownText(place(issue))}`),
    ...warnings.map((warning) => `- warning ${markdownText(place(warning))}`),
    ...collisions.map(
      ({job, branches}) =>
        `- warning ${markdownText(`${job.file}:${job.line}`)} ${branches.map(markdownText).join(', ')} runs the same command in the same minute`,
    ),
    ...Object.entries(scripts).flatMap(([what, paths]) =>
      paths.map((path) => `- script ${what}: ${markdownText(path)}`),
    ),
    ...settingsLines(change).map((line) => `- ${markdownText(line)}`),
  ];
  return [
    `### Schedule: ${markdownText(change.base.name)} → ${markdownText(change.head.name)}`,
    '',
    ...table,
    '',
    ...notes,
    ...(same.length === 0 ? [] : ['', `${count(same.length, 'job')} the same on both.`]),
    '',
  ].join('\n');
}

function settingsLines({settings: {preview, live}}: ScheduleChange): string[] {
  return [
    ...preview.map((effect) => `settings of a preview: ${effect}`),
    ...live.map((effect) => `settings once live: ${effect}`),
  ];
}

function title({user, name, command}: PlannedJob): string {
  const owner = user === 'root' ? '' : `${user}: `;
  return `${owner}${printable(name ?? command.slice(0, 60))}`;
}

function when(job: PlannedJob): string {
  const zone = job.timezone === 'UTC' ? '' : ` (${job.timezone})`;
  return `${job.schedule_human}${zone}, ${rate(job)} a day`;
}

function rate({runs_per_day: runs}: PlannedJob): string {
  if (runs === 0) return 'no runs';
  const number = runs >= 10 ? Math.round(runs) : Number(runs.toPrecision(2));
  return `${number} ${number === 1 ? 'run' : 'runs'}`;
}

function next({next: runs, timezone}: PlannedJob): string {
  if (runs.length === 0) return 'never runs by the clock';
  const local =
    timezone === 'UTC' ? '' : `; in ${timezone} ${runs.map((at) => wallTime(at, timezone)).join(', ')}`;
  return `next ${runs.map((at) => `${at.slice(0, 16)}Z`).join(', ')}${local}`;
}

function soon({next: [first]}: PlannedJob): string {
  return first === undefined ? '' : `${first.slice(0, 16)}Z`;
}

function wallTime(at: string, timeZone: string): string {
  return new Intl.DateTimeFormat('sv-SE', {timeZone, dateStyle: 'short', timeStyle: 'short'}).format(
    new Date(at),
  );
}

function place({file, line, column, message}: ScheduleChange['issues'][number]): string {
  return `${file}:${line}:${column} ${printable(message)}`;
}

/** Nothing that comes from a branch may become markup. */
export function markdownText(text: string): string {
  return printable(text).replace(/[\\`*_{}[\]<>()#+!|@~-]/g, '\\$&');
}

function count(number: number, what: string): string {
  return number === 1 ? `1 ${what} is` : `${number} ${what}s are`;
}

function short(commit: string): string {
  return commit.slice(0, 8);
}
