import type {Log} from '../runtime/platform/log.ts';
import {inDirectory} from '../schemas/branch-name.ts';
import {parseCrontab} from '../schemas/crontab.ts';
import {AppError} from '../schemas/errors.ts';
import type {Action} from '../schemas/plan.ts';
import type {Suspension} from '../schemas/suspension.ts';
import {type ApplyContext, applyAction, readFileChanges} from './apply.ts';
import {readBranchFiles, type ScriptCheck, type ScriptImports} from './branch-files.ts';
import type {BranchRecord} from './branch-record.ts';
import type {TightenedPolicy} from './branch-settings.ts';
import {type Container, labelNames} from './containers/provider.ts';
import {type Desired, desiredState, type GivenEnvironment, noEnvironment} from './desired.ts';
import {desiredDigests} from './digests.ts';
import type {BranchFiles, Observation, ObservedRef} from './observation.ts';
import {type DesiredDigests, hasDrifted, type PlanPolicy, planBranch} from './plan.ts';
import {missingResult, type Result} from './status.ts';

export interface ReconcileContext extends ApplyContext {
  readonly checkScript: ScriptCheck;
  readonly scriptImports: ScriptImports;
  readonly policy: PlanPolicy;
  /** Of this branch, now; null where its jobs may run. */
  readonly suspension: Suspension | null;
  /** What the operator allows, as far as the branch's files do not tighten it. */
  readonly policyOf: (record: BranchRecord, files: BranchFiles) => TightenedPolicy;
  /** Read anew each time. Throws SECRET_UNAVAILABLE. */
  readonly environmentOf: (
    record: BranchRecord,
    files: BranchFiles,
    signal: AbortSignal,
  ) => Promise<GivenEnvironment>;
  readonly log: Log;
  /** When the container of a preview that is paused as idle goes; null where it stays. */
  readonly removalMs: (record: BranchRecord) => number | null;
  /** Why nothing may be changed now, in a sentence for people; null where it may. Asked before every step. */
  readonly obstacle: () => Promise<string | null>;
  /** The branch's container as the provider knows it now. */
  readonly findContainer: (record: BranchRecord) => Promise<Container | null>;
  /** Told of every plan before its first step is taken. */
  readonly onPlan: (plan: readonly Action[], desired: Desired) => void;
  readonly onObserved: (observation: Observation) => void;
  /** Told what the commit holds, before anything is asked of the container. */
  readonly onRead: (ref: ObservedRef) => void;
  /** Told of every step that was taken. */
  readonly onTaken: (action: Action, tookMs: number) => void;
}

/** Rounds of observe, plan, apply before a branch that does not settle counts as failed. */
const mostRounds = 5;

/** What came of a reconciliation. `result` is null where the branch is forgotten: nothing is left to report on. */
export interface Reconciled {
  readonly result: Result | null;
  readonly taken: readonly Action[];
}

/**
 * Brings one branch from what is to what should be:
 *
 *     observe → desired → plan → apply → (again, until the plan is empty)
 *
 * Everything is read anew; the caller passes no more than the record. `desired` and `plan` are pure. Throws
 * what a step threw: the caller turns it into conditions and a retry. Taking the same steps twice is harmless.
 */
export async function reconcileBranch(
  record: BranchRecord,
  context: ReconcileContext,
  signal: AbortSignal,
): Promise<Reconciled> {
  const taken: Action[] = [];
  // Nothing is read, and no secret asked for, on behalf of a branch that waits to be asked for.
  const waiting = waitsForRelease(record);
  if (waiting !== null) return {result: {kind: 'paused', reason: waiting, until: null}, taken};
  const ref = await observeRef(record, context, signal);
  context.onRead(ref);
  const newest = await aimAt(ref, record, context, signal);
  const aim =
    newest.desired.kind === 'invalid' ? ((await formerAim(record, context, signal)) ?? newest) : newest;
  const {desired} = aim;
  const digests = desiredDigests(desired);
  for (let round = 1; round <= mostRounds; round += 1) {
    const observation = await observe(record, aim.ref, context, signal);
    context.onObserved(observation);
    const plan = planBranch(observation, desired, digests, context.policy, context.clock.now());
    const readOnly = async (): Promise<Reconciled | null> => {
      const message = await context.obstacle();
      return message === null ? null : {result: {kind: 'read_only', message, plan}, taken};
    };
    const refused = await readOnly();
    if (refused !== null) return refused;
    context.onPlan(plan, desired);
    if (plan.length === 0) {
      const result = settle(observation, desired, digests, context);
      return {
        result: newest.desired.kind === 'invalid' ? invalidResult(newest.desired, record) : result,
        taken,
      };
    }
    const steps = nextSteps(plan);
    const fileChanges = await readFileChanges(steps, context, signal);
    for (const action of steps) {
      signal.throwIfAborted();
      const lost = await readOnly();
      if (lost !== null) return lost;
      const startedMs = context.clock.now();
      await applyAction(action, {observation, desired, fileChanges, signal}, context);
      context.onTaken(action, context.clock.now() - startedMs);
      context.log.info('applied', {
        branch: record.branch,
        key: record.key,
        action: action.kind,
        reason: action.reason,
      });
      taken.push(action);
      if (action.kind === 'forget_branch') return {result: null, taken};
    }
  }
  throw new AppError(
    'BACKEND_ERROR',
    `The container of ${record.branch} does not stay as it is set; something changes it at the same time`,
  );
}

/** Why a branch has no container before somebody asks for one; null where it is to have one. */
function waitsForRelease({
  pause,
  container_id,
  missing,
}: BranchRecord): Exclude<NonNullable<BranchRecord['pause']>['reason'], 'idle'> | null {
  if (pause === null || pause.reason === 'idle' || container_id !== null || missing !== null) return null;
  return pause.reason;
}

