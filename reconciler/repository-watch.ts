import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {branchName, forkName, isForkName} from '../schemas/branch-name.ts';
import {AppError} from '../schemas/errors.ts';
import type {PassCause} from '../schemas/journal.ts';
import {type BranchRecord, newBranchRecord} from './branch-record.ts';
import {breakerTrips, farEnoughApart, proofDistanceMs, waveMs, wordMs} from './deletion.ts';
import {type EnvironmentRule, isKept} from './environments.ts';
import type {Forks} from './forks.ts';
import {createMergeFinder} from './merges.ts';
import type {MissingCause} from './observation.ts';
import {jitter} from './outcome.ts';
import type {Ownership} from './ownership.ts';
import {createServedPaths} from './served-paths.ts';
import type {RefListing, Source} from './sources/source.ts';

export interface WatchedRepository {
  readonly source: Source;
  readonly includes: (branch: string) => boolean;
  /** Globs of the directories that have a container each; null for one of the whole repository. */
  readonly paths: readonly string[] | null;
  /** The live branch by configuration; otherwise the default branch at first sight. */
  readonly live: string | null;
  /** Later ones win. */
  readonly environments: readonly EnvironmentRule[];
  /** Forks' pull requests that are served beside its branches; null where none is. */
  readonly forks: Forks | null;
  /** `host/owner/name` under which its forge has it; null where no forge does, or another address than its own. */
  readonly forgePath: string | null;
  /** Null where nobody else could have it. */
  readonly ownership: Ownership | null;
  readonly policy: RepositoryPolicy;
}

/** What the operator wants of a repository, beside what `environments` say of its branches. */
export interface RepositoryPolicy {
  readonly drift: 'revert' | 'report';
  readonly undoWindowMs: number;
  /** Between two listings, beside file events and webhooks. */
  readonly intervalMs: number;
  /** Between two looks at a container. */
  readonly driftIntervalMs: number;
}

/** One repository as the status shows it. */
export interface RepositoryStatus {
  readonly repository: string;
  readonly kind: 'local' | 'remote';
  readonly live: string | null;
  readonly branches: number;
  readonly served: number;
  readonly interval_ms: number;
  readonly listed_at: string | null;
  readonly error: {code: string; message: string} | null;
  /** Set while the breaker holds back deletions. */
  readonly held_deletions: {missing: number; previews: number} | null;
}

export interface Sighting {
  readonly commit: string;
  readonly listedAtMs: number;
  /** It is live, or the globs of the configuration match it. */
  readonly served: boolean;
  readonly hasHoody: boolean;
}

/** So many are worked on at once anyway. */
const fewBranches = 8;

/** From the word that a commit is to be skipped to the commit. It may not come, and be pushed again later to run. */
const longestPushMs = 10 * 60_000;
const mostSkips = 1000;
const skippedReason = 'pushed to be skipped';

/** The loop over one repository: lists refs, compares with the records, and names the branches to look at. */
export interface RepositoryWatch {
  readonly source: Source;
  readonly environments: readonly EnvironmentRule[];
  readonly policy: RepositoryPolicy;
  /** One pass: no request, process or read for an unchanged branch. Passes do not overlap; a call during one asks for another. */
  pass(cause?: {kind: PassCause['kind']; id?: string | null}): Promise<void>;
  /** Starts passes by file events and by interval. */
  run(): void;
  confirmDeletions(): void;
  forget(record: BranchRecord): void;
  /** Commit of a branch in the last listing; null where it had none, undefined before the first. */
  commitOf(branch: string): string | null | undefined;
  /** Whoever pushes it does not want that commit to run: when it is seen soon, the branch goes on with what it runs. */
  skip(branch: string, commit: string): void;
  /** A forge says, by its signature, that the branch was deleted: the next listing without it is the second proof. */
  toldGone(branch: string): void;
  status(): RepositoryStatus;
  /** A branch as the newest listing has it, served or not; null where that lacks it. */
  sighting(branch: string): Sighting | null;
  close(): Promise<void>;
}

