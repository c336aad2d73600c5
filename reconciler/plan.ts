import {branchMissing} from '../schemas/control.ts';
import type {ControlState} from '../schemas/control-state.ts';
import type {Action} from '../schemas/plan.ts';
import type {BranchRecord} from './branch-record.ts';
import type {Container, ResourceLimits} from './containers/provider.ts';
import type {Desired} from './desired.ts';
import type {Observation} from './observation.ts';

export interface PlanPolicy {
  readonly undoWindowMs: number;
  readonly drift: 'revert' | 'report';
  /** No job of this branch runs now. */
  readonly suspended: boolean;
  /** Of this branch; null where its container needs none. */
  readonly leaseMs: number | null;
}

/** Digests that only the applying side can compute, handed in so that this file stays pure. */
export interface DesiredDigests {
  readonly environment: string;
  readonly deployment: string;
}

/** Why a controller paused a schedule; it releases only what such a one paused. */
export const pauseReasons = {
  branchMissing,
  restored: 'restored_without_branch',
  restoring: 'restoring_data',
  idle: 'idle',
  suspended: 'suspended',
  takenOver: 'taken_over',
} as const;

/**
 * The steps from what is to what should be, in the order in which they must be taken: environment,
 * workspace, scripts, crontab. Empty when in sync. Actions on a container that is not running yet assume an
 * empty one; after `start_container` the caller observes and plans again.
 */
export function planBranch(
  observation: Observation,
  desired: Desired,
  digests: DesiredDigests | null,
  policy: PlanPolicy,
  nowMs: number,
): Action[] {
  if (desired.kind === 'absent') return planAbsent(observation, desired, policy, nowMs);
  const lifecycle = planLifecycle(observation, desired);
  if (desired.kind === 'invalid') {
    // The old schedule goes on; a container that never had a good commit stays held, and one that is gone needs one.
    return observation.record.applied === null || observation.container === null
      ? []
      : [...lifecycle, ...planLease(observation, policy), ...planSchedule(observation, policy)];
  }
  return [
    ...lifecycle,
    ...planContent(observation, desired, digests, policy),
    ...planEntries(observation),
    ...planLease(observation, policy),
    ...planSchedule(observation, policy),
  ];
}

/** True where a container that was in sync is so no longer: the plan must be made anew. */
export function hasDrifted({applied}: BranchRecord, runtime: ControlState): boolean {
  if (applied === null) return true;
  return (
    runtime.environment.digest !== applied.environment ||
    runtime.workspace.tree !== applied.root_tree ||
    runtime.deployment.digest !== applied.deployment ||
    Object.entries(applied.crontabs).some(
      ([user, {raw_etag}]) => runtime.crontabs[user]?.raw_etag !== raw_etag,
    )
  );
}

function planAbsent(
  {record, container, runtime}: Observation,
  desired: Extract<Desired, {kind: 'absent'}>,
  policy: PlanPolicy,
  nowMs: number,
): Action[] {
  const {reason} = desired;
  const why = absentWords[reason];
  const remove = (because: string, how: string): Action => ({
    kind: 'remove_container',
    reason: because,
    summary: `Remove the container of ${record.branch}${how}`,
  });
  const forget = (because: string, how = ''): Action => ({
    kind: 'forget_branch',
    reason: because,
    summary: `Forget ${record.branch}${how}`,
  });
  const isForgotten = !isListed(reason);
  if (record.forget_requested) {
    const gone = forget('forget_requested');
    return container === null ? [gone] : [remove(reason, `: asked for, and ${why}`), gone];
  }
  if (container === null) {
    return desired.proven && isForgotten ? [forget(reason, `: ${why}`)] : [];
  }
  // What it ran goes on, also after a crash.
  if (record.live) return record.restore === null ? startStopped(record, container) : [restoreData(record)];
  if (record.restored) {
    return runtime?.schedule.state === 'running'
      ? [{kind: 'pause_schedule', reason: pauseReasons.restored, summary: `Pause ${record.branch}: ${why}`}]
      : [];
  }
  if (record.trashed_at !== null) {
    if (nowMs < Date.parse(record.trashed_at) + policy.undoWindowMs) return [];
    const because = 'undo_window_over';
    return [remove(because, ' for good'), ...(isForgotten ? [forget(because)] : [])];
  }
  if (!desired.proven) {
    return runtime?.schedule.state === 'running'
      ? [
          {
            kind: 'pause_schedule',
            reason: pauseReasons.branchMissing,
            summary: `Pause ${record.branch}: not in the newest listing`,
          },
        ]
      : [];
  }
  if (policy.undoWindowMs === 0) {
    return [remove(reason, `: ${why}`), ...(isForgotten ? [forget(reason)] : [])];
  }
  return [
    {kind: 'trash_container', reason, summary: `Move the container of ${record.branch} to the trash: ${why}`},
  ];
}

