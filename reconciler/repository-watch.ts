import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {AppError} from '../schemas/errors.ts';
import {type BranchRecord, newBranchRecord} from './branch-record.ts';
import {breakerTrips, farEnoughApart, proofDistanceMs, waveMs} from './deletion.ts';
import type {EnvironmentRule} from './environments.ts';
import {jitter} from './outcome.ts';
import type {RefListing, Source} from './sources/source.ts';

export interface WatchedRepository {
  readonly source: Source;
  readonly includes: (branch: string) => boolean;
  /** The live branch by configuration; otherwise the default branch at first sight. */
  readonly live: string | null;
  /** Later ones win. */
  readonly environments: readonly EnvironmentRule[];
}

/** One repository as the status shows it. */
export interface RepositoryStatus {
  readonly repository: string;
  readonly kind: 'local' | 'remote';
  readonly live: string | null;
  readonly branches: number;
  readonly served: number;
  readonly listed_at: string | null;
  readonly error: {code: string; message: string} | null;
  /** Set while the breaker holds back deletions. */
  readonly held_deletions: {missing: number; previews: number} | null;
}

/** The loop over one repository: lists refs, compares with the records, and names the branches to look at. */
export interface RepositoryWatch {
  readonly source: Source;
  readonly environments: readonly EnvironmentRule[];
  /** One pass: no request, process or read for an unchanged branch. Passes do not overlap; a call during one asks for another. */
  pass(): Promise<void>;
  /** Starts passes by file events and by interval. */
  run(): void;
  confirmDeletions(): void;
  forget(record: BranchRecord): void;
  status(): RepositoryStatus;
  close(): Promise<void>;
}

