import type {Branch} from '../schemas/branch.ts';
import type {ControlState} from '../schemas/control-state.ts';
import type {JournalEvent, PassCause} from '../schemas/journal.ts';
import type {QueueStatus} from '../schemas/queue.ts';
import type {RepositoryStatus} from '../schemas/repository.ts';
import {createAdmission} from './admission.ts';
import {adoptContainers} from './adoption.ts';
import {type BranchAccounts, createBranchAccounts} from './branch-accounts.ts';
import {limitNotices} from './branch-limits.ts';
import type {BranchRecord} from './branch-record.ts';
import {type BranchRequests, createBranchRequests} from './branch-requests.ts';
import {createBranchTable} from './branch-table.ts';
import {branchView} from './branch-view.ts';
import {createBranchWork} from './branch-work.ts';
import {createContainerWatch} from './container-watch.ts';
import {type Container, labelNames} from './containers/provider.ts';
import type {BranchChange, ControllerContext, ControllerOptions} from './controller-context.ts';
import {everyDay} from './every-day.ts';
import {createHandChanges, type HandChanges, keepNotice} from './hand-changes.ts';
import {createControllerMetrics} from './metrics.ts';
import {sentence} from './outcome.ts';
import {createPreviewUpkeep} from './preview-upkeep.ts';
import {type BranchQueue, createQueue} from './queue.ts';
import {logSlowQueue, queueStatus} from './queue-status.ts';
import {openRepositoryWatch, type RepositoryWatch} from './repository-watch.ts';
import {type BranchShells, createBranchShells} from './shells.ts';
import {standDown} from './stand-down.ts';
import {conditions, reconcilingConditions} from './status.ts';
import {createSuspensions, presentSuspension, type Suspensions} from './suspension.ts';
import {createWriteGuard} from './write-guard.ts';

/** What the API and the command line may ask of a controller. Errors are AppErrors. */
export interface Controller extends BranchRequests, BranchAccounts, HandChanges, Suspensions, BranchShells {
  start(): Promise<void>;
  /** Ends the loop and leaves the containers running. */
  stop(): Promise<void>;
  branches(): Branch[];
  branch(keyOrName: string): Branch;
  repositories(): RepositoryStatus[];
  /** What is in hand, and what is in its way. */
  queue(): QueueStatus;
  /** In the text form of Prometheus. */
  metrics(): string;
  /** Looks at one branch again; answers the id that its status echoes when that is done. */
  reconcile(keyOrName: string): string;
  /** Lists every repository again and looks at every branch again. */
  reconcileAll(options: {confirmDeletions: boolean}): string;
  /** Lists a repository again, in a look that begins after the call. Resolves when it is over, however it went. */
  look(
    repository: string,
    cause: {readonly kind: 'webhook' | 'pull_request'; readonly id?: string},
  ): Promise<void>;
  /** Commit of a branch in the last listing; null where it had none, undefined before the first. */
  commitOf(repository: string, branch: string): string | null | undefined;
  /** Its live branch, and whether another controller has the repository. */
  standing(repository: string): {live: string | null; readOnly: boolean};
  /** A forge says, by its signature, that the branch was deleted. */
  toldGone(repository: string, branch: string): void;
  /** That commit of the branch is about to be pushed and not to run. */
  skip(repository: string, branch: string, commit: string): void;
  /** Of a branch, by its id or the branch's key; null also while it is in the trash. */
  container(idOrKey: string): Container | null;
  /** Calls back with the key of every branch whose view changed. */
  subscribe(listener: (change: BranchChange) => void): () => void;
  /** Resolves when no branch waits or is worked on. */
  idle(): Promise<void>;
}

/** The live branch waits this long for previews that were merged into it to stop. */
const longestFarewellMs = 5000;

