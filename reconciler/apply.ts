import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {AppError} from '../schemas/errors.ts';
import type {Action} from '../schemas/plan.ts';
import type {BranchData, DataPolicy, RunningBranch} from './branch-data.ts';
import type {BranchRecord} from './branch-record.ts';
import {type Container, type ContainerProvider, labelNames} from './containers/provider.ts';
import type {Desired} from './desired.ts';
import type {Observation} from './observation.ts';
import type {RunArchive} from './run-archive.ts';
import type {RuntimeClient, WorkspaceChange} from './runtime-client.ts';
import type {Source, TreeChange} from './sources/source.ts';

export interface ApplyContext {
  readonly data: BranchData;
  readonly dataPolicyOf: (record: BranchRecord) => DataPolicy;
  /** Name of the snapshot that a new container starts with; null for none. */
  readonly sourceOf: (record: BranchRecord) => string | null;
  /** The running container of the live branch of the same repository. */
  readonly liveOf: (record: BranchRecord) => RunningBranch | null;
  /** Throws LIMIT_REACHED or HOST_FULL where the branch may not have a container now. */
  readonly admit: (record: BranchRecord) => Promise<void>;
  readonly provider: ContainerProvider;
  readonly client: (container: Container) => RuntimeClient;
  readonly source: Source;
  readonly archive: RunArchive;
  readonly clock: Clock;
  readonly log: Log;
  readonly timeZone: string;
  readonly stopGraceMs: number;
  readonly maxBlobBytes: number;
  /** For how long a runtime that nobody reaches may start jobs; null for ever. */
  readonly policy: {readonly leaseMs: number | null};
}

interface Step {
  readonly observation: Observation;
  readonly desired: Desired;
  /** What `readFileChanges` found for the plan that the action is of. */
  readonly fileChanges: FileChanges | null;
  readonly signal: AbortSignal;
}

/** The files that a plan's `sync_workspace` changes. */
export interface FileChanges {
  readonly from: string | null;
  readonly to: string;
  readonly changes: readonly TreeChange[];
}

/**
 * Looks at every changed file of a plan before its first step, so that a tree that is refused leaves the
 * environment as it was too. Null where no file changes. Throws CONTENT_REFUSED, PAYLOAD_TOO_LARGE, REPOSITORY_UNREADABLE.
 */
export async function readFileChanges(
  plan: readonly Action[],
  {source}: Pick<ApplyContext, 'source'>,
  signal: AbortSignal,
): Promise<FileChanges | null> {
  const action = plan.find(({kind}) => kind === 'sync_workspace');
  if (action?.kind !== 'sync_workspace') return null;
  const {from, to} = action;
  try {
    return {from, to, changes: await readChanges(from)};
  } catch (error) {
    // The tree it stands at may be gone from the repository (a rewritten history after gc): send everything.
    const startOver = error instanceof AppError && error.code === 'REPOSITORY_UNREADABLE' && from !== null;
    if (!startOver) throw error;
    return {from: null, to, changes: await readChanges(null)};
  }

  async function readChanges(base: string | null): Promise<readonly TreeChange[]> {
    const changes = await source.diffTrees(base, to, {signal});
    await source.prepareBlobs(blobsOf(changes), {signal});
    return changes;
  }
}

function blobsOf(changes: readonly TreeChange[]): string[] {
  return changes.flatMap((change) => (change.kind === 'write' ? [change.blob] : []));
}

/**
 * Takes one step. Every step is idempotent: after a crash or an abort the next plan names it again. What must
 * outlive the step is written into the record, which the caller saves.
 */