export function openRepositoryWatch({
  repository: {source, includes, live: configuredLive, environments},
  records: known,
  clock,
  log,
  random,
  intervalMs,
  signal,
  onChanged,
}: {
  repository: WatchedRepository;
  records: readonly BranchRecord[];
  clock: Clock;
  log: Log;
  random: () => number;
  intervalMs: number;
  signal: AbortSignal;
  /** The record is new or holds news: its branch must be reconciled. */
  onChanged: (record: BranchRecord) => void;
}): RepositoryWatch {
  const records = new Map(known.map((record) => [record.branch, record]));
  /** Branches that have no `.hoody/`, with the commit in which that was seen. */
  const withoutHoody = new Map<string, string>();
  let live = configuredLive ?? known.find((record) => record.live)?.branch ?? null;
  let passing: Promise<void> | null = null;
  let again = false;
  let deletionsConfirmed = false;
  /** When each deletion of the present wave was let through. */
  let letThroughAtMs: number[] = [];
  let stopWatching = () => {};
  let status: RepositoryStatus = {
    repository: source.repository,
    kind: source.kind,
    live,
    branches: 0,
    served: records.size,
    listed_at: null,
    error: null,
    held_deletions: null,
  };

  const passOnce = async (): Promise<void> => {
    let listing: RefListing;
    try {
      listing = await source.list({signal});
      live ??= listing.defaultBranch;
      await compare(listing);
    } catch (error) {
      if (signal.aborted) return;
      const code = error instanceof AppError ? error.code : 'INTERNAL_ERROR';
      const message = error instanceof Error ? error.message : String(error);
      if (status.error?.message !== message)
        log.error('a repository cannot be read; what runs goes on', {repository: source.repository, error});
      status = {...status, error: {code, message}};
      return;
    }
    if (status.error !== null) log.info('the repository can be read again', {repository: source.repository});
    status = {
      ...status,
      live,
      branches: listing.branches.size,
      served: records.size,
      listed_at: new Date(listing.listedAtMs).toISOString(),
      error: null,
    };
  };

  const compare = async (listing: RefListing): Promise<void> => {
    const unknown = new Map<string, string>();
    for (const [branch, commit] of listing.branches) {
      if (!isServed(branch)) continue;
      const record = records.get(branch);
      if (record !== undefined) present(record, commit);
      else if (withoutHoody.get(branch) !== commit) unknown.set(branch, commit);
    }
    if (unknown.size > 0) await discover(unknown);
    await handleMissing(listing);
  };

  const isServed = (branch: string) => branch === live || includes(branch);

  const present = (record: BranchRecord, commit: string) => {
    const isLive = record.branch === live;
    if (record.revision === commit && record.missing === null && record.live === isLive) return;
    if (record.revision !== commit) {
      record.revision = commit;
      record.seen_at = new Date(clock.now()).toISOString();
      record.active_ms = null;
    }
    record.missing = null;
    record.restored = false;
    record.live = isLive;
    onChanged(record);
  };

  const discover = async (unknown: ReadonlyMap<string, string>): Promise<void> => {
    const withHoody = await source.hasHoody([...unknown.values()], {signal});
    for (const [branch, commit] of unknown) {
      if (!withHoody.has(commit)) {
        withoutHoody.set(branch, commit);
        continue;
      }
      withoutHoody.delete(branch);
      const record = newBranchRecord({
        repository: source.repository,
        path: '.',
        branch,
        live: branch === live,
      });
      record.revision = commit;
      record.seen_at = new Date(clock.now()).toISOString();
      records.set(branch, record);
      onChanged(record);
    }
  };

  const handleMissing = async (listing: RefListing): Promise<void> => {
    for (const branch of withoutHoody.keys()) if (!listing.branches.has(branch)) withoutHoody.delete(branch);
    const missing = [...records.values()].filter(
      ({branch}) => !listing.branches.has(branch) || !isServed(branch),
    );
    // Those whose end is certain already were let through before.
    const undecided = ({live: isLive, trashed_at, missing: gone}: BranchRecord) =>
      !isLive && trashed_at === null && gone?.proven !== true;
    letThroughAtMs = letThroughAtMs.filter((at) => listing.listedAtMs - at < waveMs);
    const doomed = missing.filter((record) => undecided(record) && !record.restored);
    const wave = {
      missing: doomed.length + letThroughAtMs.length,
      previews: [...records.values()].filter(undecided).length + letThroughAtMs.length,
    };
    // A hold lasts until it is confirmed or the branches are back, however much later the next pass or start is.
    const trips =
      !deletionsConfirmed &&
      doomed.length > 0 &&
      (breakerTrips(wave) || doomed.some(({missing: gone}) => gone?.held));
    if (trips && status.held_deletions === null) {
      log.error(
        'most branches are gone at once; they are paused, and none is removed until `branchtab reconcile --confirm-deletions`',
        {
          repository: source.repository,
          ...wave,
        },
      );
    }
    status = {...status, held_deletions: trips ? wave : null};
    for (const record of missing) await markMissing(record, listing, trips);
    if (missing.some((record) => record.missing?.proven === false) && !trips)
      askAgain(proofDistanceMs[source.kind]);
    if (deletionsConfirmed) letThroughAtMs = [];
    if (doomed.every(({missing: gone}) => gone?.proven === true)) deletionsConfirmed = false;
  };

  const markMissing = async (record: BranchRecord, listing: RefListing, held: boolean): Promise<void> => {
    const excluded = listing.branches.has(record.branch);
    const before = record.missing;
    const since = before?.since ?? new Date(listing.listedAtMs).toISOString();
    // What was certain stays so: a later pass finds the branch still missing while its container is being removed.
    const proven =
      before?.proven === true ||
      (!held &&
        (excluded || before?.held === true || (await isGone(record.branch, since, listing.listedAtMs))));
    if (before !== null && before.proven === proven && before.held === held) return;
    if (proven && before?.proven !== true && !record.live) letThroughAtMs.push(listing.listedAtMs);
    record.revision = excluded ? record.revision : null;
    record.missing = {since, proven, held, cause: excluded ? 'branch_excluded' : 'branch_deleted'};
    onChanged(record);
  };

  const isGone = async (branch: string, since: string, listedAtMs: number): Promise<boolean> => {
    if (!farEnoughApart(since, listedAtMs, source.kind)) return false;
    return source.kind === 'remote' || (await source.readRef(branch, {signal})) === null;
  };

  const askAgain = (afterMs: number) => {
    clock.sleep(afterMs, {signal}).then(pass, () => {
      // The controller stops.
    });
  };

  const pass = (): Promise<void> => {
    if (passing !== null) {
      again = true;
      return passing;
    }
    passing = (async () => {
      try {
        do {
          again = false;
          await passOnce();
        } while (again && !signal.aborted);
      } finally {
        passing = null;
      }
    })();
    return passing;
  };

  const poll = async (): Promise<void> => {
    while (!signal.aborted) {
      await clock.sleep(jitter(intervalMs, random()), {signal});
      await pass();
    }
  };

  return {
    source,
    environments,
    pass,
    run() {
      stopWatching = source.watch(() => void pass());
      void poll().catch(() => {
        // The poll sleeps on the shutdown signal: this is its ordinary end.
      });
    },
    confirmDeletions() {
      deletionsConfirmed = true;
    },
    forget({branch}) {
      records.delete(branch);
    },
    status: () => ({...status, served: records.size}),
    async close() {
      stopWatching();
      await source.close();
    },
  };
}
