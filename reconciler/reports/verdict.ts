import type {Condition} from '../../schemas/branch.ts';
import {errorCatalogue} from '../../schemas/errors.ts';
import type {Issue} from '../../schemas/issue.ts';
import type {BranchRecord} from '../branch-record.ts';
import type {CommitChange} from '../commit-comparison.ts';
import {code, plainLine} from './markdown.ts';
import {jobLines} from './plan-markdown.ts';
import type {VerdictState} from './report.ts';

/** What is to be said of the newest commit of a branch. */
export interface Verdict {
  readonly state: VerdictState;
  /** A sentence of our own, without anything from git. */
  readonly words: string;
  /** In the words of people or of git; shown as a code span. */
  readonly quote: string | null;
  readonly issues: readonly Issue[];
}

type Judged = Pick<BranchRecord, 'live' | 'revision' | 'applied' | 'conditions' | 'missing' | 'trashed_at'>;

/** Null where nothing is said of a branch: it goes, or waits to be asked for, or belongs to another controller. */
export function verdictOf({
  live,
  revision,
  applied,
  conditions,
  missing,
  trashed_at,
}: Judged): Verdict | null {
  if (revision === null || missing !== null || trashed_at !== null) return null;
  const of = (type: Condition['type']) => conditions.find((condition) => condition.type === type);
  const [ready, reconciling, stalled] = [of('Ready'), of('Reconciling'), of('Stalled')];
  const verdict = (state: VerdictState, words: string, quote: string | null = null): Verdict => ({
    state,
    words,
    quote,
    issues: [],
  });
  if (ready === undefined || (reconciling?.status === 'True' && reconciling.reason === 'progressing'))
    return verdict('pending', 'It is being applied.');
  if (silentReasons.has(ready.reason)) return null;
  if (stalled?.status === 'True') {
    const issues = stalled.issues ?? [];
    return {...verdict('failure', stalledWords(stalled.reason, {issues, applied})), issues};
  }
  if (ready.status === 'True') {
    if (ready.reason === 'rolled_back')
      return verdict('failure', 'Rolled back: an older commit runs in its place.', ready.message);
    return applied?.revision === revision
      ? verdict('success', ready.message)
      : verdict('pending', 'It is being applied.');
  }
  if (ready.reason === 'suspended') return verdict('neutral', 'No job runs: suspended.', ready.message);
  if (ready.reason === 'idle') return verdict('neutral', 'No job runs: nobody has pushed it for long.');
  if (reconciling?.status === 'True')
    return verdict('error', `${meaningOf(ready.reason)} It is tried again.`);
  // What else keeps a preview from being ready is its end.
  return live ? verdict('failure', ready.message) : null;
}

const silentReasons: ReadonlySet<string> = new Set(['read_only', 'first_contact', 'repository_not_watched']);

function stalledWords(
  reason: string,
  {issues, applied}: {issues: readonly Issue[]; applied: BranchRecord['applied']},
): string {
  const what =
    issues.length === 0
      ? meaningOf(reason)
      : `${issues.length === 1 ? '1 mistake' : `${issues.length} mistakes`}; nothing of this commit is applied.`;
  return `${what} ${applied === null ? 'Nothing is active yet.' : `Commit ${applied.revision.slice(0, 8)} stays active.`}`;
}

/** What the code means in general: the message names paths and settings of the host. */
function meaningOf(reason: string): string {
  const found = Object.entries(errorCatalogue).find(([name]) => name.toLowerCase() === reason);
  return found === undefined ? 'It could not be applied.' : found[1].meaning;
}

/** How it reads on the forge. `jobs`: all jobs of the commit; null where they are not known. */
export function verdictTexts(
  {words, quote, issues, state}: Verdict,
  jobs: Pick<CommitChange, 'added' | 'warnings'> | null,
): {title: string; summary: string; warnings: readonly Issue[]} {
  const all = jobs?.added ?? [];
  const first = all
    .flatMap(({name, command, next: [at]}) => (at === undefined ? [] : [{at, name: name ?? command}]))
    .sort((a, b) => a.at.localeCompare(b.at))[0];
  const schedule = `${all.length === 1 ? '1 job' : `${all.length} jobs`}${first === undefined ? '' : `; next ${first.at.slice(0, 16)}Z ${first.name}`}`;
  const [issue] = issues;
  const title =
    state === 'success' && jobs !== null
      ? schedule
      : issue === undefined
        ? words
        : `${issue.file}:${issue.line}:${issue.column} ${issue.message}`;
  return {
    title: plainLine(title, 140),
    summary: [
      words,
      ...(quote === null ? [] : ['', code(quote, 500)]),
      ...(issues.length === 0
        ? []
        : [
            '',
            ...issues
              .slice(0, 50)
              .map(
                ({file, line, column, message}) =>
                  `- ${code(`${file}:${line}:${column}`)} ${code(message, 500)}`,
              ),
            ...(issues.length > 50 ? [`- and ${issues.length - 50} more`] : []),
          ]),
      ...(issues.length > 0 || all.length === 0 ? [] : ['', ...jobLines(all)]),
    ].join('\n'),
    warnings: issues.length > 0 ? [] : (jobs?.warnings ?? []),
  };
}