/** A commit, and what the container should be by its files. */
interface Aim {
  readonly ref: ObservedRef;
  readonly desired: Desired;
}

async function aimAt(
  ref: ObservedRef,
  record: BranchRecord,
  context: ReconcileContext,
  signal: AbortSignal,
): Promise<Aim> {
  // What is to go must not wait for a secret.
  const given =
    ref.kind === 'present' ? await context.environmentOf(record, ref.files, signal) : noEnvironment;
  return {ref, desired: desiredState(ref, record, given)};
}

/** What a branch of which the newest commit is invalid goes on with; null where there is nothing, or it is gone from git. */
async function formerAim(
  record: BranchRecord,
  context: ReconcileContext,
  signal: AbortSignal,
): Promise<Aim | null> {
  if (record.applied === null) return null;
  try {
    const ref = await readRef(record.applied.revision, record, context, signal);
    const aim = await aimAt(ref, record, context, signal);
    return aim.desired.kind === 'served' ? aim : null;
  } catch (error) {
    // Of a rewritten history it may have been collected.
    if (error instanceof AppError && error.code === 'REPOSITORY_UNREADABLE') return null;
    throw error;
  }
}

async function observeRef(
  record: BranchRecord,
  context: ReconcileContext,
  signal: AbortSignal,
): Promise<ObservedRef> {
  if (record.missing !== null)
    return {kind: 'missing', proven: record.missing.proven, cause: record.missing.cause};
  const removalMs = context.removalMs(record);
  if (removalMs !== null && context.clock.now() >= removalMs)
    return {kind: 'missing', proven: true, cause: 'branch_idle'};
  if (record.revision === null)
    throw new Error(`the record of ${record.key} has neither a revision nor a reason to be missing`);
  return readRef(record.rollback?.to ?? record.revision, record, context, signal);
}

async function readRef(
  revision: string,
  record: BranchRecord,
  context: ReconcileContext,
  signal: AbortSignal,
): Promise<ObservedRef> {
  const {path} = record;
  const tree = await context.source.readHoody(revision, {path, signal});
  if (tree === null) return {kind: 'without_hoody', commit: revision};
  const readFile = (file: string) => context.source.readFile(revision, inDirectory(path, file), {signal});
  const {checkScript, scriptImports, timeZone} = context;
  const files = await readBranchFiles(tree, {checkScript, scriptImports, readFile, timeZone});
  const issues = [...files.issues, ...context.policyOf(record, files).issues];
  return {kind: 'present', files: {...files, issues}};
}

async function observe(
  record: BranchRecord,
  ref: ObservedRef,
  context: ReconcileContext,
  signal: AbortSignal,
): Promise<Observation> {
  const container = await context.findContainer(record);
  record.container_id = container?.id ?? null;
  const runtime = container?.state === 'running' ? await context.client(container).state({signal}) : null;
  const pending = {
    data: container?.labels[labelNames.fillData] !== undefined,
    entries: container?.labels[labelNames.restoreEntries] !== undefined,
  };
  return {record, ref, container, pending, runtime};
}

/** Steps up to the next look at the world: a container that was just started must be observed before it is filled. */
function nextSteps(plan: readonly Action[]): readonly Action[] {
  const lifecycle = plan.filter(({kind}) =>
    ['create_container', 'restore_container', 'limit_container', 'start_container', 'restore_data'].includes(
      kind,
    ),
  );
  return lifecycle.length > 0 ? lifecycle : plan;
}

function heldJobs({settings, crontabs}: Extract<Desired, {kind: 'served'}>): number {
  const {held_lines} = settings;
  if (held_lines !== 'all') return held_lines.length;
  return crontabs.reduce(
    (sum, {file, text}) => sum + parseCrontab(text, {file, managedAllowed: false}).jobs.length,
    0,
  );
}

function invalidResult(
  {revision, issues}: Extract<Desired, {kind: 'invalid'}>,
  {applied}: BranchRecord,
): Result {
  return {kind: 'invalid', revision, issues, serving: applied?.revision ?? null};
}

function recorded({policy: {run, idle}, effects}: TightenedPolicy): BranchRecord['tightened'] {
  return effects.length === 0 ? null : {run, idle, effects: [...effects]};
}

/** With nothing left to do, what is true now; a served commit becomes the applied one. */
function settle(
  observation: Observation,
  desired: Desired,
  digests: DesiredDigests | null,
  {policy, policyOf, suspension, removalMs}: ReconcileContext,
): Result | null {
  const {record, ref, runtime} = observation;
  switch (desired.kind) {
    case 'absent':
      return missingResult(observation, desired, policy.undoWindowMs);
    case 'invalid':
      return invalidResult(desired, record);
    case 'served': {
      const crontabs = record.applied?.crontabs ?? {};
      record.applied = {
        revision: desired.revision,
        root_tree: desired.rootTree,
        environment: digests?.environment ?? null,
        deployment: digests?.deployment ?? null,
        crontabs,
      };
      record.tightened = ref.kind === 'present' ? recorded(policyOf(record, ref.files)) : null;
      if (suspension !== null) return {kind: 'suspended', suspension};
      if (record.pause !== null) {
        const untilMs = removalMs(record);
        const until = untilMs === null ? null : new Date(untilMs).toISOString();
        return {kind: 'paused', reason: record.pause.reason, until};
      }
      // Only possible with `drift: report`; otherwise the plan would have named it.
      return {
        kind: 'synced',
        revision: desired.revision,
        rollback: record.rollback,
        drift: runtime !== null && hasDrifted(record, runtime),
        held: heldJobs(desired),
      };
    }
    default:
      return desired satisfies never;
  }
}
