import type {Branch, ContainerState, ContainerView} from '../schemas/branch.ts';
import type {ScheduleState} from '../schemas/control.ts';
import type {ControlState} from '../schemas/control-state.ts';
import type {Suspension} from '../schemas/suspension.ts';
import type {BranchRecord, RollbackRecord} from './branch-record.ts';
import type {Container, Reach} from './containers/provider.ts';

export interface ViewContext {
  readonly baseUrl: string;
  readonly provider: string;
  readonly level: string;
  readonly gaps: readonly Reach[];
}

/** A step of the container's life that is being taken right now and that the provider cannot show. */
export type Phase = 'creating' | 'stopping' | null;

/** The record as the API shows it. */
export function branchView(
  record: BranchRecord,
  {container, runtime, phase}: {container: Container | null; runtime: ControlState | null; phase: Phase},
  {
    notices,
    suspension,
    ...context
  }: ViewContext & {notices: readonly string[]; suspension: Suspension | null},
): Branch {
  const schedule = shownSchedule(runtime);
  const lease = leaseNotice(record, runtime);
  return {
    key: record.key,
    repository: record.repository,
    path: record.path,
    branch: record.branch,
    live: record.live,
    revision: record.revision,
    observed_revision: record.applied?.revision ?? null,
    conditions: record.conditions,
    notices: lease === null ? [...notices] : [...notices, lease],
    rollback: record.rollback === null ? null : rollbackView(record.rollback),
    keep: record.keep,
    suspension,
    container: container === null ? null : containerView({container, schedule, phase}, context),
    next_run: container?.state === 'running' && schedule === 'running' ? record.next_run : null,
    last_run: record.last_run,
    plan: record.plan,
    active_ms: record.active_ms,
    handled_request: record.handled_request,
    history: record.history,
  };
}

function rollbackView({to, bad, since, reason}: RollbackRecord): Branch['rollback'] {
  return {to, bad, since, reason};
}

/** Without its lease a schedule is as good as paused. */
function shownSchedule(runtime: ControlState | null): ScheduleState | null {
  if (runtime === null) return null;
  const {schedule, lease} = runtime;
  return schedule.state === 'running' && lease?.expired === true ? 'paused' : schedule.state;
}

function leaseNotice({branch}: BranchRecord, runtime: ControlState | null): string | null {
  return runtime?.lease?.expired === true
    ? `The lease of ${branch} ran out: no job of it starts until the controller that has the repository renews it.`
    : null;
}

/** Under `baseUrl`, where a kit of a container answers; the id in it is the capability. */
function kitUrl(baseUrl: string, containerId: string, kit: string): string {
  return `${baseUrl}/c/${containerId}/${kit}`;
}

/** What is known of a container beside what its provider shows; `schedule` is null until its runtime has said. */
export interface ContainerFacts {
  readonly container: Container;
  readonly schedule: ScheduleState | null;
  readonly phase: Phase;
}

/** A container as the API shows it, of a branch or not. */
export function containerView(
  {container, schedule, phase}: ContainerFacts,
  {baseUrl, provider, level, gaps}: ViewContext,
): ContainerView {
  const url = (kit: string) => kitUrl(baseUrl, container.id, kit);
  return {
    id: `ctr_${container.id}`,
    name: container.name,
    provider,
    level: container.startedAt?.level ?? level,
    state: containerState(container, schedule, phase),
    gaps: [...(container.startedAt?.gaps ?? gaps)],
    unenforced: [...container.unenforced],
    urls: {cron: url('cron'), exec: url('exec'), pipe: url('pipe'), notifications: url('notifications')},
  };
}

function containerState(container: Container, schedule: ScheduleState | null, phase: Phase): ContainerState {
  if (phase !== null) return phase;
  if (container.state !== 'running') return container.state;
  return schedule ?? 'held';
}