/** A branch that git still lists is remembered, or it would come back as a new one. */
function isListed(reason: Extract<Desired, {kind: 'absent'}>['reason']): boolean {
  return reason === 'branch_merged' || reason === 'branch_idle' || reason === 'pull_request_closed';
}

const absentWords = {
  branch_deleted: 'the branch is gone',
  branch_idle: 'nobody has pushed it for long',
  branch_excluded: 'the branch is not among the branches to serve',
  branch_merged: 'the branch is merged',
  pull_request_closed: 'its pull request is closed',
  path_unchanged: 'the branch changes nothing of its directory any more',
  hoody_removed: 'the branch has no .hoody directory any more',
} as const;

function planLifecycle(
  {record, container}: Observation,
  desired: Exclude<Desired, {kind: 'absent'}>,
): Action[] {
  if (container === null) {
    if (desired.kind === 'invalid') return [];
    const reason = record.applied === null ? 'branch_new' : 'container_gone';
    return [
      {kind: 'create_container', reason, summary: `Create a container for ${record.branch}`},
      {kind: 'start_container', reason, summary: 'Start it, held'},
    ];
  }
  const actions: Action[] = [];
  if (record.trashed_at !== null) {
    actions.push({
      kind: 'restore_container',
      reason: 'branch_back',
      summary: `Take the container of ${record.branch} out of the trash`,
    });
  }
  if (desired.kind === 'served' && hasOtherLimits(container.limits, desired.resources)) {
    const summary = `Bound what ${record.branch} uses`;
    actions.push({kind: 'limit_container', reason: 'limits_differ', summary});
  }
  if (record.restore !== null) return [...actions, restoreData(record)];
  return [...actions, ...startStopped(record, container)];
}

function startStopped({branch}: BranchRecord, {state}: Container): Action[] {
  if (state === 'running') return [];
  const reason = state === 'failed' ? 'runtime_died' : 'not_running';
  return [{kind: 'start_container', reason, summary: `Start the container of ${branch}`}];
}

function hasOtherLimits(now: ResourceLimits, wanted: ResourceLimits): boolean {
  return now.cpus !== wanted.cpus || now.memoryBytes !== wanted.memoryBytes;
}

function restoreData({branch, restore}: BranchRecord): Action {
  const from =
    restore?.backup == null ? 'Go on without a backup of' : `Put back the data of ${restore.backup} to`;
  return {kind: 'restore_data', reason: 'asked_for', summary: `${from} ${branch}`};
}

function planContent(
  {record, runtime, pending}: Observation,
  desired: Extract<Desired, {kind: 'served'}>,
  digests: DesiredDigests | null,
  policy: PlanPolicy,
): Action[] {
  const actions: Action[] = [];
  const revision = desired.revision.slice(0, 8);
  if (runtime === null || runtime.environment.digest !== digests?.environment) {
    actions.push({
      kind: 'put_environment',
      reason: 'environment_differs',
      summary: `Set the environment of ${revision}`,
    });
  }
  if (runtime?.workspace.tree !== desired.rootTree) {
    const from = runtime?.workspace.tree ?? null;
    actions.push({
      kind: 'sync_workspace',
      from,
      to: desired.rootTree,
      reason: 'tree_differs',
      summary: `Bring the files to ${revision}`,
    });
  }
  return [
    ...actions,
    ...planScripts({record, runtime}, desired, digests, policy),
    ...(pending.data
      ? [
          {
            kind: 'fill_data' as const,
            reason: 'data_policy',
            summary: `Fill the data directory of ${record.branch}`,
          },
        ]
      : []),
    ...planCrontabs({record, runtime}, desired, policy),
  ];
}