export async function applyAction(action: Action, step: Step, context: ApplyContext): Promise<void> {
  const {observation, signal} = step;
  const {record} = observation;
  const {provider} = context;
  switch (action.kind) {
    case 'create_container': {
      context.data.refuseLoss(record);
      await context.admit(record);
      const from = await presentSnapshot(context.sourceOf(record), context);
      const container = await provider.create({
        name: record.key,
        ...(from === null ? {} : {from}),
        labels: {...labelsOf(record), ...(await pendingLabels(record, context))},
        timeZone: context.timeZone,
        limits: served(step).resources,
      });
      record.container_id = container.id;
      return;
    }
    case 'restore_container': {
      await context.admit(record);
      await provider.label(containerOf(step).id, {[labelNames.trashedAt]: null});
      record.trashed_at = null;
      record.restored = false;
      return;
    }
    case 'limit_container':
      await provider.limit(containerOf(step).id, served(step).resources);
      return;
    case 'start_container': {
      const id = record.container_id ?? containerOf(step).id;
      // A preview may begin anew; of live a person has to say so.
      const rebuildAfterMs = record.live ? null : context.policy.leaseMs;
      await provider.start(id, {signal, makeData: !record.live, rebuildAfterMs});
      return;
    }
    case 'restore_data':
      return context.data.restore(record, containerOf(step), signal);
    case 'fill_data': {
      const branch = {record, container: containerOf(step)};
      await context.data.fill(branch, context.dataPolicyOf(record), context.liveOf(record), signal);
      await provider.label(containerOf(step).id, {[labelNames.fillData]: null});
      return;
    }
    case 'restore_entries':
      await context.data.putBackEntries({record, container: containerOf(step)}, signal);
      await provider.label(containerOf(step).id, {[labelNames.restoreEntries]: null});
      return;
    case 'put_environment': {
      const {revision, variables, secrets, settings} = served(step);
      const change = {revision, variables, secrets, settings};
      await context.client(containerOf(step)).setEnvironment(change, {signal});
      return;
    }
    case 'sync_workspace':
      return syncWorkspace(action, step, context);
    case 'deploy_scripts':
      return deployScripts(action.digest, step, context);
    case 'put_crontab': {
      const crontab = served(step).crontabs.find(({user}) => user === action.user);
      const client = context.client(containerOf(step));
      const ifMatch = action.if_match === '' ? null : action.if_match;
      const rawEtag = await client.putCrontab(action.user, crontab?.text ?? '', {signal, ifMatch});
      const {[action.user]: _replaced, ...others} = record.applied?.crontabs ?? {};
      const crontabs =
        crontab === undefined
          ? others
          : {...others, [action.user]: {sha256: crontab.sha256, raw_etag: rawEtag}};
      const {revision, rootTree} = served(step);
      const before = record.applied ?? {revision, root_tree: rootTree, environment: null, deployment: null};
      record.applied = {...before, crontabs};
      return;
    }
    case 'set_lease':
      await context.client(containerOf(step)).setLease({duration_ms: action.duration_ms}, {signal});
      return;
    case 'release_schedule':
      await context.client(containerOf(step)).setSchedule({state: 'running', reason: null}, {signal});
      return;
    case 'pause_schedule':
      await context.client(containerOf(step)).setSchedule({state: 'paused', reason: action.reason}, {signal});
      return;
    case 'trash_container': {
      const trashedAt = new Date(context.clock.now()).toISOString();
      await endJobs(action.reason, step, context);
      await provider.stop(containerOf(step).id, {graceMs: context.stopGraceMs, reason: action.reason});
      await provider.label(containerOf(step).id, {[labelNames.trashedAt]: trashedAt});
      record.trashed_at = trashedAt;
      return;
    }
    case 'remove_container': {
      await endJobs(action.reason, step, context);
      await provider.remove(containerOf(step).id);
      record.container_id = null;
      return;
    }
    case 'forget_branch':
      // The record itself is dropped by the reconciler once the plan is through.
      return;
    default:
      action satisfies never;
  }
}

function labelsOf(record: BranchRecord): Record<string, string> {
  return {
    [labelNames.repository]: record.repository,
    [labelNames.path]: record.path,
    [labelNames.branch]: record.branch,
  };
}

/** A branch does not wait for a snapshot: it brings all its files itself, and starts without what jobs added. */
async function presentSnapshot(name: string | null, {provider}: ApplyContext): Promise<string | null> {
  if (name === null) return null;
  return (await provider.listSnapshots()).some((snapshot) => snapshot.name === name) ? name : null;
}

/** On the container itself, so that a crash right after its making forgets nothing. */
async function pendingLabels(
  record: BranchRecord,
  {data, dataPolicyOf}: ApplyContext,
): Promise<Record<string, string>> {
  return {
    ...(dataPolicyOf(record) === 'empty' ? {} : {[labelNames.fillData]: 'pending'}),
    ...((await data.hasEntries(record)) ? {[labelNames.restoreEntries]: 'pending'} : {}),
  };
}

