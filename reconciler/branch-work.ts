import type {Reconciliation} from '../schemas/branch.ts';
import {isForkName} from '../schemas/branch-name.ts';
import type {ControlState} from '../schemas/control-state.ts';
import {AppError} from '../schemas/errors.ts';
import type {Action} from '../schemas/plan.ts';
import type {Suspension} from '../schemas/suspension.ts';
import type {Admission} from './admission.ts';
import type {BranchData} from './branch-data.ts';
import {resourceLimitsOf, runLimitsOf} from './branch-limits.ts';
import type {BranchRecord} from './branch-record.ts';
import {tightened} from './branch-settings.ts';
import type {ContainerWatch} from './container-watch.ts';
import type {Container, ContainerProvider} from './containers/provider.ts';
import type {ControllerContext} from './controller-context.ts';
import {
  bindingsOf,
  branchPolicyOf,
  dataPolicyOf,
  driftOf,
  isKept,
  previewRunOf,
  resolveBindings,
  snapshotsOf,
} from './environments.ts';
import {filesOfLive} from './live-files.ts';
import type {ControllerMetrics} from './metrics.ts';
import type {BranchFiles} from './observation.ts';
import {failureOf, retryDelayMs} from './outcome.ts';
import {heldLines, type PreviewRun} from './preview-holds.ts';
import {wasGivenUp} from './queue.ts';
import {type ReconcileContext, type Reconciled, reconcileBranch} from './reconcile.ts';
import type {RepositoryWatch} from './repository-watch.ts';
import {endRollback} from './rollback.ts';
import {conditions, type Result, reconcilingConditions, withHistory} from './status.ts';
import {presentSuspension} from './suspension.ts';
import {createWorkTrace, type TraceEnd, type WorkTrace} from './work-trace.ts';

/** Steps after which a container takes no place of a preview any more. */
const leavingKinds: ReadonlySet<Action['kind']> = new Set([
  'trash_container',
  'remove_container',
  'forget_branch',
]);
/** Steps after which the files of a container are others. */
const savedKinds: ReadonlySet<Action['kind']> = new Set([
  'create_container',
  'sync_workspace',
  'deploy_scripts',
]);

/** No file of a workspace may be larger. */
const maxBlobBytes = 512 * 1024 * 1024;

