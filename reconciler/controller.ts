import type {Clock} from '../runtime/platform/clock.ts';
import type {HostRoom} from '../runtime/platform/host-room.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Backup, BackupList, RestoreData} from '../schemas/backup.ts';
import type {Branch, Reconciliation} from '../schemas/branch.ts';
import type {SecretSource} from '../schemas/config.ts';
import type {ContainerSettings} from '../schemas/control.ts';
import type {ControlState} from '../schemas/control-state.ts';
import type {EnvironmentList} from '../schemas/environment.ts';
import {AppError} from '../schemas/errors.ts';
import type {Action} from '../schemas/plan.ts';
import type {RepositoryStatus} from '../schemas/repository.ts';
import type {Run} from '../schemas/run.ts';
import {createAdmission, type PreviewLimits} from './admission.ts';
import {type BranchData, type RunningBranch, restoreRequest} from './branch-data.ts';
import {readCrontabs, type ScriptCheck, type ScriptImports} from './branch-files.ts';
import {isBranchKey} from './branch-key.ts';
import {limitNotices, resourceLimitsOf, runLimitsOf} from './branch-limits.ts';
import {type BranchRecord, newBranchRecord} from './branch-record.ts';
import {branchView, type Phase} from './branch-view.ts';
import {type Container, type ContainerProvider, labelNames} from './containers/provider.ts';
import {
  bindingsOf,
  dataPolicyOf,
  describeBinding,
  limitsOf,
  previewRunOf,
  resolveBindings,
} from './environments.ts';
import type {FirstContacts} from './first-contact.ts';
import {filesOfLive} from './live-files.ts';
import type {BranchFiles} from './observation.ts';
import {type Crashes, failureOf, jitter, noCrashes, retryDelayMs, sentence, withCrash} from './outcome.ts';
import {hasDrifted, type PlanPolicy} from './plan.ts';
import {hasJob, heldLines, type PreviewRun} from './preview-holds.ts';
import {createPreviewUpkeep} from './preview-upkeep.ts';
import {type BranchQueue, createQueue} from './queue.ts';
import {type ReconcileContext, type Reconciled, reconcileBranch} from './reconcile.ts';
import type {RecordStore} from './record-store.ts';
import {openRepositoryWatch, type RepositoryWatch, type WatchedRepository} from './repository-watch.ts';
import {filterRuns, findArchived, type RunArchive, tendRunArchive, withFormer} from './run-archive.ts';
import type {RuntimeClient} from './runtime-client.ts';
import {standDown} from './stand-down.ts';
import {conditions, type Result, reconcilingConditions, withHistory} from './status.ts';
import {createWriteGuard} from './write-guard.ts';

export interface ControllerOptions {
  readonly repositories: readonly WatchedRepository[];
  /** Null in the bench only: branches are listed and compared, containers are not made. */
  readonly provider: ContainerProvider | null;
  readonly records: RecordStore;
  readonly archive: RunArchive;
  /** Null where the provider is. */
  readonly data: BranchData | null;
  readonly contacts: FirstContacts;
  readonly client: (container: Container) => RuntimeClient;
  readonly checkScript: ScriptCheck;
  readonly scriptImports: ScriptImports;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Address of the controller's own API, without a final slash. */
  readonly baseUrl: () => string;
  readonly policy: PlanPolicy;
  readonly settings: ContainerSettings;
  /** What previews run that no environment says otherwise of. */
  readonly previewRun: PreviewRun;
  readonly limits: PreviewLimits;
  /** What the host has left where containers live. */
  readonly room: () => Promise<HostRoom>;
  /** Throws an AppError that names the source and not the value. */
  readonly readSecret: (source: SecretSource) => Promise<string>;
  readonly timeZone: string;
  readonly concurrency: number;
  readonly pollIntervalMs: number;
  readonly fetchIntervalMs: number;
  readonly driftIntervalMs: number;
  readonly stopGraceMs: number;
}

