import type {Clock} from '../runtime/platform/clock.ts';
import type {RollbackRequest} from '../schemas/branch.ts';
import {AppError} from '../schemas/errors.ts';
import type {BranchRecord, RollbackRecord} from './branch-record.ts';
import {type Container, type ContainerProvider, labelNames} from './containers/provider.ts';
import type {Journal} from './journal.ts';
import type {Source} from './sources/source.ts';

/** Where the rollback stands that a request asks for. Throws REVISION_NOT_FOUND, NOTHING_TO_ROLL_BACK. */
export async function rollbackFor(
  record: BranchRecord,
  {to, reason}: RollbackRequest,
  {source, journal, clock, signal}: {source: Source; journal: Journal; clock: Clock; signal: AbortSignal},
): Promise<RollbackRecord> {
  const {branch, revision, applied} = record;
  if (revision === null || record.missing !== null || applied === null)
    throw new AppError('NOTHING_TO_ROLL_BACK', `${branch} runs nothing that could be rolled back`);
  const since = new Date(clock.now()).toISOString();
  const bad = record.rollback?.bad ?? revision;
  const target =
    to === null ? await commitBefore(record, journal) : await source.findInHistory(bad, to, {signal});
  if (target === null) {
    throw to === null
      ? new AppError(
          'NOTHING_TO_ROLL_BACK',
          `No commit that ${branch} ran before ${applied.revision.slice(0, 8)} is on record; name one with --to`,
        )
      : new AppError('REVISION_NOT_FOUND', `${branch} has no commit ${to} in its history, or more than one`);
  }
  if (target === bad)
    throw new AppError(
      'NOTHING_TO_ROLL_BACK',
      `${target.slice(0, 8)} is the newest commit of ${branch}; to run it again: branchtab rollback ${branch} --undo`,
    );
  if ((await source.readHoody(target, {path: record.path, signal})) === null)
    throw new AppError('REVISION_NOT_FOUND', `Commit ${target.slice(0, 8)} has no .hoody directory`);
  return {to: target, bad, tip: revision, since, reason};
}

/** The commit that was found to run before the one that runs now; null where the journal knows of none. */
async function commitBefore(
  {key, revision, applied}: BranchRecord,
  journal: Journal,
): Promise<string | null> {
  const good: string[] = [];
  for (const event of await journal.read(key)) {
    if (event.kind !== 'worked' || !event.verified || event.revision === null) continue;
    if (!good.includes(event.revision)) good.push(event.revision);
  }
  const later = good.indexOf(applied?.revision ?? '');
  return good.slice(later + 1).find((commit) => commit !== revision) ?? null;
}

/** Ends a rollback when a commit arrives that is newer than the bad one; a force-push to one before it ends nothing. */
export async function endRollback(
  record: BranchRecord,
  {
    source,
    provider,
    container,
    signal,
  }: {source: Source; provider: ContainerProvider; container: Container | null; signal: AbortSignal},
): Promise<void> {
  const {rollback, revision, missing} = record;
  if (rollback === null || revision === null || missing !== null) return;
  if (revision === rollback.tip) {
    // One that came with a push has none yet.
    if (container !== null && container.labels[labelNames.rollback] === undefined)
      await provider.label(container.id, {[labelNames.rollback]: JSON.stringify(rollback)});
    return;
  }
  if (await isInHistory(revision, rollback.bad, {source, signal})) {
    record.rollback = {...rollback, tip: revision};
    return;
  }
  record.rollback = null;
  if (record.container_id !== null) await provider.label(record.container_id, {[labelNames.rollback]: null});
}

async function isInHistory(
  revision: string,
  tip: string,
  {source, signal}: {source: Source; signal: AbortSignal},
): Promise<boolean> {
  try {
    return (await source.findInHistory(tip, revision, {signal})) !== null;
  } catch (error) {
    // The bad commit is gone from the repository: whatever comes is newer.
    if (error instanceof AppError && error.code === 'REPOSITORY_UNREADABLE') return false;
    throw error;
  }
}
