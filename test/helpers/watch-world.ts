import type {BranchRecord} from '../../reconciler/branch-record.ts';
import {openRepositoryWatch, type RepositoryWatch} from '../../reconciler/repository-watch.ts';
import type {Source} from '../../reconciler/sources/source.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {branchName} from '../../schemas/branch-name.ts';
import type {Teardown} from './git-world.ts';

export interface WatchWorld {
  readonly watch: RepositoryWatch;
  /** What the watch was given and has seen, by the branch's name. */
  readonly records: Map<string, BranchRecord>;
  /** Over with the test. */
  readonly signal: AbortSignal;
}

/** A watch over all branches of one source, with nothing configured but what is given here. */
export function createWatchWorld(
  t: Teardown,
  {
    source,
    clock,
    live = 'main',
    paths = null,
    records = new Map(),
    intervalMs = 60_000,
  }: {
    readonly source: Source;
    readonly clock: Clock;
    readonly live?: string | null;
    readonly paths?: readonly string[] | null;
    readonly records?: Map<string, BranchRecord>;
    readonly intervalMs?: number;
  },
): WatchWorld {
  const stop = new AbortController();
  const watch = openRepositoryWatch({
    repository: {
      source,
      includes: () => true,
      paths,
      live,
      environments: [],
      forks: null,
      forgePath: null,
      ownership: null,
      policy: {drift: 'revert', undoWindowMs: 0, intervalMs, driftIntervalMs: intervalMs},
    },
    records: [...records.values()],
    clock,
    log: silentLog,
    random: () => 0.5,
    signal: stop.signal,
    onChanged: (record) => records.set(branchName(record), record),
  });
  t.teardown(async () => {
    stop.abort();
    await watch.close();
  });
  return {watch, records, signal: stop.signal};
}
