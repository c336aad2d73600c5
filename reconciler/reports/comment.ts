import {inDirectory, wholeRepository} from '../../schemas/branch-name.ts';
import type {PlannedJob} from '../../schemas/schedule-change.ts';
import type {CommitChange} from '../commit-comparison.ts';
import {code} from './markdown.ts';
import {planLines} from './plan-markdown.ts';

/** What a pull request does to the schedule of one directory. */
export interface DirectoryChange {
  readonly path: string;
  readonly change: CommitChange;
}

/** True where merging it changes nothing of what runs, and nothing is wrong with it. */
export function isSilent({change}: DirectoryChange): boolean {
  const {added, changed, removed, scripts, issues, warnings} = change;
  const paths = Object.values(scripts).flat();
  return [added, changed, removed, issues, warnings, paths].every((list) => list.length === 0);
}

/** What a comment says, without what only the clock and other commits change. */
export function commentMeaning(changes: readonly DirectoryChange[]): unknown {
  const timeless = ({next: _next, ...job}: PlannedJob) => job;
  return changes.map(({path, change: {added, changed, removed, same, scripts, issues, warnings}}) => ({
    path,
    added: added.map(timeless),
    changed: changed.map(({before, after, what}) => [timeless(before), timeless(after), what]),
    removed: removed.map(timeless),
    same: same.length,
    scripts,
    issues,
    warnings,
  }));
}

/** Markdown below the marker. `isCurrent`: the base is where the branch left it, so that the merge gives what is shown. */
export function commentText(
  changes: readonly DirectoryChange[],
  {
    base,
    baseIsLive,
    isCurrent,
    url,
  }: {base: string; baseIsLive: boolean; isCurrent: boolean; url: string | null},
): string {
  const into = `${code(base)}${baseIsLive ? ' (live)' : ''}`;
  const loud = changes.filter((change) => !isSilent(change));
  return [
    `### Schedule: what merging into ${into} changes`,
    '',
    ...(loud.length === 0 ? ['Nothing of what runs.'] : []),
    ...loud.flatMap(({path, change}) => [
      ...(path === wholeRepository ? [] : [`#### ${code(inDirectory(path, '.hoody'))}`, '']),
      ...planLines(change),
      '',
      change.issues.length > 0
        ? `With these mistakes nothing of it is applied: ${into} would go on with what it runs now, and be stalled.`
        : afterMerge(change, {into, isCurrent}),
      '',
    ]),
    ...(url === null ? [] : [`[All branches](${url})`, '']),
  ].join('\n');
}

function afterMerge(
  {added, changed, same}: CommitChange,
  {into, isCurrent}: {into: string; isCurrent: boolean},
): string {
  if (!isCurrent)
    return `${into} has moved on since this branch left it; what was changed there meanwhile stays and is not shown.`;
  const count = added.length + changed.length + same.length;
  return `${into} then runs ${count === 0 ? 'no job' : count === 1 ? '1 job' : `${count} jobs`}.`;
}