/** What the API and the command line may ask of a controller. Errors are AppErrors. */
export interface Controller {
  start(): Promise<void>;
  /** Ends the loop and leaves the containers running. */
  stop(): Promise<void>;
  branches(): Branch[];
  branch(keyOrName: string): Branch;
  repositories(): RepositoryStatus[];
  /** Looks at one branch again; answers the id that its status echoes when that is done. */
  reconcile(keyOrName: string): string;
  /** Lists every repository again and looks at every branch again. */
  reconcileAll(options: {confirmDeletions: boolean}): string;
  /** Takes a branch's container out of the trash. */
  restore(keyOrName: string): Promise<Branch>;
  /**
   * Lets a preview run that is paused; of one that is not, held jobs: one by its name or rule, or all of them. Throws
   * ENTRY_NOT_FOUND, BRANCH_PAUSED where one job is asked for and all are paused.
   */
  release(keyOrName: string, job: string | null): Promise<Branch>;
  /** Takes over containers of repositories that it has no state of; answers how many. */
  adopt(): Promise<number>;
  /** Removes a branch that git has lost, its container and its data, live or not. Throws BRANCH_PRESENT. */
  forget(keyOrName: string): Promise<void>;
  /** What the configuration gives to a branch: names and sources, no values. */
  environment(keyOrName: string): EnvironmentList['items'];
  /** Newest first, from the container or, where that is gone, from the archive. */
  runs(
    keyOrName: string,
    query: Readonly<Record<string, string>>,
  ): Promise<{items: Run[]; next_cursor: string | null}>;
  /** Copies the data directory of a branch now. Throws CONTAINER_UNAVAILABLE where its container does not run. */
  backupData(keyOrName: string): Promise<Backup>;
  /** Newest first, also of a branch that is gone, by its key. */
  backups(keyOrName: string): Promise<BackupList>;
  /** Puts a backup in the place of the data directory, jobs stopped meanwhile. Throws BACKUP_NOT_FOUND, NOTHING_TO_RESTORE. */
  restoreData(keyOrName: string, request: RestoreData): Promise<Branch>;
  /** Of a branch, by its id or the branch's key; null also while it is in the trash. */
  container(idOrKey: string): Container | null;
  /** Calls back with the key of every branch whose view changed. */
  subscribe(listener: (change: BranchChange) => void): () => void;
  /** Resolves when no branch waits or is worked on. */
  idle(): Promise<void>;
}

export interface BranchChange {
  readonly type: 'branch_changed' | 'branch_forgotten' | 'run_started' | 'run_finished';
  readonly key: string;
}

/** Work on a branch that exceeds this is aborted and tried again: a hung engine must not hold a place for ever. */
const longestReconcileMs = 10 * 60_000;

/** The live branch waits this long for previews that were merged into it to stop. */
const longestFarewellMs = 5000;

/** Steps after which a container takes no place of a preview any more. */
const leavingKinds: ReadonlySet<Action['kind']> = new Set([
  'trash_container',
  'remove_container',
  'forget_branch',
]);

/** No file of a workspace may be larger. */
const maxBlobBytes = 512 * 1024 * 1024;

/** Between the end of a runtime's connection and the end of its process. */
const exitSettleMs = 100;

interface Observed {
  container: Container | null;
  runtime: ControlState | null;
  phase: Phase;
  /** Aborts the subscription to the runtime's events. */
  events: AbortController | null;
  crashes: Crashes;
}

