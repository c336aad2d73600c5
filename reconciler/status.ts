import type {Condition, Reconciliation} from '../schemas/branch.ts';
import type {Issue} from '../schemas/issue.ts';
import type {Action} from '../schemas/plan.ts';
import type {Suspension} from '../schemas/suspension.ts';
import type {RollbackRecord} from './branch-record.ts';
import type {Desired} from './desired.ts';
import type {Observation} from './observation.ts';
import {type Failure, sentence} from './outcome.ts';

/** How a reconciliation ended; `conditions` turns it into what people and machines read. */
export type Result =
  | {
      readonly kind: 'synced';
      readonly revision: string;
      readonly drift: boolean;
      readonly held: number;
      readonly rollback: RollbackRecord | null;
    }
  | {
      readonly kind: 'invalid';
      readonly revision: string;
      readonly issues: readonly Issue[];
      readonly serving: string | null;
    }
  | {
      readonly kind: 'missing';
      readonly state:
        | 'orphaned'
        | 'paused'
        | 'held'
        | 'trashed'
        | 'restored'
        | 'live_without_hoody'
        | 'unwatched'
        | 'merged'
        | 'merged_trashed'
        | 'closed'
        | 'closed_trashed'
        | 'idle_removed'
        | 'idle_trashed'
        | 'unchanged_trashed';
      readonly until: string | null;
    }
  /** In its repository, and yet no job of it runs. `until`: when its container goes. */
  | {
      readonly kind: 'paused';
      readonly reason: 'first_contact' | 'idle' | 'skipped';
      readonly until: string | null;
    }
  | {readonly kind: 'suspended'; readonly suspension: Suspension}
  /** Another controller has the repository, or it is not known whether this one has. */
  | {readonly kind: 'read_only'; readonly message: string; readonly plan: readonly Action[]}
  | {readonly kind: 'failed'; readonly failure: Failure; readonly serving: string | null};

/** What the absence of a branch means for its container once the plan is carried out. */
export function missingResult(
  {record, container}: Observation,
  desired: Extract<Desired, {kind: 'absent'}>,
  undoWindowMs: number,
): Result | null {
  if (container === null) {
    const state = leftStates[desired.reason] ?? null;
    return state === null ? null : {kind: 'missing', state, until: null};
  }
  if (record.live) {
    return {
      kind: 'missing',
      state: desired.reason === 'hoody_removed' ? 'live_without_hoody' : 'orphaned',
      until: null,
    };
  }
  if (record.restored) return {kind: 'missing', state: 'restored', until: null};
  if (record.trashed_at === null)
    return {kind: 'missing', state: record.missing?.held === true ? 'held' : 'paused', until: null};
  const until = new Date(Date.parse(record.trashed_at) + undoWindowMs).toISOString();
  return {kind: 'missing', state: trashStates[desired.reason] ?? 'trashed', until};
}

type AbsentReason = Extract<Desired, {kind: 'absent'}>['reason'];
type MissingState = Extract<Result, {kind: 'missing'}>['state'];

/** What is said of a branch that git still lists, without its container and with that in the trash. */
const leftStates: Partial<Record<AbsentReason, MissingState>> = {
  branch_merged: 'merged',
  pull_request_closed: 'closed',
  branch_idle: 'idle_removed',
};
const trashStates: Partial<Record<AbsentReason, MissingState>> = {
  branch_merged: 'merged_trashed',
  pull_request_closed: 'closed_trashed',
  branch_idle: 'idle_trashed',
  path_unchanged: 'unchanged_trashed',
};

/** All three conditions, always; a transition time moves only when the status does. */
export function conditions(result: Result, before: readonly Condition[], nowMs: number): Condition[] {
  return conditionValues(result).map((condition) => {
    const former = before.find((other) => other.type === condition.type);
    const kept = former?.status === condition.status;
    return {
      ...condition,
      last_transition_time: kept ? former.last_transition_time : new Date(nowMs).toISOString(),
    };
  });
}

type ConditionValue = Omit<Condition, 'last_transition_time'>;