export function openRepositoryWatch({
  repository: {source, includes, paths, live: configuredLive, environments, forks, policy},
  records: known,
  clock,
  log,
  random,
  signal,
  onChanged,
  onFound = async () => {},
  onLeaving = async () => {},
}: {
  repository: WatchedRepository;
  records: readonly BranchRecord[];
  clock: Clock;
  log: Log;
  random: () => number;
  signal: AbortSignal;
  /** The record is new or holds news: its branch must be reconciled. */
  onChanged: (record: BranchRecord, causes: readonly PassCause[]) => void;
  /** Told of the new branches of every listing, of none too, before any of them is reconciled. */
  onFound?: (records: readonly BranchRecord[]) => Promise<void>;
  /** Resolves when these branches start no more runs, or when that takes too long. */
  onLeaving?: (records: readonly BranchRecord[]) => Promise<void>;
}): RepositoryWatch {
  const records = new Map(known.map((record) => [branchName(record), record]));
  const servedPaths = createServedPaths({source, paths, log});
  const merges = createMergeFinder({
    source,
    isKept: (branch) => isKept(environments, {branch, live: branch === live}),
  });
  let live = configuredLive ?? known.find((record) => record.live)?.branch ?? null;
  let listed: ReadonlyMap<string, string> | null = null;
  let passing: Promise<void> | null = null;
  let again = false;
  /** Why there is to be a pass, and why there is the present one. */
  let causesAhead: PassCause[] = [];
  let causes: readonly PassCause[] = [];
  let newest: RefListing | null = null;
  let deletionsConfirmed = false;
  /** By branch, when each deletion of the present wave was let through. */
  let letThroughAtMs = new Map<string, number>();
  /** Branches of the listing before, of which something may be remembered. */
  let remembered: ReadonlySet<string> = new Set();
  /** By branch. */
  /** When a forge said of a branch that it was deleted. */
  const toldGoneAtMs = new Map<string, number>();
  const skips = new Map<string, {commit: string; untilMs: number}>();
  let stopWatching = () => {};
  let status: RepositoryStatus = {
    repository: source.repository,
    kind: source.kind,
    live,
    branches: 0,
    served: records.size,
    interval_ms: policy.intervalMs,
    listed_at: null,
    error: null,
    held_deletions: null,
  };

  const passOnce = async (): Promise<void> => {
    let listing: RefListing;
    try {
      [causes, causesAhead] = [causesAhead, []];
      listing = await withForks(await source.list({signal}));
      newest = listing;
      live ??= listing.defaultBranch;
      listed = listing.branches;
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

  /** A fork whose commit cannot be had stays as it is: it must not stand in the way of the others. */
  const withForks = async (listing: RefListing): Promise<RefListing> => {
    const admitted = forks?.admitted() ?? new Map<number, string>();
    if (admitted.size === 0) return listing;
    const branches = new Map(listing.branches);
    for (const [number, commit] of admitted) {
      const name = forkName(number);
      const former = [...records.values()].find(({branch}) => branch === name)?.revision ?? null;
      const obtained = await source.obtainPull({number, commit}, {signal}).catch((error: unknown) => {
        if (signal.aborted) throw error;
        log.warn('a pull request of a fork cannot be fetched', {
          repository: source.repository,
          number,
          error,
        });
        return false;
      });
      if (obtained) branches.set(name, commit);
      else if (former !== null) branches.set(name, former);
    }
    return {...listing, branches};
  };

  const compare = async (listing: RefListing): Promise<void> => {
    const unknown = new Map<string, string>();
    const known: [BranchRecord, string][] = [];
    const ours = Map.groupBy(records.values(), ({branch}) => branch);
    const liveRecords = live === null ? [] : (ours.get(live) ?? []);
    // A live branch that git has lost is what it was last.
    const liveCommit =
      (live === null ? undefined : listing.branches.get(live)) ??
      liveRecords.find(({applied}) => applied !== null)?.applied?.revision ??
      null;
    // What is there after the word was not meant by it, or has come back.
    for (const [branch, atMs] of toldGoneAtMs)
      if (listing.branches.has(branch) && atMs <= listing.listedAtMs) toldGoneAtMs.delete(branch);
    for (const [branch, commit] of listing.branches) {
      if (!isServed(branch)) continue;
      const records = ours.get(branch) ?? [];
      known.push(...records.map((record): [BranchRecord, string] => [record, commit]));
      if (servedPaths.mustLook({branch, commit}, {records, liveCommit})) unknown.set(branch, commit);
    }
    const formerLive = liveRecords[0]?.revision ?? null;
    const liveTip = live === null || liveCommit === null ? null : {branch: live, commit: liveCommit};
    const look = () => servedPaths.look(unknown, {live: liveTip, signal});
    // Which directories a branch serves is known before one of them is brought to its new commit.
    if (paths !== null) await look();
    const lookFirst =
      (live !== null && formerLive !== listing.branches.get(live)) ||
      known.some(([{merged}, commit]) => merged !== null && merged.revision !== commit);
    // A preview that was merged stops before the live branch starts to run what came with it.
    if (lookFirst) {
      await findMerges(listing, formerLive);
      const leaving = missingIn(listing).filter(({merged, missing}) => merged !== null && missing === null);
      await handleMissing(listing);
      await onLeaving(leaving);
    }
    for (const [record, commit] of known) {
      if (isEnded(record, listing)) continue;
      const cause = whyLeft(record);
      if (cause === null) present(record, commit);
      else leave(record, {commit, cause, listing});
    }
    if (paths === null) await look();
    await discover(unknown);
    if (!lookFirst || unknown.size > 0) await findMerges(listing, formerLive);
    await handleMissing(listing);
  };

  /** Why a directory of a branch that is there has no container any more; null where it has one. */
  const whyLeft = ({branch, path}: BranchRecord): MissingCause | null => {
    if (!servedPaths.serves(path)) return 'branch_excluded';
    // A preview has a container for those paths only that it changes.
    return branch !== live && servedPaths.of(branch)?.get(path) === 'same' ? 'path_unchanged' : null;
  };

  const leave = (
    record: BranchRecord,
    {commit, cause, listing}: {commit: string; cause: MissingCause; listing: RefListing},
  ) => {
    if (record.revision === commit && record.missing?.cause === cause) return;
    record.revision = commit;
    record.missing = {since: new Date(listing.listedAtMs).toISOString(), proven: true, held: false, cause};
    onChanged(record, causes);
  };

  const findMerges = async (listing: RefListing, formerLive: string | null): Promise<void> => {
    if (live === null) return;
    try {
      await merges.look(records.values(), listing, {live, formerLive, signal});
    } catch (error) {
      // Nothing else depends on it; the next pass looks again.
      if (!signal.aborted)
        log.warn('merged branches could not be found', {repository: source.repository, error});
    }
  };

  const isMerged = ({branch, merged}: BranchRecord, {branches}: RefListing): boolean =>
    merged !== null && branches.get(branch) === merged.revision;

  /** Git still has the branch, and its preview goes all the same. */
  const isEnded = (record: BranchRecord, listing: RefListing): boolean =>
    isMerged(record, listing) ||
    (record.branch !== live &&
      record.closed !== null &&
      listing.branches.get(record.branch) === record.closed.revision);

  const isServed = (branch: string) => branch === live || isForkName(branch) || includes(branch);

  const present = (record: BranchRecord, commit: string) => {
    const isLive = record.branch === live;
    if (record.revision === commit && record.missing === null && record.live === isLive) return;
    if (record.revision !== commit) {
      record.revision = commit;
      record.seen_at = new Date(clock.now()).toISOString();
      record.active_ms = null;
      record.pause = null;
      leaveOutSkipped(record, commit);
    }
    record.missing = null;
    record.restored = false;
    record.forget_requested = false;
    record.live = isLive;
    onChanged(record, causes);
  };

  /** A branch that runs goes on with what it runs, any other one waits. */
  const leaveOutSkipped = (record: BranchRecord, commit: string) => {
    const skip = skips.get(record.branch);
    if (skip === undefined || skip.commit !== commit || skip.untilMs < clock.now()) return;
    const since = new Date(clock.now()).toISOString();
    const serving = record.missing === null ? (record.rollback?.to ?? record.applied?.revision) : undefined;
    if (serving === undefined || serving === commit) record.pause = {reason: 'skipped', since};
    else record.rollback = {to: serving, bad: commit, tip: commit, since, reason: skippedReason};
  };

  const discover = async (unknown: ReadonlyMap<string, string>): Promise<void> => {
    const found: BranchRecord[] = [];
    for (const [branch, commit] of await inOrder(unknown)) {
      for (const [path, state] of servedPaths.of(branch) ?? []) {
        if (state === 'same' || records.has(branchName({branch, path}))) continue;
        const record = newBranchRecord({repository: source.repository, path, branch, live: branch === live});
        record.revision = commit;
        record.seen_at = new Date(clock.now()).toISOString();
        leaveOutSkipped(record, commit);
        found.push(record);
      }
    }
    await onFound(found);
    for (const record of found) {
      records.set(branchName(record), record);
      onChanged(record, causes);
    }
  };

  /** Where many come at once, the newest first: not all may get a container. */
  const inOrder = async (unknown: ReadonlyMap<string, string>): Promise<[string, string][]> => {
    const all = [...unknown];
    if (all.length <= fewBranches) return all;
    const place = new Map((await source.newestFirst({signal})).map((branch, index) => [branch, index]));
    const placeOf = ([branch]: [string, string]) => place.get(branch) ?? Number.MAX_SAFE_INTEGER;
    return all.sort((a, b) => placeOf(a) - placeOf(b));
  };

  const missingIn = (listing: RefListing): BranchRecord[] =>
    [...records.values()].filter(
      (record) =>
        !listing.branches.has(record.branch) || !isServed(record.branch) || isEnded(record, listing),
    );

  const handleMissing = async (listing: RefListing): Promise<void> => {
    for (const branch of remembered.difference(listing.branches)) servedPaths.forget(branch);
    remembered = new Set(listing.branches.keys());
    const missing = missingIn(listing);
    // Those whose end is certain already were let through before.
    const undecided = ({live: isLive, trashed_at, missing: gone}: BranchRecord) =>
      !isLive && trashed_at === null && gone?.proven !== true;
    letThroughAtMs = new Map([...letThroughAtMs].filter(([, at]) => listing.listedAtMs - at < waveMs));
    // Git itself proves a merge, however many there are at once.
    const doomed = missing.filter(
      (record) => undecided(record) && !record.restored && !isMerged(record, listing),
    );
    // Counted by branch: one that goes takes all its directories along.
    const branchesOf = (some: Iterable<BranchRecord>) =>
      new Set([...letThroughAtMs.keys(), ...[...some].map(({branch}) => branch)]).size;
    const wave = {
      missing: branchesOf(doomed),
      previews: branchesOf([...records.values()].filter(undecided)),
    };
    // A hold lasts until it is confirmed or the branches are back, however much later the next pass or start is.
    const trips =
      !deletionsConfirmed &&
      doomed.length > 0 &&
      (breakerTrips({...wave, listed: listing.branches.size}) ||
        doomed.some(({missing: gone}) => gone?.held));
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
    if (deletionsConfirmed) letThroughAtMs.clear();
    if (doomed.every(({missing: gone}) => gone?.proven === true)) deletionsConfirmed = false;
  };

  const markMissing = async (record: BranchRecord, listing: RefListing, trips: boolean): Promise<void> => {
    const cause = causeOf(record, listing);
    const held = trips && cause !== 'branch_merged';
    const before = record.missing?.cause === cause ? record.missing : null;
    const listedAt = new Date(listing.listedAtMs).toISOString();
    // A clock that was set back would keep it unproven until that hour comes again.
    const since = before === null || before.since > listedAt ? listedAt : before.since;
    // What was certain stays so: a later pass finds the branch still missing while its container is being removed.
    const proven =
      cause === 'branch_merged' ||
      before?.proven === true ||
      (!held &&
        (cause === 'branch_excluded' ||
          cause === 'pull_request_closed' ||
          before?.held === true ||
          (await isGone(record.branch, since, listing.listedAtMs))));
    if (before !== null && before.proven === proven && before.held === held && before.since === since) return;
    if (proven && cause !== 'branch_merged' && before?.proven !== true && !record.live)
      letThroughAtMs.set(record.branch, listing.listedAtMs);
    record.revision = cause === 'branch_deleted' ? null : record.revision;
    record.missing = {since, proven, held, cause};
    onChanged(record, causes);
  };

  const causeOf = (record: BranchRecord, listing: RefListing): MissingCause => {
    if (!listing.branches.has(record.branch)) return 'branch_deleted';
    if (!isServed(record.branch)) return 'branch_excluded';
    return isMerged(record, listing) ? 'branch_merged' : 'pull_request_closed';
  };

  const isGone = async (branch: string, since: string, listedAtMs: number): Promise<boolean> => {
    const toldAtMs = toldGoneAtMs.get(branch) ?? Number.POSITIVE_INFINITY;
    if (toldAtMs <= listedAtMs && listedAtMs - toldAtMs < wordMs) return true;
    if (!farEnoughApart(since, listedAtMs, source.kind)) return false;
    return (
      source.kind === 'remote' || isForkName(branch) || (await source.readRef(branch, {signal})) === null
    );
  };

  const askAgain = (afterMs: number) => {
    clock.sleep(afterMs, {signal}).then(
      () => pass({kind: 'second_look'}),
      () => {
        // The controller stops.
      },
    );
  };

  const pass: RepositoryWatch['pass'] = ({kind, id = null} = {kind: 'request'}) => {
    if (!causesAhead.some((cause) => cause.kind === kind && cause.id === id))
      causesAhead.push({kind, id, at: new Date(clock.now()).toISOString()});
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
      await clock.sleep(jitter(policy.intervalMs, random()), {signal});
      await pass({kind: 'interval'});
    }
  };

  return {
    source,
    environments,
    policy,
    pass,
    run() {
      stopWatching = source.watch(() => void pass({kind: 'repository_event'}));
      void poll().catch(() => {
        // The poll sleeps on the shutdown signal: this is its ordinary end.
      });
    },
    confirmDeletions() {
      deletionsConfirmed = true;
    },
    forget(record) {
      const {branch} = record;
      records.delete(branchName(record));
      if (record.missing?.cause !== 'path_unchanged') servedPaths.forget(branch);
      // Who has the live branch forgotten wants another one.
      if (branch === live) live = configuredLive;
    },
    commitOf: (branch) => (listed === null ? undefined : (listed.get(branch) ?? null)),
    toldGone(branch) {
      const nowMs = clock.now();
      for (const [name, atMs] of toldGoneAtMs) if (nowMs - atMs >= wordMs) toldGoneAtMs.delete(name);
      toldGoneAtMs.set(branch, nowMs);
    },
    skip(branch, commit) {
      skips.delete(branch);
      skips.set(branch, {commit, untilMs: clock.now() + longestPushMs});
      for (const [oldest] of skips) if (skips.size > mostSkips) skips.delete(oldest);
    },
    status: () => ({...status, served: records.size}),
    sighting(branch) {
      const commit = newest?.branches.get(branch);
      if (newest === null || commit === undefined) return null;
      const {listedAtMs} = newest;
      return {commit, listedAtMs, served: isServed(branch), hasHoody: servedPaths.of(branch)?.size !== 0};
    },
    async close() {
      stopWatching();
      await source.close();
    },
  };
}