/** The queue's work: one look at one branch, from its record to its status. */
export function createBranchWork(
  {options, table, queue, guard, watches, previews, rulesOf, emit, shutdown}: ControllerContext,
  {
    containerWatch,
    requests,
    admission,
    metrics,
  }: {
    containerWatch: ContainerWatch;
    /** By key: what the branch's status echoes when it was looked at. */
    requests: Map<string, string>;
    admission: Admission;
    metrics: ControllerMetrics;
  },
): (key: string, signal: AbortSignal) => Promise<void> {
  const {provider, records, archive, journal, data, clock, log} = options;

  const work = async (key: string, queueSignal: AbortSignal): Promise<void> => {
    const record = records.get(key);
    if (record === undefined || provider === null || data === null) return;
    const watch = watches.get(record.repository);
    if (watch === undefined) return;
    const startedMs = clock.now();
    const request = requests.get(key) ?? null;
    const signal = AbortSignal.any([queueSignal, shutdown]);
    const revision = record.revision;
    previews.pause(record);
    if (record.keep !== null && Date.parse(record.keep.until) <= startedMs) record.keep = null;
    const suspension = presentSuspension(record, {rules: watch.environments, nowMs: startedMs});
    const trace = createWorkTrace(record, startedMs);
    const note = (end: Pick<TraceEnd, 'outcome'> & Partial<TraceEnd>) => {
      metrics.reconciled(end.outcome, clock.now() - startedMs);
      if (end.activeMs != null) metrics.active(end.activeMs);
      const nothing = {verified: false, activeMs: null, retryAtMs: null};
      const event = trace.event(record, {...nothing, nowMs: clock.now(), isAsked: request !== null, ...end});
      return event === null ? Promise.resolve() : journal.add(key, event);
    };
    try {
      const {container} = table.observed(key);
      await endRollback(record, {source: watch.source, provider, container, signal});
      const {result, taken} = await reconcileBranch(
        record,
        contextOf(record, watch, {containers: provider, branchData: data, trace, suspension}),
        signal,
      );
      const state = table.observed(key);
      state.phase = null;
      if (taken.some(({kind}) => leavingKinds.has(kind))) admitNext(record);
      if (record.live && taken.length > 0) followLive(record);
      if (result === null) {
        await note({outcome: 'forgotten'});
        await forget(record);
        return;
      }
      record.failures = 0;
      if (result.kind === 'synced' && taken.some(({kind}) => savedKinds.has(kind)))
        await saveContainer(record, {
          containers: provider,
          name: snapshotsOf(watch.environments, record).save,
        });
      const before = record.active_ms;
      finish(record, {result, taken}, startedMs, request);
      await note({
        outcome: outcomeOf(result, taken),
        verified: result.kind === 'synced' && !result.drift && taken.length > 0,
        activeMs: before === null ? record.active_ms : null,
      });
    } catch (error) {
      table.observed(key).phase = null;
      if (shutdown.aborted || records.get(key) !== record) return;
      const givenUp = wasGivenUp(queueSignal);
      if (queueSignal.aborted && !givenUp) {
        log.info('a newer commit takes over', {branch: record.branch, key, revision});
        await note({outcome: 'superseded'});
        queue.add(key);
        return;
      }
      const cause = givenUp ? queueSignal.reason : error;
      const {outcome, retryAtMs} = fail(record, cause, startedMs, request);
      await note({outcome, retryAtMs});
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
    {
      containers,
      branchData,
      trace,
      suspension,
    }: {
      containers: ContainerProvider;
      branchData: BranchData;
      trace: WorkTrace;
      suspension: Suspension | null;
    },
  ): ReconcileContext => ({
    data: branchData,
    dataPolicyOf: (branch) => dataPolicyOf(watch.environments, branch),
    sourceOf: (branch) => snapshotsOf(watch.environments, branch).from,
    liveOf: ({repository, path}) =>
      table
        .running()
        .find(
          ({record: {live, ...other}}) => live && other.repository === repository && other.path === path,
        ) ?? null,
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
    policy: {
      undoWindowMs: watch.policy.undoWindowMs,
      drift: record.keep === null ? driftOf(watch.environments, record, watch.policy.drift) : 'report',
      suspended: suspension !== null,
      leaseMs: previews.leaseMsOf(record),
    },
    suspension,
    removalMs: previews.removalMs,
    obstacle: () => guard.obstacle(record.repository),
    admit: admission.admit,
    policyOf: (branch, files) => policyOf(branch, watch, files),
    async environmentOf(branch, files, signal) {
      const {limits, run} = policyOf(branch, watch, files).policy;
      const held_lines = await heldLinesOf(branch, {files, run, watch, signal});
      return {
        ...(await resolveBindings(bindingsOf(watch.environments, branch), options.readSecret)),
        settings: {
          ...options.settings,
          // Strangers send no mail in the name of this host.
          smtp_url: isForkName(branch.branch) ? null : options.settings.smtp_url,
          limits: runLimitsOf(limits),
          held_lines,
        },
        resources: resourceLimitsOf(limits),
      };
    },
    findContainer: async ({container_id, key}) => {
      const all = await containers.list();
      return all.find(({id}) => id === container_id) ?? all.find(({name}) => name === key) ?? null;
    },
    onPlan(plan, desired) {
      trace.onPlan(plan);
      onPlan(record, plan, desired.kind === 'served' ? desired.revision : null);
    },
    onRead: trace.onRead,
    onTaken: trace.onTaken,
    onObserved: ({container, runtime}) => onObserved(record, container, runtime),
  });

  const policyOf = (record: BranchRecord, {environments}: RepositoryWatch, {settings}: BranchFiles) =>
    tightened(branchPolicyOf(environments, record, options.previewRun), settings, {
      live: record.live,
      kept: isKept(environments, record),
    });

  /** By the settings of the commit that is applied. */
  const runOf = (record: BranchRecord): PreviewRun =>
    record.tightened?.run ?? previewRunOf(rulesOf(record), record, options.previewRun);

  const heldLinesOf = async (
    record: BranchRecord,
    {
      files,
      run,
      watch,
      signal,
    }: {files: BranchFiles; run: PreviewRun; watch: RepositoryWatch; signal: AbortSignal},
  ) => {
    const live =
      run === 'changed'
        ? await filesOfLive(watch.source, {
            records: records.all(),
            of: record,
            files,
            signal,
          })
        : null;
    return heldLines(run, {crontabs: files.crontabs, live, released: record.released});
  };

  /** After a commit was applied. A snapshot that cannot be made leaves the branch as good as it is. */
  const saveContainer = async (
    {container_id, branch, key}: BranchRecord,
    {containers, name}: {containers: ContainerProvider; name: string | null},
  ) => {
    if (name === null || container_id === null) return;
    try {
      await containers.snapshot(container_id, name);
      log.info('made the snapshot of a branch', {branch, key, snapshot: name});
    } catch (error) {
      log.error('the snapshot of a branch could not be made', {branch, key, snapshot: name, error});
    }
  };

  /** What live runs has changed: previews that leave out the same lines are looked at again. */
  const followLive = ({repository}: BranchRecord) => {
    for (const record of table.ofRepository(repository))
      if (!record.live && runOf(record) === 'changed') queue.add(record.key);
  };

  const onPlan = (record: BranchRecord, plan: readonly Action[], revision: string | null) => {
    record.plan = [...plan];
    if (plan.length === 0) return;
    const kinds = plan.map(({kind}) => kind);
    const state = table.observed(record.key);
    if (kinds.includes('create_container')) state.phase = 'creating';
    else if (kinds.includes('trash_container') || kinds.includes('remove_container'))
      state.phase = 'stopping';
    if (revision !== null)
      record.conditions = reconcilingConditions(record.conditions, revision, clock.now());
    emit({type: 'branch_changed', key: record.key});
  };

  const onObserved = (record: BranchRecord, container: Container | null, runtime: ControlState | null) => {
    table.place(record.key, container);
    const state = table.observed(record.key);
    state.runtime = runtime;
    if (runtime === null) {
      state.events?.abort();
      return;
    }
    record.next_run = runtime.next_run;
    record.last_run = runtime.last_run ?? record.last_run;
    containerWatch.follow(record.key, container);
    if (container !== null) containerWatch.mirrorEntries(record, container, runtime);
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
    const suspension = presentSuspension(record, {rules: rulesOf(record), nowMs});
    const ends = [
      suspension?.until ?? null,
      result.kind === 'missing' ? result.until : null,
      record.keep?.until ?? null,
    ];
    const next = ends.filter((end) => end !== null).sort()[0];
    if (next !== undefined) queue.addAfter(record.key, Math.max(0, Date.parse(next) - nowMs));
    if (result.kind === 'invalid') {
      for (const issue of result.issues)
        log.warn('the branch is stalled', {branch: record.branch, revision: result.revision, ...issue});
    }
  };

  const fail = (
    record: BranchRecord,
    error: unknown,
    startedMs: number,
    request: string | null,
  ): {outcome: 'stalled' | 'failed'; retryAtMs: number | null} => {
    const nowMs = clock.now();
    const failure = failureOf(error);
    const outcome = failure.kind === 'stalled' ? 'stalled' : 'failed';
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
      outcome,
      message: failure.message,
      duration_ms: nowMs - startedMs,
    });
    // Some errors say when they will be over: that is not slept through.
    const overInMs = error instanceof AppError ? (error.retryAfterSeconds ?? Infinity) * 1000 : Infinity;
    const delayMs = Math.min(retryDelayMs(record.failures, options.random()), overInMs);
    log.warn('a branch could not be reconciled', {
      branch: record.branch,
      key: record.key,
      reason: failure.reason,
      failures: record.failures,
      error,
    });
    if (failure.kind !== 'retry') return {outcome, retryAtMs: null};
    queue.addAfter(record.key, delayMs);
    return {outcome, retryAtMs: nowMs + delayMs};
  };

  /** A place is free: those that were refused one are looked at again, the newest first. */
  const admitNext = (left: BranchRecord) => {
    admission.leave(left);
    const refused = table
      .ofRepository(left.repository)
      .filter(({conditions: all}) => all.some(({reason}) => reason === 'limit_reached'))
      .sort((a, b) => (b.seen_at ?? '').localeCompare(a.seen_at ?? ''));
    for (const {key} of refused) queue.add(key);
  };

  const forget = async (record: BranchRecord) => {
    table.forget(record.key);
    requests.delete(record.key);
    watches.get(record.repository)?.forget(record);
    await records.delete(record.key);
    await data?.forgetEntries(record.key);
    emit({type: 'branch_forgotten', key: record.key});
  };

  return work;
}

type Outcome = 'applied' | 'unchanged' | 'failed' | 'stalled' | 'paused' | 'trashed';

const outcomes = {
  synced: 'applied',
  invalid: 'stalled',
  missing: 'paused',
  paused: 'paused',
  suspended: 'paused',
  read_only: 'failed',
  failed: 'failed',
} as const;

function outcomeOf(result: Result, taken: Reconciled['taken']): Outcome {
  if (taken.some(({kind}) => kind === 'trash_container')) return 'trashed';
  return result.kind === 'synced' && taken.length === 0 ? 'unchanged' : outcomes[result.kind];
}

function historyEntry(
  record: BranchRecord,
  result: Result,
  taken: Reconciled['taken'],
  startedMs: number,
  nowMs: number,
): Reconciliation | null {
  const outcome = outcomeOf(result, taken);
  if (outcome === 'unchanged' || (taken.length === 0 && result.kind !== 'invalid')) return null;
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
