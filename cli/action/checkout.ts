import type {CommitReader} from '../../reconciler/branch-files.ts';
import {compareCommits, crontabsOfOthers} from '../../reconciler/commit-comparison.ts';
import {branchPolicyOf} from '../../reconciler/environments.ts';
import {type LocalSource, openLocalSource} from '../../reconciler/sources/git-local.ts';
import {loadScheduleWords} from '../../runtime/cron/schedule-words.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {wholeRepository} from '../../schemas/branch-name.ts';
import {AppError} from '../../schemas/errors.ts';
import type {ScheduleChange} from '../../schemas/schedule-change.ts';
import type {Environment} from '../settings.ts';
import type {Base, Subject} from './event.ts';

/** Whoever runs the scripts parses them; a job of a workflow has no parser at hand. */
export const unparsed: Pick<CommitReader, 'checkScript' | 'scriptImports'> = {
  checkScript: async () => [],
  scriptImports: async () => [],
};

/** The checkout that the job stands in. Throws REPOSITORY_UNREADABLE where there is none. */
export function openCheckout(environment: Environment, clock: Clock): Promise<LocalSource> {
  const path = environment.GITHUB_WORKSPACE ?? '.';
  return openLocalSource({path, environment, clock, log: silentLog});
}

/**
 * What the commit changes of the schedule. Where no commit to compare with is in the checkout (`isAlone`) all jobs are
 * new ones. Throws REVISION_NOT_FOUND where the commit itself is not there.
 */
export async function planOf(
  source: LocalSource,
  {branch, head, bases}: Extract<Subject, {kind: 'branch'}>,
  {path: named, timeZone, clock}: {path: string | null; timeZone: string; clock: Clock},
): Promise<{change: ScheduleChange; isAlone: boolean}> {
  const {signal} = new AbortController();
  const path = named ?? wholeRepository;
  const commit = await source.resolve(head, {signal});
  const base = await firstOf(source, bases);
  const policy = (live: boolean) => branchPolicyOf([], {branch, live}, 'all');
  const {branches} = await source.list({signal});
  const {change, hasHoody} = await compareCommits(
    source,
    {base: base ?? {name: 'nothing', commit: null}, head: {name: branch, commit}, path},
    {
      ...unparsed,
      timeZone,
      nowMs: clock.now(),
      describe: await loadScheduleWords(),
      operator: {preview: policy(false), live: policy(true)},
      others: await crontabsOfOthers(source, branches, {
        without: new Set(base === null ? [commit] : [base.commit, commit]),
        path,
        signal,
      }),
      signal,
    },
  );
  if (named !== null && !hasHoody)
    throw new AppError('CONFIG_INVALID', `The input path: the repository has no ${path}/.hoody.`);
  // GitHub has made the merge already; what runs of it is known to a controller alone.
  return {change: {...change, merge: {kind: 'head', conflicts: []}, running: null}, isAlone: base === null};
}

async function firstOf(
  source: LocalSource,
  bases: readonly Base[],
): Promise<{name: string; commit: string} | null> {
  const {signal} = new AbortController();
  for (const {name, revision} of bases) {
    try {
      return {name, commit: await source.resolve(revision, {signal})};
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'REVISION_NOT_FOUND') throw error;
    }
  }
  return null;
}
