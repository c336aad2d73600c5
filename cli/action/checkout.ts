import type {CommitReader} from '../../reconciler/branch-files.ts';
import {branchPolicyOf} from '../../reconciler/environments.ts';
import {type LocalSource, openLocalSource} from '../../reconciler/sources/git-local.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {wholeRepository} from '../../schemas/branch-name.ts';
import {AppError} from '../../schemas/errors.ts';
import type {ScheduleChange} from '../../schemas/schedule-change.ts';
import {compareSchedules, type NamedCommit} from '../schedule-comparison.ts';
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
 * What the commit changes of the schedule. `base` is null where no commit to compare with is in the checkout: then all
 * jobs are new ones. Throws REVISION_NOT_FOUND where the commit itself is not there.
 */
export async function planOf(
  source: LocalSource,
  {branch, head, bases}: Extract<Subject, {kind: 'branch'}>,
  {path, timeZone, clock}: {path: string | null; timeZone: string; clock: Clock},
): Promise<{change: ScheduleChange; base: NamedCommit | null}> {
  const {signal} = new AbortController();
  const commit = await source.resolve(head, {signal});
  const base = await firstOf(source, bases);
  const policy = (live: boolean) => branchPolicyOf([], {branch, live}, 'all');
  const change = await compareSchedules(source, {
    ...unparsed,
    base,
    head: {name: branch, commit},
    path: path ?? wholeRepository,
    timeZone,
    operator: {preview: policy(false), live: policy(true)},
    clock,
  });
  if (change !== null) return {change, base};
  throw new AppError('CONFIG_INVALID', `The input path: the repository has no ${path}/.hoody.`);
}

async function firstOf(source: LocalSource, bases: readonly Base[]): Promise<NamedCommit | null> {
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
