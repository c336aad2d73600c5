import type {Log} from '../runtime/platform/log.ts';
import {createBranchFilter} from '../schemas/branch-glob.ts';
import {wholeRepository} from '../schemas/branch-name.ts';
import {AppError} from '../schemas/errors.ts';
import type {BranchRecord} from './branch-record.ts';
import type {BranchTip, Source} from './sources/source.ts';

/** What a branch serves: by path, whether it changes that path. */
export type BranchPaths = ReadonlyMap<string, 'changed' | 'same'>;

/** Finds the directories of a branch that have a container each: the whole repository, or several of a monorepo. */
export interface ServedPaths {
  /** True where what is known of the branch's paths may not hold any more. Asked in every pass: reads nothing. */
  mustLook(tip: BranchTip, known: {records: readonly BranchRecord[]; liveCommit: string | null}): boolean;
  /** Takes note of what the branches serve. Throws REPOSITORY_UNREADABLE. */
  look(
    branches: ReadonlyMap<string, string>,
    options: {live: BranchTip | null; signal: AbortSignal},
  ): Promise<void>;
  /** Whether the operator wants a container for such a path at all. */
  serves(path: string): boolean;
  /** What was found at the last look; null where there was none, or what is there cannot be told. */
  of(branch: string): BranchPaths | null;
  forget(branch: string): void;
}

/** Each is one process that finds where a branch left the live one. */
const looksAtOnce = 8;

export function createServedPaths({
  source,
  paths,
  log,
}: {
  source: Source;
  /** Globs of directories; null for the whole repository. */
  paths: readonly string[] | null;
  log: Log;
}): ServedPaths {
  return paths === null ? wholeRepositories(source) : directories(source, paths, log);
}

const whole: BranchPaths = new Map([[wholeRepository, 'changed']]);

function wholeRepositories(source: Source): ServedPaths {
  /** Branches that have no `.hoody/`, with the commit in which that was seen. */
  const withoutHoody = new Map<string, string>();
  return {
    mustLook: ({branch, commit}, {records}) =>
      !records.some(({path}) => path === wholeRepository) && withoutHoody.get(branch) !== commit,
    async look(branches, {signal}) {
      if (branches.size === 0) return;
      const withHoody = await source.hasHoody([...branches.values()], {signal});
      for (const [branch, commit] of branches) {
        if (withHoody.has(commit)) withoutHoody.delete(branch);
        else withoutHoody.set(branch, commit);
      }
    },
    serves: (path) => path === wholeRepository,
    of: (branch) => (withoutHoody.has(branch) ? new Map() : whole),
    forget: (branch) => void withoutHoody.delete(branch),
  };
}

interface Look {
  readonly commit: string;
  readonly live: string | null;
  readonly paths: BranchPaths | null;
}

type Trees = ReadonlyMap<string, string>;

function directories(source: Source, globs: readonly string[], log: Log): ServedPaths {
  const looks = new Map<string, Look>();

  /** Null where the commit holds something that no directory may hold. */
  async function lookAt(
    {branch, commit}: BranchTip,
    {
      live,
      treesOf,
      signal,
    }: {live: BranchTip | null; treesOf: (commit: string) => Promise<Trees>; signal: AbortSignal},
  ): Promise<BranchPaths | null> {
    try {
      const own = await treesOf(commit);
      const isChanged =
        live === null || live.branch === branch
          ? () => true
          : await changes({live, commit, own, treesOf, signal});
      return new Map([...own].map(([path, tree]) => [path, isChanged(path, tree) ? 'changed' : 'same']));
    } catch (error) {
      if (signal.aborted || !(error instanceof AppError) || error.code === 'REPOSITORY_UNREADABLE')
        throw error;
      log.warn('the directories of a branch cannot be told; it is left as it is', {branch, commit, error});
      return null;
    }
  }

  async function changes({
    live,
    commit,
    own,
    treesOf,
    signal,
  }: {
    live: BranchTip;
    commit: string;
    own: Trees;
    treesOf: (commit: string) => Promise<Trees>;
    signal: AbortSignal;
  }): Promise<(path: string, tree: string) => boolean> {
    const there = await treesOf(live.commit);
    if ([...own].every(([path, tree]) => there.get(path) === tree)) return () => false;
    // What live has changed since the branch left it is no change of the branch.
    const base = await source.mergeBase(live.commit, commit, {signal});
    const before = base === null ? null : await treesOf(base);
    return (path, tree) => there.get(path) !== tree && before?.get(path) !== tree;
  }

  return {
    mustLook({branch, commit}, {records, liveCommit}) {
      const known = looks.get(branch);
      if (known?.commit !== commit) return true;
      // Where live has what the branch changed, its containers go. A branch without any gets none by a push to live.
      return records.some(({live}) => !live) && known.live !== liveCommit;
    },
    async look(branches, {live, signal}) {
      const trees = new Map<string, Promise<Trees>>();
      const treesOf = (commit: string): Promise<Trees> => {
        const known = trees.get(commit);
        if (known !== undefined) return known;
        const found = source.hoodyPaths(commit, {globs, signal});
        trees.set(commit, found);
        return found;
      };
      const rest = [...branches];
      const worker = async () => {
        for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
          const [branch, commit] = next;
          const paths = await lookAt({branch, commit}, {live, treesOf, signal});
          looks.set(branch, {commit, live: live?.commit ?? null, paths});
        }
      };
      await Promise.all(Array.from({length: looksAtOnce}, worker));
    },
    serves: createBranchFilter(globs),
    of: (branch) => looks.get(branch)?.paths ?? null,
    forget: (branch) => void looks.delete(branch),
  };
}