function conditionValues(result: Result): ConditionValue[] {
  const ready = (status: Condition['status'], reason: string, message: string): ConditionValue => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  const idle: ConditionValue = {
    type: 'Reconciling',
    status: 'False',
    reason: 'idle',
    message: 'Nothing to do.',
  };
  const healthy: ConditionValue = {
    type: 'Stalled',
    status: 'False',
    reason: 'none',
    message: 'Nothing is in the way.',
  };
  switch (result.kind) {
    case 'synced': {
      const short = result.revision.slice(0, 8);
      return result.drift
        ? [
            ready(
              'True',
              'drifted',
              `Commit ${short} is applied; the container was changed by hand and is left so by policy.`,
            ),
            idle,
            healthy,
          ]
        : [
            ready(
              'True',
              result.rollback === null ? 'applied' : 'rolled_back',
              `Commit ${short} is active${rollbackWords(result.rollback)}.${heldWords(result.held)}`,
            ),
            idle,
            healthy,
          ];
    }
    case 'invalid': {
      const [first] = result.issues;
      const where = first === undefined ? '' : `${first.file}:${first.line}:${first.column} ${first.message}`;
      const more = result.issues.length > 1 ? ` (and ${result.issues.length - 1} more)` : '';
      const message = `${sentence(`${where}${more}`)} ${serving(result.serving)}`;
      return [
        ready('False', 'files_invalid', message),
        idle,
        {type: 'Stalled', status: 'True', reason: 'files_invalid', message, issues: [...result.issues]},
      ];
    }
    case 'missing': {
      const {reason, message} = missingWords[result.state](result.until);
      return [ready('False', reason, message), idle, healthy];
    }
    case 'paused': {
      const {reason, message} = pausedWords[result.reason](result.until);
      return [ready('False', reason, message), idle, healthy];
    }
    case 'suspended':
      return [ready('False', 'suspended', suspensionWords(result.suspension)), idle, healthy];
    case 'read_only':
      return [ready('False', 'read_only', result.message), idle, healthy];
    case 'failed': {
      const {failure} = result;
      const message = `${failure.message} ${serving(result.serving)}`;
      if (failure.kind === 'stalled') {
        return [
          ready('False', failure.reason, message),
          idle,
          {type: 'Stalled', status: 'True', reason: failure.reason, message},
        ];
      }
      const retry: ConditionValue = {
        type: 'Reconciling',
        status: 'True',
        reason: 'retrying',
        message: 'The whole is tried again with growing pauses.',
      };
      return [ready('False', failure.reason, message), retry, healthy];
    }
    default:
      return result satisfies never;
  }
}

function suspensionWords({until, owner, reason, place}: Suspension): string {
  const end = place === null ? ', or branchtab resume' : `, by ${place} of the configuration`;
  return `No job runs until ${until}${end}: suspended by ${owner} (${reason}).`;
}

function rollbackWords(rollback: RollbackRecord | null): string {
  if (rollback === null) return '';
  const {bad, since, reason} = rollback;
  const why = reason === null ? '' : ` (${reason})`;
  return ` in place of ${bad.slice(0, 8)}, rolled back at ${since}${why}. A newer commit or branchtab rollback --undo ends that`;
}

function heldWords(held: number): string {
  if (held === 0) return '';
  const jobs = held === 1 ? '1 job is' : `${held} jobs are`;
  return ` ${jobs} held, as the preview policy says; branchtab release lets them run.`;
}

function serving(revision: string | null): string {
  return revision === null ? 'Nothing is active yet.' : `Commit ${revision.slice(0, 8)} stays active.`;
}

const missingWords: Record<
  Extract<Result, {kind: 'missing'}>['state'],
  (until: string | null) => {reason: string; message: string}
