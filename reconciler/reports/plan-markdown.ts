import {formatRate} from '../../schemas/run-rate.ts';
import type {PlannedJob, ScheduleChange} from '../../schemas/schedule-change.ts';
import type {CommitChange} from '../commit-comparison.ts';
import {collisionLine, mergeLines, runningLines, settingsLines, totalLines} from '../plan-sentences.ts';
import {code, linesWithin} from './markdown.ts';

/** GitHub takes 65,536 characters; some are left for what stands around it. */
const mostCharacters = 50_000;

/** What a change does to the schedule, in Markdown that nothing from git can break out of. */
export function planMarkdown(change: ScheduleChange): string {
  const notes = [...mergeLines(change), ...totalLines(change), ...runningLines(change)];
  return [
    `### Schedule: ${code(change.base.name)} → ${code(change.head.name)}`,
    '',
    ...planLines(change),
    ...(notes.length === 0 ? [] : ['', ...notes.map((line) => `- ${code(line, 500)}`)]),
    '',
  ].join('\n');
}

/** What changes, as lines. */
export function planLines(change: CommitChange): string[] {
  const {added, changed, removed, same, scripts, issues, warnings, collisions} = change;
  const jobs = [
    ...added.map((job) => `- **added** ${jobTitle(job)}: ${jobWords(job)}`),
    ...changed.map(
      ({before, after, what}) =>
        `- **changed** ${jobTitle(after)}: ${
          what.includes('schedule')
            ? `${before.schedule_human} → ${after.schedule_human} (${formatRate(before.runs_per_day)} → ${formatRate(after.runs_per_day)} a day); ${nextWords(after)}`
            : `${what.join(', ')}; ${jobWords(after)}`
        }`,
    ),
    ...removed.map((job) => `- **removed** ${jobTitle(job)}: was ${jobTimes(job)}`),
  ];
  const notes = [
    ...issues.map(
      ({file, line, column, message}) =>
        `- **error** ${code(`${file}:${line}:${column}`)} ${code(message, 500)}`,
    ),
    ...warnings.map(
      ({file, line, column, message}) =>
        `- warning ${code(`${file}:${line}:${column}`)} ${code(message, 500)}`,
    ),
    ...collisions.map((collision) => `- warning ${code(collisionLine(collision), 500)}`),
    ...settingsLines(change).map((line) => `- ${code(line, 500)}`),
    ...Object.entries(scripts).flatMap(([what, paths]) =>
      paths.map((path) => `- script ${what}: ${code(path)}`),
    ),
  ];
  return [
    ...(jobs.length === 0 ? ['No job changes.'] : linesWithin(jobs, mostCharacters / 2)),
    ...(notes.length === 0 ? [] : ['', ...linesWithin(notes, mostCharacters / 2)]),
    ...(same.length === 0
      ? []
      : ['', `${same.length === 1 ? '1 job is' : `${same.length} jobs are`} the same on both.`]),
  ];
}

/** All jobs of one commit, a line each. */
export function jobLines(jobs: readonly PlannedJob[]): string[] {
  return linesWithin(
    jobs.map((job) => `- ${jobTitle(job)}: ${jobWords(job)}`),
    mostCharacters,
  );
}

function jobTitle({user, name, command}: PlannedJob): string {
  const title = code(name ?? command, 60);
  return user === 'root' ? title : `${title} of ${code(user)}`;
}

function jobWords(job: PlannedJob): string {
  return `${jobTimes(job)}; ${nextWords(job)}`;
}

function jobTimes({schedule_human, timezone, runs_per_day}: PlannedJob): string {
  return `${schedule_human}${timezone === 'UTC' ? '' : ` (${timezone})`}, ${formatRate(runs_per_day)} a day`;
}

function nextWords({next}: PlannedJob): string {
  const [first, second] = next.map((at) => `${at.slice(0, 16)}Z`);
  if (first === undefined) return 'never by the clock';
  return second === undefined ? `next ${first}` : `next ${first}, then ${second}`;
}
