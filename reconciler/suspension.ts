import type {Branch} from '../schemas/branch.ts';
import {AppError} from '../schemas/errors.ts';
import type {SuspendRequest, Suspension} from '../schemas/suspension.ts';
import type {BranchRecord} from './branch-record.ts';
import {labelNames} from './containers/provider.ts';
import type {ControllerContext} from './controller-context.ts';
import {suspensionOf} from './environments.ts';

/** Branches of which no job runs for a while. Errors are AppErrors. */
export interface Suspensions {
  /** A suspension that it has is replaced. */
  suspend(keyOrName: string, request: SuspendRequest): Promise<Branch>;
  /** Throws NOT_SUSPENDED, SUSPENDED_BY_POLICY. */
  resume(keyOrName: string): Promise<Branch>;
}

export function createSuspensions({
  options,
  table,
  queue,
  guard,
  rulesOf,
  view,
}: ControllerContext): Suspensions {
  const {provider, records, clock} = options;

  const set = async (record: BranchRecord, suspension: Suspension | null): Promise<Branch> => {
    record.suspension = suspension;
    const label = {[labelNames.suspension]: suspension === null ? null : JSON.stringify(suspension)};
    if (record.container_id !== null) await provider?.label(record.container_id, label);
    await records.save(record);
    queue.add(record.key, {first: true});
    await queue.settled([record.key]);
    return view(record);
  };

  return {
    async suspend(keyOrName, {duration_ms, owner, reason}) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      const nowMs = clock.now();
      const [since, until] = [nowMs, nowMs + duration_ms].map((ms) => new Date(ms).toISOString());
      return set(record, {since: since ?? null, until: until ?? '', owner, reason, place: null});
    },
    async resume(keyOrName) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      const suspension = presentSuspension(record, {rules: rulesOf(record), nowMs: clock.now()});
      if (suspension === null) throw new AppError('NOT_SUSPENDED', `${record.branch} is not suspended`);
      const resumed = await set(record, null);
      const left = presentSuspension(record, {rules: rulesOf(record), nowMs: clock.now()});
      if (left === null) return resumed;
      throw new AppError(
        'SUSPENDED_BY_POLICY',
        `${record.branch} is suspended by ${left.place} of the configuration until ${left.until}; change it there`,
      );
    },
  };
}

/** A person's word, else that of the configuration; null where neither suspends the branch now. */
export function presentSuspension(
  record: BranchRecord,
  {rules, nowMs}: {rules: Parameters<typeof suspensionOf>[0]; nowMs: number},
): Suspension | null {
  const candidates = [record.suspension, suspensionOf(rules, record)];
  return candidates.find((each) => each !== null && Date.parse(each.until) > nowMs) ?? null;
}