> = {
  orphaned: () => ({
    reason: 'orphaned',
    message: 'The live branch is gone from the repository. Its container is kept and its schedule goes on.',
  }),
  live_without_hoody: () => ({
    reason: 'hoody_removed',
    message:
      'The live branch has no .hoody directory any more. Its container is kept and its schedule goes on.',
  }),
  unwatched: () => ({
    reason: 'repository_not_watched',
    message:
      'The repository is not watched any more. Its container is left as it is; watch the repository again, or remove everything with: branchtab down --purge.',
  }),
  paused: () => ({
    reason: 'branch_missing',
    message: 'The branch is not in the newest listing. Its schedule is paused until that is certain.',
  }),
  held: () => ({
    reason: 'branch_missing',
    message:
      'The branch is gone together with most others. Its schedule is paused, and it is kept until: branchtab reconcile --confirm-deletions',
  }),
  trashed: (until) => ({
    reason: 'trashed',
    message: `The branch is gone. Its container is in the trash until ${until}; push the branch again or run: branchtab restore.`,
  }),
  merged: () => ({
    reason: 'merged',
    message: 'The branch is merged and has no container any more. A new commit on it makes one.',
  }),
  closed: () => ({
    reason: 'pull_request_closed',
    message:
      'Its pull request is closed, and it has no container any more. A new commit, or opening it again, makes one.',
  }),
  closed_trashed: (until) => ({
    reason: 'pull_request_closed',
    message: `Its pull request is closed. Its container is in the trash until ${until}; push a new commit, or open the pull request again.`,
  }),
  idle_removed: () => ({
    reason: 'idle_removed',
    message:
      'Nobody has pushed it for long, so it has no container any more. A new commit or branchtab release makes one.',
  }),
  idle_trashed: (until) => ({
    reason: 'idle_removed',
    message: `Nobody has pushed it for long. Its container is in the trash until ${until}; push a new commit to the branch or run: branchtab restore.`,
  }),
  merged_trashed: (until) => ({
    reason: 'merged',
    message: `The branch is merged. Its container is in the trash until ${until}; push a new commit to the branch or run: branchtab restore.`,
  }),
  unchanged_trashed: (until) => ({
    reason: 'trashed',
    message: `The branch changes nothing of its directory any more. Its container is in the trash until ${until}; push a change of the directory or run: branchtab restore.`,
  }),
  restored: () => ({
    reason: 'restored_without_branch',
    message:
      'The container was restored, but its branch is gone or merged: the schedule stays paused until the branch is pushed again.',
  }),
};

const pausedWords: Record<
  Extract<Result, {kind: 'paused'}>['reason'],
  (until: string | null) => {reason: string; message: string}
> = {
  first_contact: () => ({
    reason: 'first_contact',
    message:
      'It was there before Branchtab came and waits: a new commit or branchtab release gives it a container.',
  }),
  skipped: () => ({
    reason: 'skipped',
    message: 'It was pushed to be skipped and waits: a new commit or branchtab release lets it run.',
  }),
  idle: (until) => ({
    reason: 'idle',
    message: `Nobody has pushed it for long: its schedule is paused${until === null ? '' : `, and its container goes at ${until}`}. A new commit or branchtab release lets it run.`,
  }),
};

/** Conditions while work is in hand: only Reconciling changes. */
export function reconcilingConditions(
  before: readonly Condition[],
  revision: string,
  nowMs: number,
): Condition[] {
  const nowText = new Date(nowMs).toISOString();
  const former = before.find((condition) => condition.type === 'Reconciling');
  const reconciling: Condition = {
    type: 'Reconciling',
    status: 'True',
    reason: 'progressing',
    message: `Applying commit ${revision.slice(0, 8)}.`,
    last_transition_time: former?.status === 'True' ? former.last_transition_time : nowText,
  };
  const ready = before.find((condition) => condition.type === 'Ready') ?? {
    type: 'Ready' as const,
    status: 'Unknown' as const,
    reason: 'progressing',
    message: 'Not applied yet.',
    last_transition_time: nowText,
  };
  const stalled = before.find((condition) => condition.type === 'Stalled');
  return [ready, reconciling, ...(stalled === undefined ? [] : [stalled])];
}

const historyLength = 10;

/** Newest first, ten at most. */
export function withHistory(history: readonly Reconciliation[], entry: Reconciliation): Reconciliation[] {
  return [entry, ...history].slice(0, historyLength);
}