/** Ends what runs, with its reason in the run's record, and keeps the records beyond the container. */
async function endJobs(reason: string, step: Step, context: ApplyContext): Promise<void> {
  const {signal, observation} = step;
  const {record, container, runtime} = observation;
  // What is in the trash was asked when it came there.
  if (container === null || record.trashed_at !== null) return;
  const client = context.client(container);
  if (runtime !== null) await client.stopJobs({graceMs: context.stopGraceMs, reason}, {signal});
  else if (!(await wakeForRecords(container, step, context))) return;
  const {crontabs} = runtime ?? (await client.state({signal}));
  await context.archive.keep(record, client, Object.keys(crontabs), {signal});
}

/** Only a runtime reads its records, and this one is dead. A branch does not stay because that cannot be started. */
async function wakeForRecords({id}: Container, {observation, signal}: Step, {provider, log}: ApplyContext) {
  try {
    await provider.start(id, {signal, makeData: true, paused: true});
    return true;
  } catch (error) {
    if (signal.aborted) throw error;
    const {key, branch} = observation.record;
    log.warn('the records of its last runs go with a branch: its runtime cannot be started', {
      key,
      branch,
      error,
    });
    return false;
  }
}

async function syncWorkspace(
  action: Extract<Action, {kind: 'sync_workspace'}>,
  step: Step,
  context: ApplyContext,
): Promise<void> {
  const client = context.client(containerOf(step));
  const {fileChanges} = step;
  if (fileChanges?.to !== action.to)
    throw new Error(`the changes up to tree ${action.to} were not read before the plan was begun`);
  const send = (base: string | null, changes: readonly TreeChange[]) =>
    client.syncWorkspace(
      {base, target: action.to, changes: withContents(changes, step.signal, context)},
      {signal: step.signal},
    );
  try {
    await send(fileChanges.from, fileChanges.changes);
  } catch (error) {
    const startOver = error instanceof AppError && error.code === 'WORKSPACE_BASE_MISMATCH';
    if (!startOver || fileChanges.from === null) throw error;
    const changes = await context.source.diffTrees(null, action.to, {signal: step.signal});
    await context.source.prepareBlobs(blobsOf(changes), {signal: step.signal});
    await send(null, changes);
  }
}

async function* withContents(
  changes: readonly TreeChange[],
  signal: AbortSignal,
  {source, maxBlobBytes}: ApplyContext,
): AsyncIterable<WorkspaceChange> {
  for (const change of changes) {
    if (change.kind === 'delete') yield change;
    else {
      const bytes = await source.readBlob(change.blob, {maxBytes: maxBlobBytes, signal});
      yield {kind: change.mode, path: change.path, bytes};
    }
  }
}

/** First without contents: most deployments change few files. The runtime names what it lacks. */
async function deployScripts(digest: string, step: Step, context: ApplyContext): Promise<void> {
  const client = context.client(containerOf(step));
  const {scripts, mounts, revision} = served(step);
  const files = scripts.map(({path, sha256}) => ({path, sha256}));
  const deployment = {digest, commit: revision, files, mounts: [...mounts]};
  try {
    await client.deploy(deployment, {signal: step.signal});
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'BLOBS_MISSING')) throw error;
    const missing = missingHashes(error.details);
    const contents = Object.fromEntries(
      scripts
        .filter(({sha256}) => missing.has(sha256))
        .map(({sha256, bytes}) => [sha256, Buffer.from(bytes).toString('base64')]),
    );
    await client.deploy({...deployment, contents}, {signal: step.signal});
  }
}

function missingHashes(details: unknown): ReadonlySet<unknown> {
  const missing =
    typeof details === 'object' && details !== null && 'missing' in details ? details.missing : [];
  return new Set(Array.isArray(missing) ? missing : []);
}

function served(step: Step): Extract<Desired, {kind: 'served'}> {
  if (step.desired.kind === 'served') return step.desired;
  throw new Error(`a plan for ${step.desired.kind} files must not change content`);
}

function containerOf(step: Step): Container {
  if (step.observation.container !== null) return step.observation.container;
  throw new Error('a plan without a container must create one first');
}
