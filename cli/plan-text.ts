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
    ...mergeLines(change).map((line) => paint.yellow(line)),
    ...added.map((job) => `${paint.green('+')} ${title(job)}: ${when(job)}\n    ${next(job, timezone)}`),
    ...changed.map(({before, after, what}) => {
      const words = what.includes('schedule')
        ? `${before.schedule_human} → ${after.schedule_human}, ${rate(before)} → ${rate(after)} a day`
        : `${what.join(', ')} changed; ${when(after)}`;
      return `${paint.yellow('~')} ${title(after)}: ${words}\n    ${next(after, timezone)}`;
    }),
    ...removed.map((job) => `${paint.red('-')} ${title(job)}: was ${when(job)}`),
    ...(same.length === 0 ? [] : [`= ${count(same.length, 'job')} the same on both`]),
    ...totalLines(change),
    ...runningLines(change).map((line) => paint.yellow(line)),
    ...Object.entries(scripts).flatMap(([what, paths]) =>
      paths.map((path) => `script ${what}: ${printable(path)}`),
    ),
    ...settingsLines(change),
    ...issues.map((issue) => paint.red(`error ${place(issue)}`)),
    ...warnings.map((warning) => paint.yellow(`warning ${place(warning)}`)),
    ...collisions.map((collision) => paint.yellow(`warning ${collisionLine(collision)}`)),
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

/** For a comment on a pull request. */
export function planMarkdown(change: ScheduleChange): string {
  const {added, changed, removed, same, scripts, issues, warnings, collisions} = change;
  const rows = [
    ...added.map((job) => ['added', cell(title(job)), cell(when(job)), soon(job)]),
    ...changed.map(({before, after, what}) => [
      'changed',
      cell(title(after)),
      cell(
        what.includes('schedule')
          ? `${before.schedule_human} → ${after.schedule_human} (${rate(before)} → ${rate(after)} a day)`
          : `${what.join(', ')}; ${when(after)}`,
      ),
      soon(after),
    ]),
    ...removed.map((job) => ['removed', cell(title(job)), cell(`was ${when(job)}`), '']),
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
    ...issues.map((issue) => `- **error** ${cell(place(issue))}`),
    ...warnings.map((warning) => `- warning ${cell(place(warning))}`),
    ...collisions.map((collision) => `- warning ${cell(collisionLine(collision))}`),
    ...Object.entries(scripts).flatMap(([what, paths]) =>
      paths.map((path) => `- script ${what}: ${cell(path)}`),
    ),
    ...settingsLines(change).map((line) => `- ${cell(line)}`),
    ...[...mergeLines(change), ...totalLines(change), ...runningLines(change)].map(
      (line) => `- ${cell(line)}`,
    ),
  ];
  return [
    `### Schedule: ${cell(change.base.name)} → ${cell(change.head.name)}`,
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

function rate({runs_per_day: runs}: Pick<PlannedJob, 'runs_per_day'>): string {
  if (runs === 0) return 'no runs';
  const number = runs >= 10 ? Math.round(runs) : Number(runs.toPrecision(2));
  return `${number} ${number === 1 ? 'run' : 'runs'}`;
}

function next({next: runs, timezone}: PlannedJob, repositoryZone: string): string {
  if (runs.length === 0) return 'never runs by the clock';
  const zone = timezone === 'UTC' ? repositoryZone : timezone;
  const local = zone === 'UTC' ? '' : `; in ${zone} ${wallTimes(runs, zone).join(', ')}`;
  return `next ${runs.map((at) => `${at.slice(0, 16)}Z`).join(', ')}${local}`;
}

function soon({next: [first]}: PlannedJob): string {
  return first === undefined ? '' : `${first.slice(0, 16)}Z`;
}

function wallTimes(times: readonly string[], name: string): string[] {
  const zone = createZone(name);
  return times.map((at) => {
    const atMs = Date.parse(at);
    return new Date(atMs + zone.segmentAt(atMs).offsetMs).toISOString().slice(0, 16).replace('T', ' ');
  });
}

function mergeLines({base, head, merge: {kind, conflicts}}: ScheduleChange): string[] {
  const [from, to] = [printable(head.name), printable(base.name)];
  switch (kind) {
    case 'head':
      return [];
    case 'merged':
      return [`${to} has changes that ${from} lacks: this is what merging makes of both`];
    case 'contained':
      return [`${to} has all of ${from} already: this is what going back to it changes`];
    case 'conflicts':
      return [
        `warning merging conflicts in ${conflicts.map(printable).join(', ')}: this is ${from} as it is`,
      ];
    case 'unknown':
      return [
        `warning git cannot say what merging makes (it takes git 2.38 and the whole history): this is ${from} as it is`,
      ];
  }
}

function totalLines({base, added, changed, removed, totals: {before, after}}: ScheduleChange): string[] {
  if (added.length + changed.length + removed.length === 0) return [];
  const words = ({jobs, runs_per_day: runs}: typeof before) =>
    `${jobs} ${jobs === 1 ? 'job' : 'jobs'}, ${rate({runs_per_day: runs})} a day`;
  return [`once merged, ${printable(base.name)} runs ${words(after)} (now ${words(before)})`];
}

function runningLines({base, running}: ScheduleChange): string[] {
  if (running === null) return [];
  const {branch, revision, condition, entries, differs} = running;
  const at = revision === null ? 'runs no commit yet' : `runs commit ${short(revision)}`;
  return [
    ...(revision === base.commit
      ? []
      : [`running ${printable(branch)} ${at}, not ${short(base.commit)}: ${printable(condition)}`]),
    ...differs.map(({what, job}) => `running ${printable(branch)} ${what} by hand: ${printable(job)}`),
    ...(entries === 0
      ? []
      : [
          `running ${printable(branch)} has ${entries} ${entries === 1 ? 'entry' : 'entries'} of the API beside, which ${entries === 1 ? 'stays' : 'stay'}`,
        ]),
  ];
}

function collisionLine({job, branches, url}: ScheduleChange['collisions'][number]): string {
  const what = url === null ? 'runs the same command' : `asks for ${printable(url)}`;
  return `${job.file}:${job.line} ${branches.map(printable).join(', ')} ${what} in the same minute`;
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

/** Nothing that comes from a branch may become markup. */
function cell(text: string): string {
  return printable(text).replace(/[\\`*_{}[\]<>()#+!|@~-]/g, '\\$&');
}

function count(number: number, what: string): string {
  return number === 1 ? `1 ${what} is` : `${number} ${what}s are`;
}

function short(commit: string): string {
  return commit.slice(0, 8);
}