export function createController(options: ControllerOptions): Controller {
  const {provider, records, archive, journal, data, clock, log} = options;
  const listeners = new Set<(change: BranchChange) => void>();
  const requests = new Map<string, string>();
  const metrics = createControllerMetrics();
  const watches = new Map<string, RepositoryWatch>();
  const table = createBranchTable(records);
  const shutdown = new AbortController();
  let stopWatchingContainers = () => {};
  const admission = createAdmission({
    limits: options.limits,
    occupied: (repository) =>
      table
        .ofRepository(repository)
        .filter(({live, container_id, trashed_at}) => !live && container_id !== null && trashed_at === null)
        .map(({key}) => key),
    room: options.room,
  });

  const rulesOf = ({repository}: BranchRecord) => watches.get(repository)?.environments ?? [];
  const previews = createPreviewUpkeep({
    leaseMs: options.leaseMs,
    rulesOf,
    isBlind: ({repository}) => watches.get(repository)?.status().error !== null,
    client: options.client,
    clock,
  });

  const guard = createWriteGuard({
    repositories: options.repositories,
    clock,
    onLost(repository) {
      log.error('a repository belongs to another controller; what runs of it here is paused', {repository});
      const ours = table.ofRepository(repository);
      const containers = ours.flatMap(({key}) => table.observed(key).container ?? []);
      const running = containers.filter(({state}) => state === 'running');
      void standDown(running, {client: options.client, log, signal: shutdown.signal}).then(() => {
        for (const {key} of ours) queue.add(key);
      });
    },
  });

  const emit = (change: BranchChange) => {
    for (const listener of listeners) listener(change);
  };

  const view = (record: BranchRecord): Branch => {
    const {container, runtime, phase} = table.observed(record.key);
    const context = {
      baseUrl: options.baseUrl(),
      provider: provider?.name ?? 'none',
      level: provider?.level ?? 'none',
      gaps: provider?.gaps ?? [],
    };
    return branchView(
      record,
      {container, runtime, phase},
      {
        ...context,
        notices: noticesOf(record),
        suspension: presentSuspension(record, {rules: rulesOf(record), nowMs: clock.now()}),
      },
    );
  };

  const noticesOf = (record: BranchRecord): string[] => {
    const {key, branch, live} = record;
    const idle = previews.notice(record);
    const problem = data?.problemOf(key) ?? null;
    const backup = `The data of ${branch} could not be backed up; it is tried again every ten minutes.`;
    const kept = keepNotice(record);
    const own = record.tightened?.effects ?? [];
    return [
      ...(idle === null ? [] : [idle]),
      ...(kept === null ? [] : [kept]),
      ...(own.length === 0 ? [] : [`By its own .hoody/settings.yaml: ${own.join('; ')}.`]),
      ...keptFilesNotice(table.observed(key).runtime),
      ...(problem === null ? [] : [`${backup} ${sentence(problem)}`]),
      ...limitNotices(live, table.observed(key).runtime?.limits ?? []),
    ];
  };

  const queue: BranchQueue = createQueue({
    clock,
    concurrency: options.concurrency,
    work: (key, signal) => work(key, signal),
    onStuck: (key) =>
      log.error('the work on a branch hangs; others have its place until the controller is started again', {
        key,
        branch: records.get(key)?.branch,
      }),
  });
  const context: ControllerContext = {
    options,
    table,
    queue,
    guard,
    watches,
    previews,
    rulesOf,
    view,
    emit,
    shutdown: shutdown.signal,
  };
  const containerWatch = createContainerWatch(context);
  const work = createBranchWork(context, {containerWatch, requests, admission, metrics});

  const start = async (): Promise<void> => {
    if (provider !== null) {
      const containers = await provider.list();
      const strangers = await options.contacts.strangers(containers, options.repositories);
      for (const [repository, why] of strangers) guard.hold(repository, why);
      const ours = containers.filter(({labels}) => !strangers.has(labels[labelNames.repository] ?? ''));
      await adoptContainers(ours, context);
      stopWatchingContainers = provider.watch(({id, type}) =>
        type === 'exited' ? containerWatch.onExit(id) : containerWatch.onReturn(id),
      );
    }
    for (const repository of options.repositories) {
      const watch = openRepositoryWatch({
        repository,
        records: table.ofRepository(repository.source.repository),
        clock,
        log,
        random: options.random,
        signal: shutdown.signal,
        async onFound(found) {
          const name = repository.source.repository;
          if ((await guard.obstacle(name)) === null) await options.contacts.meet(name, found);
        },
        onLeaving: async (leaving) => {
          const late = clock.sleep(longestFarewellMs, {signal: shutdown.signal}).catch(() => {
            // The controller stops.
          });
          await Promise.race([queue.settled(leaving.map(({key}) => key)), late]);
        },
        onChanged: (record, causes) => {
          void journal.add(record.key, sightingOf(record, causes, clock.now()));
          if (records.get(record.key) === undefined)
            void records
              .save(record)
              .catch((error) => log.error('a branch could not be recorded', {key: record.key, error}));
          // From here on what the conditions say is about an older commit.
          if (provider !== null && record.revision !== null)
            record.conditions = reconcilingConditions(record.conditions, record.revision, clock.now());
          queue.cancel(record.key, new Error('a newer commit takes over'));
          queue.add(record.key, {first: record.live});
          emit({type: 'branch_changed', key: record.key});
        },
      });
      watches.set(repository.source.repository, watch);
    }
    await Promise.all([...watches.values()].map((watch) => watch.pass({kind: 'start'})));
    for (const record of records.all()) {
      if (watches.has(record.repository)) continue;
      record.conditions = conditions(
        {kind: 'missing', state: 'unwatched', until: null},
        record.conditions,
        clock.now(),
      );
    }
    // Also what was in order: its container may be gone since. A push does not wait for ten thousand of them.
    for (const {key, live} of records.all()) queue.add(key, {first: live, last: !live});
    for (const watch of watches.values()) watch.run();
    void data
      ?.run(() => table.running().filter(({record}) => record.live), shutdown.signal)
      .catch(() => {
        // It sleeps on the shutdown signal too.
      });
    const removeOld = async () => {
      await archive.prune();
      await journal.prune((key) => records.get(key) !== undefined);
    };
    void everyDay(removeOld, {clock, signal: shutdown.signal}).catch((error: unknown) => {
      if (!shutdown.signal.aborted) log.error('old records could not be removed', {error});
    });
    void guard.watch({signal: shutdown.signal}).catch(() => {
      // It sleeps on the shutdown signal too.
    });
    const slow = logSlowQueue(() => queueStatus(queue, records), {clock, log, signal: shutdown.signal});
    void slow.catch(() => {
      // It sleeps on the shutdown signal too.
    });
    void containerWatch.sweep().catch(() => {
      // The sweep sleeps on the shutdown signal: this is its ordinary end.
    });
  };

  const stop = async (): Promise<void> => {
    shutdown.abort(new Error('the controller stops'));
    stopWatchingContainers();
    await queue.close();
    await Promise.all([...watches.values()].map((watch) => watch.close()));
    await provider?.close();
  };

  return {
    ...createBranchRequests(context),
    ...createBranchAccounts(context),
    ...createHandChanges(context),
    ...createSuspensions(context),
    ...createBranchShells(context),
    start,
    stop,
    branches: () => [...records.all()].map(view).sort(byImportance),
    branch: (keyOrName) => view(table.find(keyOrName)),
    repositories: () =>
      [...watches].map(([repository, watch]) => ({
        ...watch.status(),
        read_only: guard.known(repository),
        waiting: table
          .ofRepository(repository)
          .filter(({pause, missing}) => pause?.reason === 'first_contact' && missing === null).length,
      })),
    queue: () => queueStatus(queue, records),
    metrics: () =>
      metrics.print({branches: [...records.all()].map(view), queue: queueStatus(queue, records)}),
    reconcile(keyOrName) {
      const {key, repository} = table.find(keyOrName);
      const id = crypto.randomUUID();
      requests.set(key, id);
      void watches
        .get(repository)
        ?.pass({kind: 'request', id})
        .then(() => queue.add(key, {first: true}));
      return id;
    },
    reconcileAll({confirmDeletions}) {
      const id = crypto.randomUUID();
      for (const {key} of records.all()) requests.set(key, id);
      for (const [repository, watch] of watches) {
        if (confirmDeletions) watch.confirmDeletions();
        void watch.pass({kind: 'request', id}).then(() => {
          for (const {key, live} of table.ofRepository(repository))
            queue.add(key, {first: live, last: !live});
        });
      }
      return id;
    },
    look: async (repository, cause) => watches.get(repository)?.pass(cause),
    standing: (repository) => ({
      live: watches.get(repository)?.status().live ?? null,
      readOnly: guard.known(repository) !== null,
    }),
    commitOf: (repository, branch) => watches.get(repository)?.commitOf(branch),
    toldGone: (repository, branch) => watches.get(repository)?.toldGone(branch),
    skip: (repository, branch, commit) => watches.get(repository)?.skip(branch, commit),
    container(idOrKey) {
      const record = records.get(table.keyOf(idOrKey) ?? idOrKey);
      if (record === undefined || record.trashed_at !== null) return null;
      return table.observed(record.key).container;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    idle: () => queue.idle(),
  };
}

/** What jobs had changed and a commit too. */
function keptFilesNotice(runtime: ControlState | null): string[] {
  const kept = runtime?.workspace.kept ?? [];
  const [newest] = kept.slice(-1);
  if (newest === undefined) return [];
  const more = kept.length === 1 ? '' : ` and ${kept.length - 1} more`;
  return [
    `Jobs had changed files that commits changed too; what they wrote stays as ${newest.as}${more} until somebody removes it.`,
  ];
}

function sightingOf(
  {revision, live, missing}: BranchRecord,
  causes: readonly PassCause[],
  nowMs: number,
): JournalEvent {
  const at = new Date(nowMs).toISOString();
  if (missing !== null || revision === null) {
    const {cause = 'branch_deleted', proven = false, held = false} = missing ?? {};
    return {kind: 'missing', at, cause, proven, held};
  }
  return {kind: 'seen', at, revision, live, causes: [...causes]};
}

/** Live branches first, then by repository and name. */
function byImportance(a: Branch, b: Branch): number {
  if (a.live !== b.live) return a.live ? -1 : 1;
  return a.repository.localeCompare(b.repository) || a.branch.localeCompare(b.branch);
}
