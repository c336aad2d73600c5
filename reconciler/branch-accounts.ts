import {AppError} from '../schemas/errors.ts';
import type {Explanation, JournalEvent} from '../schemas/journal.ts';
import {branchKey, isBranchKey} from './branch-key.ts';
import type {BranchRecord} from './branch-record.ts';
import type {ControllerContext} from './controller-context.ts';
import {explainServed, explainUnserved} from './explanation.ts';

/** What is told of branches after the fact. Errors are AppErrors. */
export interface BranchAccounts {
  /** Newest first; also of a branch that is gone, by its key, or by its name in a repository that is watched. */
  history(keyOrName: string, options: {limit: number}): Promise<JournalEvent[]>;
  /** The way from git to the container, also of a branch that git has and that is not served. */
  explain(keyOrName: string): Promise<Explanation>;
}

export function createBranchAccounts({options, table, watches, view}: ControllerContext): BranchAccounts {
  const {journal} = options;

  /** Null where no branch of this key or name is served. Throws BRANCH_AMBIGUOUS. */
  const served = (keyOrName: string): BranchRecord | null => {
    try {
      return table.find(keyOrName);
    } catch (error) {
      if (error instanceof AppError && error.code === 'BRANCH_NOT_FOUND') return null;
      throw error;
    }
  };

  const formerEvents = async (keyOrName: string): Promise<JournalEvent[]> => {
    const keys = [...watches.keys()].map((repository) =>
      branchKey({repository, path: '.', branch: keyOrName}),
    );
    for (const key of isBranchKey(keyOrName) ? [keyOrName, ...keys] : keys) {
      const events = await journal.read(key);
      if (events.length > 0) return events;
    }
    return [];
  };

  return {
    async history(keyOrName, {limit}) {
      const record = served(keyOrName);
      const events = record === null ? await formerEvents(keyOrName) : await journal.read(record.key);
      // Says that nothing is known of it.
      if (record === null && events.length === 0) table.find(keyOrName);
      return events.slice(0, limit);
    },
    async explain(keyOrName) {
      const record = served(keyOrName);
      if (record !== null) {
        const {key, branch, repository, revision} = record;
        const watch = watches.get(repository);
        const steps = explainServed(view(record), {
          events: await journal.read(key),
          repository: watch?.status() ?? null,
        });
        return {kind: 'branch', branch, key, repository, revision, steps};
      }
      const sightings = [...watches].map(([repository, watch]) => ({
        repository,
        status: watch.status(),
        sighting: watch.sighting(keyOrName),
      }));
      const found = sightings.find(({sighting}) => sighting !== null) ?? sightings[0];
      const former = await formerEvents(keyOrName);
      if (found === undefined || (found.sighting === null && former.length === 0)) table.find(keyOrName);
      const {repository = null, sighting = null} = found ?? {};
      return {
        kind: 'branch',
        branch: keyOrName,
        key: null,
        repository,
        revision: sighting?.commit ?? null,
        steps:
          found === undefined ? [] : explainUnserved(sighting, {branch: keyOrName, repository: found.status}),
      };
    },
  };
}