export function createController(options: ControllerOptions): Controller {
  const {provider, records, archive, data, clock, log} = options;
  const listeners = new Set<(change: BranchChange) => void>();
  const observed = new Map<string, Observed>();
  const requests = new Map<string, string>();
  const watches = new Map<string, RepositoryWatch>();
  const containerKeys = new Map<string, string>();
  const shutdown = new AbortController();
  let stopWatchingContainers = () => {};
  const admission = createAdmission({
    limits: options.limits,
    occupied: (repository) =>
      ofRepository(repository)
        .filter(({live, container_id, trashed_at}) => !live && container_id !== null && trashed_at === null)
        .map(({key}) => key),
    room: options.room,
  });

  const rulesOf = ({repository}: BranchRecord) => watches.get(repository)?.environments ?? [];
  const previews = createPreviewUpkeep({
    leaseMs: options.policy.leaseMs,
    rulesOf,
    isBlind: ({repository}) => watches.get(repository)?.status().error !== null,
    client: options.client,
    clock,
  });

  const ofRepository = (repository: string) =>
    [...records.all()].filter((record) => record.repository === repository);

  const guard = createWriteGuard({
    repositories: options.repositories,
    clock,
    onLost(repository) {
      log.error('a repository belongs to another controller; what runs of it here is paused', {repository});
      const ours = ofRepository(repository);
      const containers = ours.flatMap(({key}) => observedOf(key).container ?? []);
      const running = containers.filter(({state}) => state === 'running');
      void standDown(running, {client: options.client, log, signal: shutdown.signal}).then(() => {
        for (const {key} of ours) queue.add(key);
      });
    },
  });

  const observedOf = (key: string): Observed => {
    const known = observed.get(key);
    if (known !== undefined) return known;
    const fresh: Observed = {
      container: null,
      runtime: null,
      phase: null,
      events: null,
      crashes: noCrashes,
    };
    observed.set(key, fresh);
    return fresh;
  };

  const emit = (change: BranchChange) => {
    for (const listener of listeners) listener(change);
  };

  const view = (record: BranchRecord): Branch => {
    const {container, runtime, phase} = observedOf(record.key);
    const context = {
      baseUrl: options.baseUrl(),
      provider: provider?.name ?? 'none',
      level: provider?.level ?? 'none',
      gaps: provider?.gaps ?? [],
    };
    return branchView(record, {container, runtime, phase}, {...context, notices: noticesOf(record)});
  };

  const noticesOf = (record: BranchRecord): string[] => {
    const {key, branch, live} = record;
    const idle = previews.notice(record);
    const problem = data?.problemOf(key) ?? null;
    const backup = `The data of ${branch} could not be backed up; it is tried again every ten minutes.`;
    return [
      ...(idle === null ? [] : [idle]),
      ...(problem === null ? [] : [`${backup} ${sentence(problem)}`]),
      ...limitNotices(live, observed.get(key)?.runtime?.limits ?? []),
    ];
  };

  const find = (keyOrName: string): BranchRecord => {
    const byKey = records.get(keyOrName);
    if (byKey !== undefined) return byKey;
    const byName = [...records.all()].filter(({branch}) => branch === keyOrName);
    const [record, ...others] = byName;
    if (record === undefined) {
      throw new AppError(
        'BRANCH_NOT_FOUND',
        `No branch ${JSON.stringify(keyOrName)} is served; \`branchtab status\` lists those that are`,
      );
    }
    if (others.length > 0) {
      const keys = byName.map(({key}) => key).join(', ');
      throw new AppError(
        'BRANCH_AMBIGUOUS',
        `More than one repository has a branch ${JSON.stringify(keyOrName)}; use one of the keys ${keys}`,
      );
    }
    return record;
  };

  // ----- the queue's work -----

  const work = async (key: string, queueSignal: AbortSignal): Promise<void> => {
    const record = records.get(key);
    if (record === undefined || provider === null || data === null) return;
    const watch = watches.get(record.repository);
    if (watch === undefined) return;
    const startedMs = clock.now();
    const request = requests.get(key) ?? null;
    const signal = AbortSignal.any([queueSignal, shutdown.signal, AbortSignal.timeout(longestReconcileMs)]);
    const revision = record.revision;
    previews.pause(record);
    try {
      const {result, taken} = await reconcileBranch(record, contextOf(record, watch, provider, data), signal);
      const state = observedOf(key);
      state.phase = null;
      if (taken.some(({kind}) => leavingKinds.has(kind))) admitNext(record);
      if (record.live && taken.length > 0) followLive(record);
      if (result === null) {
        await forget(record);
        return;
      }
      record.failures = 0;
      finish(record, {result, taken}, startedMs, request);
    } catch (error) {
      observedOf(key).phase = null;
      if (shutdown.signal.aborted || records.get(key) !== record) return;
      if (queueSignal.aborted) {
        log.info('a newer commit takes over', {branch: record.branch, key, revision});
        queue.add(key);
        return;
      }
      fail(record, error, startedMs, request);
    }
    if (requests.get(key) === request) requests.delete(key);
    await records
      .save(record)
      .catch((error) => log.error('the status of a branch could not be written', {key, error}));
    emit({type: 'branch_changed', key});
  };

  const contextOf = (
    record: BranchRecord,
    watch: RepositoryWatch,
    containers: ContainerProvider,
    branchData: BranchData,
  ): ReconcileContext => ({
    data: branchData,
    dataPolicyOf: (branch) => dataPolicyOf(watch.environments, branch),
    liveOf: ({repository}) =>
      runningBranches().find((branch) => branch.record.live && branch.record.repository === repository) ??
      null,
    provider: containers,
    client: options.client,
    source: watch.source,
    archive,
    clock,
    log,
    timeZone: options.timeZone,
    stopGraceMs: options.stopGraceMs,
    maxBlobBytes,
    checkScript: options.checkScript,
    scriptImports: options.scriptImports,
    policy: {...options.policy, leaseMs: previews.leaseMsOf(record)},
    removalMs: previews.removalMs,
    obstacle: () => guard.obstacle(record.repository),
    admit: admission.admit,
    async environmentOf(branch, files, signal) {
      const limits = limitsOf(watch.environments, branch);
      const held_lines = await heldLinesOf(branch, {files, watch, signal});
      return {
        ...(await resolveBindings(bindingsOf(watch.environments, branch), options.readSecret)),
        settings: {...options.settings, limits: runLimitsOf(limits), held_lines},
        resources: resourceLimitsOf(limits),
      };
    },
    findContainer: async ({container_id, key}) => {
      const all = await containers.list();
      return all.find(({id}) => id === container_id) ?? all.find(({name}) => name === key) ?? null;
    },
    onPlan: (plan, desired) => onPlan(record, plan, desired.kind === 'served' ? desired.revision : null),
    onObserved: ({container, runtime}) => onObserved(record, container, runtime),
  });

  const runningBranches = (): RunningBranch[] =>
    [...observed].flatMap(([key, {container}]) => {
      const record = records.get(key);
      return record !== undefined && container?.state === 'running' ? [{record, container}] : [];
    });

  /** People's own entries are nowhere else: a copy of live's is kept up to date. */
  const mirrorEntries = (record: BranchRecord, container: Container, runtime: ControlState) => {
    const isFilled = container.labels[labelNames.restoreEntries] === undefined;
    if (record.live && isFilled) void data?.followEntries({record, container}, runtime, shutdown.signal);
  };

  const runOf = (record: BranchRecord): PreviewRun =>
    previewRunOf(rulesOf(record), record, options.previewRun);

  const heldLinesOf = async (
    record: BranchRecord,
    {files, watch, signal}: {files: BranchFiles; watch: RepositoryWatch; signal: AbortSignal},
  ) => {
    const run = runOf(record);
    const live =
      run === 'changed'
        ? await filesOfLive(watch.source, {
            records: records.all(),
            repository: record.repository,
            files,
            signal,
          })
        : null;
    return heldLines(run, {crontabs: files.crontabs, live, released: record.released});
  };

  /** What live runs has changed: previews that leave out the same lines are looked at again. */
  const followLive = ({repository}: BranchRecord) => {
    for (const record of ofRepository(repository))
      if (!record.live && runOf(record) === 'changed') queue.add(record.key);
  };

  const onPlan = (record: BranchRecord, plan: readonly Action[], revision: string | null) => {
    record.plan = [...plan];
    if (plan.length === 0) return;
    const kinds = plan.map(({kind}) => kind);
    const state = observedOf(record.key);
    if (kinds.includes('create_container')) state.phase = 'creating';
    else if (kinds.includes('trash_container') || kinds.includes('remove_container'))
      state.phase = 'stopping';
    if (revision !== null)
      record.conditions = reconcilingConditions(record.conditions, revision, clock.now());
    emit({type: 'branch_changed', key: record.key});
  };

  const onObserved = (record: BranchRecord, container: Container | null, runtime: ControlState | null) => {
    const state = observedOf(record.key);
    if (state.container !== null && state.container.id !== container?.id)
      containerKeys.delete(state.container.id);
    if (container !== null) containerKeys.set(container.id, record.key);
    state.container = container;
    state.runtime = runtime;
    if (runtime !== null) {
      record.next_run = runtime.next_run;
      record.last_run = runtime.last_run ?? record.last_run;
      followEvents(record.key, container);
      if (container !== null) mirrorEntries(record, container, runtime);
    } else state.events?.abort();
  };

  const finish = (
    record: BranchRecord,
    {result, taken}: {result: Result; taken: Reconciled['taken']},
    startedMs: number,
    request: string | null,
  ) => {
    const nowMs = clock.now();
    record.plan = result.kind === 'read_only' ? [...result.plan] : [];
    record.conditions = conditions(result, record.conditions, nowMs);
    record.handled_request = request ?? record.handled_request;
    // Once for each commit: what is healed later says nothing about how fast the commit was.
    if (result.kind === 'synced' && result.revision === record.revision && record.seen_at !== null)
      record.active_ms ??= nowMs - Date.parse(record.seen_at);
    const entry = historyEntry(record, result, taken, startedMs, nowMs);
    if (entry !== null) record.history = withHistory(record.history, entry);
    if (result.kind === 'missing' && result.until !== null)
      queue.addAfter(record.key, Math.max(0, Date.parse(result.until) - nowMs));
    if (result.kind === 'invalid') {
      for (const issue of result.issues)
        log.warn('the branch is stalled', {branch: record.branch, revision: result.revision, ...issue});
    }
  };

  const fail = (record: BranchRecord, error: unknown, startedMs: number, request: string | null) => {
    const nowMs = clock.now();
    const failure = failureOf(error);
    record.failures += 1;
    record.handled_request = request ?? record.handled_request;
    record.conditions = conditions(
      {kind: 'failed', failure, serving: record.applied?.revision ?? null},
      record.conditions,
      nowMs,
    );
    record.history = withHistory(record.history, {
      at: new Date(nowMs).toISOString(),
      revision: record.revision,
      outcome: failure.kind === 'stalled' ? 'stalled' : 'failed',
      message: failure.message,
      duration_ms: nowMs - startedMs,
    });
    const delayMs = retryDelayMs(record.failures, options.random());
    log.warn('a branch could not be reconciled', {
      branch: record.branch,
      key: record.key,
      reason: failure.reason,
      failures: record.failures,
      error,
    });
    if (failure.kind === 'retry') queue.addAfter(record.key, delayMs);
  };

  /** A place is free: those that were refused one are looked at again, the newest first. */
  const admitNext = (left: BranchRecord) => {
    admission.leave(left);
    const refused = ofRepository(left.repository)
      .filter(({conditions: all}) => all.some(({reason}) => reason === 'limit_reached'))
      .sort((a, b) => (b.seen_at ?? '').localeCompare(a.seen_at ?? ''));
    for (const {key} of refused) queue.add(key);
  };

  const forget = async (record: BranchRecord) => {
    observedOf(record.key).events?.abort();
    const {container} = observedOf(record.key);
    if (container !== null) containerKeys.delete(container.id);
    observed.delete(record.key);
    requests.delete(record.key);
    watches.get(record.repository)?.forget(record);
    await records.delete(record.key);
    await data?.forgetEntries(record.key);
    emit({type: 'branch_forgotten', key: record.key});
  };

  const queue: BranchQueue = createQueue({clock, concurrency: options.concurrency, work});

  // ----- events of containers -----

  const followEvents = (key: string, container: Container | null) => {
    const state = observedOf(key);
    if (container === null || (state.events !== null && !state.events.signal.aborted)) return;
    const controller = new AbortController();
    state.events = controller;
    const signal = AbortSignal.any([controller.signal, shutdown.signal]);
    void readEvents(key, container, signal).finally(async () => {
      if (state.events === controller) state.events = null;
      if (signal.aborted) return;
      // The kernel closes the connection of a dying runtime a moment before it is gone.
      await clock.sleep(exitSettleMs);
      const now = (await provider?.list())?.find(({id}) => id === container.id);
      if (now?.state === 'running') queue.add(key);
      else onContainerExit(container.id);
    });
  };

  const readEvents = async (key: string, container: Container, signal: AbortSignal): Promise<void> => {
    try {
      for await (const event of options.client(container).events({signal})) {
        if (event.type === 'crontab_changed') {
          const applied = records.get(key)?.applied?.crontabs[event.user]?.raw_etag;
          if (event.raw_etag !== applied) queue.add(key);
          else if (records.get(key)?.live === true) await refresh(key, container, signal);
        } else if (event.type === 'deployment_changed') {
          if (event.digest !== records.get(key)?.applied?.deployment) queue.add(key);
        } else if (event.type === 'schedule_changed') await refresh(key, container, signal);
        else {
          await refresh(key, container, signal);
          emit({type: event.type, key});
        }
      }
    } catch (error) {
      if (!signal.aborted) log.info('the event stream of a container ended', {key, error});
    }
  };

  const refresh = async (key: string, container: Container, signal: AbortSignal): Promise<void> => {
    const record = records.get(key);
    if (record === undefined) return;
    const runtime = await options.client(container).state({signal});
    observedOf(key).runtime = runtime;
    record.next_run = runtime.next_run;
    record.last_run = runtime.last_run ?? record.last_run;
    mirrorEntries(record, observedOf(key).container ?? container, runtime);
    emit({type: 'branch_changed', key});
  };

  /** Told by the provider and by the end of the event stream, whichever is first; a death counts once. */
  const onContainerExit = (id: string) => {
    const key = containerKeys.get(id);
    if (key === undefined || shutdown.signal.aborted) return;
    const state = observedOf(key);
    if (state.container?.state !== 'running') return;
    state.container = {...state.container, state: 'failed'};
    state.events?.abort();
    state.crashes = withCrash(state.crashes, clock.now());
    log.warn('a runtime died', {key, id, crashes: state.crashes.count});
    emit({type: 'branch_changed', key});
    if (state.crashes.count === 1) queue.add(key);
    else queue.addAfter(key, retryDelayMs(state.crashes.count, options.random()));
  };

  /** Often enough that no lease runs out between two looks. */
  const sweepIntervalMs = Math.min(options.driftIntervalMs, (options.policy.leaseMs ?? Infinity) / 4);

  /** The safety net under the event streams: one cheap question to every running container, spread over the interval. */
  const sweep = async (): Promise<void> => {
    while (!shutdown.signal.aborted) {
      const keys = [...observed]
        .filter(([, {container}]) => container?.state === 'running')
        .map(([key]) => key);
      const intervalMs = jitter(sweepIntervalMs, options.random());
      if (keys.length === 0) await clock.sleep(intervalMs, {signal: shutdown.signal});
      for (const key of keys) {
        await clock.sleep(intervalMs / keys.length, {signal: shutdown.signal});
        await checkDrift(key);
      }
    }
  };

  const checkDrift = async (key: string): Promise<void> => {
    const container = observed.get(key)?.container;
    const record = records.get(key);
    if (container?.state !== 'running' || record === undefined) return;
    // What is not ours to change, or not watched any more, is not kept going either.
    if (guard.known(record.repository) !== null || !watches.has(record.repository)) return;
    try {
      const runtime = await options.client(container).state({signal: shutdown.signal});
      // Limits that are reached make no event.
      observedOf(key).runtime = runtime;
      const isDue = await previews.tend(record, {container, runtime}, {signal: shutdown.signal});
      if (isDue || hasDrifted(record, runtime)) queue.add(key);
    } catch {
      // Whatever keeps it from answering, a full look finds out and reports it.
      queue.add(key);
    }
  };

  // ----- start and stop -----

  /** Containers that we made and have no record of: the state was lost or is older. */
  const adopt = async (containers: readonly Container[]): Promise<void> => {
    for (const container of containers) {
      const {
        [labelNames.repository]: repository,
        [labelNames.path]: path,
        [labelNames.branch]: branch,
      } = container.labels;
      if (repository === undefined || path === undefined || branch === undefined) continue;
      const known = records.get(container.name);
      const record = known ?? newBranchRecord({repository, path, branch, live: false, key: container.name});
      record.container_id = container.id;
      record.trashed_at = container.labels[labelNames.trashedAt] ?? null;
      if (known === undefined) {
        log.warn('a container without a record is adopted', {id: container.id, branch});
        record.missing = {
          since: new Date(clock.now()).toISOString(),
          proven: false,
          held: false,
          cause: 'branch_deleted',
        };
        await records.save(record);
      }
      const state = observedOf(container.name);
      state.container = container;
      containerKeys.set(container.id, container.name);
    }
  };

  const start = async (): Promise<void> => {
    if (provider !== null) {
      const containers = await provider.list();
      const strangers = await options.contacts.strangers(containers, options.repositories);
      for (const [repository, why] of strangers) guard.hold(repository, why);
      await adopt(containers.filter(({labels}) => !strangers.has(labels[labelNames.repository] ?? '')));
      stopWatchingContainers = provider.watch(({id}) => onContainerExit(id));
    }
    for (const repository of options.repositories) {
      const watch = openRepositoryWatch({
        repository,
        records: ofRepository(repository.source.repository),
        clock,
        log,
        random: options.random,
        intervalMs: repository.source.kind === 'local' ? options.pollIntervalMs : options.fetchIntervalMs,
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
        onChanged: (record) => {
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
    await Promise.all([...watches.values()].map((watch) => watch.pass()));
    for (const record of records.all()) {
      if (watches.has(record.repository)) continue;
      record.conditions = conditions(
        {kind: 'missing', state: 'unwatched', until: null},
        record.conditions,
        clock.now(),
      );
    }
    // Also what was in order: its container may be gone since.
    for (const {key, live} of records.all()) queue.add(key, {first: live});
    for (const watch of watches.values()) watch.run();
    void data
      ?.run(() => runningBranches().filter(({record}) => record.live), shutdown.signal)
      .catch(() => {
        // It sleeps on the shutdown signal too.
      });
    void tendRunArchive(archive, {clock, signal: shutdown.signal}).catch((error: unknown) => {
      if (!shutdown.signal.aborted) log.error('old run records could not be removed', {error});
    });
    void guard.watch({signal: shutdown.signal}).catch(() => {
      // It sleeps on the shutdown signal too.
    });
    void sweep().catch(() => {
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
    start,
    stop,
    branches: () => [...records.all()].map(view).sort(byImportance),
    branch: (keyOrName) => view(find(keyOrName)),
    repositories: () =>
      [...watches].map(([repository, watch]) => ({
        ...watch.status(),
        read_only: guard.known(repository),
        waiting: ofRepository(repository).filter(
          ({pause, missing}) => pause?.reason === 'first_contact' && missing === null,
        ).length,
      })),
    reconcile(keyOrName) {
      const {key, repository} = find(keyOrName);
      const id = crypto.randomUUID();
      requests.set(key, id);
      void watches
        .get(repository)
        ?.pass()
        .then(() => queue.add(key, {first: true}));
      return id;
    },
    reconcileAll({confirmDeletions}) {
      const id = crypto.randomUUID();
      for (const {key} of records.all()) requests.set(key, id);
      for (const [repository, watch] of watches) {
        if (confirmDeletions) watch.confirmDeletions();
        void watch.pass().then(() => {
          for (const {key, live} of ofRepository(repository)) queue.add(key, {first: live});
        });
      }
      return id;
    },
    async release(keyOrName, job) {
      const record = find(keyOrName);
      await guard.require(record.repository);
      if (job !== null && record.pause !== null) {
        throw new AppError(
          'BRANCH_PAUSED',
          `All of ${record.branch} is paused, not one job of it; let it run with: branchtab release ${record.branch}`,
        );
      }
      const {revision} = record;
      const watch = watches.get(record.repository);
      if (job !== null) {
        const signal = AbortSignal.any([shutdown.signal, AbortSignal.timeout(30_000)]);
        const tree = revision === null ? null : await watch?.source.readHoody(revision, {signal});
        const {crontabs} = readCrontabs(tree ?? {files: []});
        if (!hasJob(crontabs, job))
          throw new AppError(
            'ENTRY_NOT_FOUND',
            `${record.branch} has no job ${JSON.stringify(job)} in its crontab`,
          );
      }
      const {all, jobs} = record.released;
      // The end of a pause says nothing about the lines that a policy holds besides.
      if (record.pause === null)
        record.released = {
          all: all || job === null,
          jobs: job === null || jobs.includes(job) ? jobs : [...jobs, job],
        };
      record.pause = null;
      record.released_at = new Date(clock.now()).toISOString();
      await records.save(record);
      queue.add(record.key, {first: true});
      await queue.settled([record.key]);
      return view(record);
    },
    async adopt() {
      const held = guard.held();
      const containers = ((await provider?.list()) ?? []).filter(({labels}) =>
        held.includes(labels[labelNames.repository] ?? ''),
      );
      await adopt(containers);
      for (const repository of held) {
        await options.contacts.meet(repository, []);
        guard.letGo(repository);
        void watches.get(repository)?.pass();
        for (const {key, live} of ofRepository(repository)) queue.add(key, {first: live});
      }
      return containers.length;
    },
    async forget(keyOrName) {
      const record = find(keyOrName);
      await guard.require(record.repository);
      if (provider === null || record.missing === null || !watches.has(record.repository)) {
        throw new AppError(
          'BRANCH_PRESENT',
          `${record.branch} is in its repository; delete the branch there, or leave it out with --branches`,
        );
      }
      record.forget_requested = true;
      await records.save(record);
      queue.add(record.key, {first: true});
      await queue.settled([record.key]);
      if (records.get(record.key) === record)
        throw new AppError('BACKEND_ERROR', `${record.branch} could not be removed: ${whyNotReady(record)}`);
    },
    environment(keyOrName) {
      const record = find(keyOrName);
      return bindingsOf(rulesOf(record), record).map(describeBinding);
    },
    async restore(keyOrName) {
      const record = find(keyOrName);
      await guard.require(record.repository);
      if (provider === null || record.trashed_at === null || record.container_id === null) {
        throw new AppError(
          'NOTHING_TO_RESTORE',
          `${record.branch} has no container in the trash; \`branchtab status\` shows its state`,
        );
      }
      await provider.label(record.container_id, {[labelNames.trashedAt]: null});
      record.trashed_at = null;
      // Where git has the branch it is wanted again; else it waits for it.
      record.restored = record.missing !== null;
      record.pause = null;
      record.released_at = new Date(clock.now()).toISOString();
      await provider.start(record.container_id);
      await records.save(record);
      queue.add(record.key, {first: true});
      await queue.settled([record.key]);
      return view(record);
    },
    async backupData(keyOrName) {
      const record = find(keyOrName);
      const {container} = observedOf(record.key);
      if (data === null || container?.state !== 'running')
        throw new AppError(
          'CONTAINER_UNAVAILABLE',
          `The container of ${record.branch} does not run; see: branchtab status`,
        );
      const made = await data.backup({record, container}, shutdown.signal);
      emit({type: 'branch_changed', key: record.key});
      return made;
    },
    async backups(keyOrName) {
      const kept = isBranchKey(keyOrName) ? ((await data?.list(keyOrName)) ?? []) : [];
      if (kept.length > 0) return {items: kept, problem: data?.problemOf(keyOrName) ?? null};
      const {key} = find(keyOrName);
      return {items: (await data?.list(key)) ?? [], problem: data?.problemOf(key) ?? null};
    },
    async restoreData(keyOrName, request) {
      const record = find(keyOrName);
      await guard.require(record.repository);
      record.restore = restoreRequest(record, request, (await data?.list(record.key)) ?? []);
      await records.save(record);
      queue.add(record.key, {first: true});
      await queue.settled([record.key]);
      if (record.restore !== null)
        throw new AppError(
          'BACKEND_ERROR',
          `The data of ${record.branch} could not be put back: ${whyNotReady(record)}`,
        );
      return view(record);
    },
    async runs(keyOrName, query) {
      const named = [...records.all()].some(({branch}) => branch === keyOrName);
      if (records.get(keyOrName) === undefined && !named) {
        const archived = await findArchived(archive, keyOrName);
        if (archived === null) find(keyOrName);
        return {items: filterRuns(archived ?? [], query), next_cursor: null};
      }
      const record = find(keyOrName);
      const former = await archive.read(record.key);
      const {container} = observedOf(record.key);
      if (container?.state !== 'running') return {items: filterRuns(former, query), next_cursor: null};
      const {user = 'root', ...rest} = query;
      const signal = AbortSignal.any([shutdown.signal, AbortSignal.timeout(30_000)]);
      const present = await options.client(container).runs(user, rest, {signal});
      return present.next_cursor === null ? withFormer(present.items, former, {...query, user}) : present;
    },
    container(idOrKey) {
      const record = records.get(containerKeys.get(idOrKey) ?? idOrKey);
      if (record === undefined || record.trashed_at !== null) return null;
      return observedOf(record.key).container;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    idle: () => queue.idle(),
  };
}

function whyNotReady({conditions: all}: BranchRecord): string {
  return all.find(({type}) => type === 'Ready')?.message ?? 'see the log';
}

/** Live branches first, then by repository and name. */
function byImportance(a: Branch, b: Branch): number {
  if (a.live !== b.live) return a.live ? -1 : 1;
  return a.repository.localeCompare(b.repository) || a.branch.localeCompare(b.branch);
}

function historyEntry(
  record: BranchRecord,
  result: Result,
  taken: Reconciled['taken'],
  startedMs: number,
  nowMs: number,
): Reconciliation | null {
  if (taken.length === 0 && result.kind !== 'invalid') return null;
  const outcomes = {
    synced: 'applied',
    invalid: 'stalled',
    missing: 'paused',
    paused: 'paused',
    read_only: 'failed',
    failed: 'failed',
  } as const;
  const trashed = taken.some(({kind}) => kind === 'trash_container');
  const outcome = trashed ? 'trashed' : outcomes[result.kind];
  const message =
    taken.length > 0
      ? taken.map(({summary}) => summary).join('; ')
      : (record.conditions.find(({type}) => type === 'Stalled')?.message ?? '');
  return {
    at: new Date(nowMs).toISOString(),
    revision: record.revision,
    outcome,
    message,
    duration_ms: nowMs - startedMs,
  };
}