function planScripts(
  {record, runtime}: Pick<Observation, 'record' | 'runtime'>,
  desired: Extract<Desired, {kind: 'served'}>,
  digests: DesiredDigests | null,
  policy: PlanPolicy,
): Action[] {
  const {digest = null, commit} = runtime?.deployment ?? {};
  const sameCommit = record.applied?.revision === desired.revision;
  const step = (reason: string, summary: string): Action[] => [
    {kind: 'deploy_scripts', digest: digests?.deployment ?? '', reason, summary},
  ];
  if (digests !== null && digest === digests.deployment) {
    // The same scripts under a new commit: pinned URLs need its name. A runtime without versions tells none.
    return commit === undefined || commit === desired.revision
      ? []
      : step('commit_differs', `Name the scripts ${desired.revision.slice(0, 8)}`);
  }
  const sameScripts = sameCommit || record.applied?.deployment === digests?.deployment;
  const drifted = sameScripts && digest !== null;
  if (drifted && policy.drift === 'report') return [];
  return step(drifted ? 'drift' : 'scripts_differ', `Deploy ${desired.scripts.length} script(s)`);
}

function planCrontabs(
  {record, runtime}: Pick<Observation, 'record' | 'runtime'>,
  desired: Extract<Desired, {kind: 'served'}>,
  policy: PlanPolicy,
): Action[] {
  const wanted = new Map(desired.crontabs.map((crontab) => [crontab.user, crontab]));
  const applied = record.applied?.crontabs ?? {};
  const users = [...new Set([...wanted.keys(), ...Object.keys(applied)])].sort();
  return users.flatMap((user): Action[] => {
    const before = applied[user];
    const observedTag = runtime?.crontabs[user]?.raw_etag ?? null;
    const unchanged = before !== undefined && before.sha256 === wanted.get(user)?.sha256;
    if (unchanged && before.raw_etag === observedTag) return [];
    const drifted = unchanged && observedTag !== null;
    if (drifted && policy.drift === 'report') return [];
    const reason = drifted ? 'drift' : wanted.has(user) ? 'crontab_differs' : 'crontab_removed';
    const summary = drifted
      ? `Put back the crontab of ${user}: it was changed by hand`
      : `Put the crontab of ${user}`;
    return [{kind: 'put_crontab', user, if_match: observedTag ?? '', reason, summary}];
  });
}

function planEntries({record, pending}: Observation): Action[] {
  if (!pending.entries) return [];
  const summary = `Put back the entries that were made by hand in ${record.branch}`;
  return [{kind: 'restore_entries', reason: 'container_gone', summary}];
}

/** A lease before the schedule is released: nothing runs without it where it is needed. */
function planLease({record, runtime}: Observation, {leaseMs}: PlanPolicy): Action[] {
  const step = (reason: string, summary: string): Action[] => [
    {kind: 'set_lease', duration_ms: leaseMs, reason, summary},
  ];
  if (runtime === null) return leaseMs === null ? [] : step('lease_missing', `Give ${record.branch} a lease`);
  const {lease} = runtime;
  // An older runtime knows no leases.
  if (lease === undefined) return [];
  if (leaseMs === null)
    return lease === null ? [] : step('lease_not_needed', `Let ${record.branch} run without a lease`);
  if (lease === null) return step('lease_missing', `Give ${record.branch} a lease`);
  if (lease.expired) return step('lease_expired', `Renew the lease of ${record.branch}: it had run out`);
  return lease.duration_ms === leaseMs
    ? []
    : step('lease_differs', `Give ${record.branch} a lease of another length`);
}

function planSchedule({record, runtime}: Observation, {suspended}: PlanPolicy): Action[] {
  const ours: readonly (string | null)[] = Object.values(pauseReasons);
  if (suspended || record.pause !== null) {
    const wanted = suspended ? pauseReasons.suspended : pauseReasons.idle;
    const {state = 'held', reason = null} = runtime?.schedule ?? {};
    if (state === 'paused' && (reason === wanted || !ours.includes(reason))) return [];
    const unwanted =
      record.pause?.reason === 'skipped' ? 'it was pushed to be skipped' : absentWords.branch_idle;
    const summary = `Pause ${record.branch}: ${suspended ? 'it is suspended' : unwanted}`;
    return [{kind: 'pause_schedule', reason: wanted, summary}];
  }
  if (runtime === null || runtime.schedule.state === 'held') {
    return [{kind: 'release_schedule', reason: 'applied', summary: `Run the schedule of ${record.branch}`}];
  }
  if (runtime.schedule.state === 'paused' && ours.includes(runtime.schedule.reason)) {
    return [
      {kind: 'release_schedule', reason: 'branch_back', summary: `Resume the schedule of ${record.branch}`},
    ];
  }
  return [];
}
