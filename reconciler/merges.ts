import type {BranchRecord} from './branch-record.ts';
import type {RefListing, Source} from './sources/source.ts';

/** Of so many previews, those that were pushed last, it is asked whether a squash or rebase brought them in. */
const mostCompared = 50;

/**
 * Notes on the records which previews have been merged into the live branch: they were ahead of it once, and now it
 * holds all their work, by a merge, a squash or a rebase. A branch that never had work of its own is none of these.
 */
export interface MergeFinder {
  /** Starts no process where neither the live branch nor a preview has moved since the last look. */
  look(
    records: Iterable<BranchRecord>,
    listing: RefListing,
    options: {
      live: string;
      /** Where the live branch was when the records were written. */
      formerLive: string | null;
      signal: AbortSignal;
    },
  ): Promise<void>;
}

export function createMergeFinder({
  source,
  isKept,
}: {
  source: Source;
  /** Branches that stay although they are merged. */
  isKept: (branch: string) => boolean;
}): MergeFinder {
  /** By branch, the commits of the last look. */
  const seen = new Map<string, {live: string; tip: string}>();

  return {
    async look(records, {branches}, {live, formerLive, signal}) {
      const liveCommit = branches.get(live);
      if (liveCommit === undefined) return;
      const moved = [...records].flatMap((record) => {
        const tip = branches.get(record.branch);
        const before = seen.get(record.branch) ?? {live: formerLive, tip: record.revision};
        if (tip === undefined || record.branch === live || isKept(record.branch)) return [];
        if (record.merged?.revision === tip) return [];
        return seen.has(record.branch) && before.live === liveCommit && before.tip === tip
          ? []
          : [{record, tip, before}];
      });
      if (moved.length === 0) return;
      const tips = moved.map(({record: {branch}, tip}) => ({branch, commit: tip}));
      const contained = await source.branchesContainedIn(liveCommit, tips, {signal});
      // Only a move of the live branch can have brought in what was not there.
      const compared = moved
        .filter(
          ({record, before, tip}) =>
            record.ahead && !contained.has(record.branch) && before.tip === tip && before.live !== liveCommit,
        )
        .sort((a, b) => (b.record.seen_at ?? '').localeCompare(a.record.seen_at ?? ''))
        .slice(0, mostCompared)
        .map(({record: {branch}, tip}) => ({branch, commit: tip}));
      const equal =
        compared.length === 0 ? null : await source.branchesEqualIn(liveCommit, compared, {signal});
      for (const {record, tip} of moved) {
        const isIn = contained.has(record.branch) || equal?.has(record.branch) === true;
        record.merged = record.ahead && isIn ? {revision: tip, into: live, commit: liveCommit} : null;
        record.ahead ||= !isIn;
        seen.set(record.branch, {live: liveCommit, tip});
      }
    },
  };
}
