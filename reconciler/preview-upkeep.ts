import type {Clock} from '../runtime/platform/clock.ts';
import type {ControlState} from '../schemas/control-state.ts';
import type {BranchRecord} from './branch-record.ts';
import {shorterIdle} from './branch-settings.ts';
import type {Container} from './containers/provider.ts';
import {type EnvironmentRule, idleLimitsOf, isKept} from './environments.ts';
import {idleNotice, idleRemovalMs, pauseAt} from './idle.ts';
import type {RequestOptions, RuntimeClient} from './runtime-client.ts';

/** Sees to it that previews end by themselves, and that those that are watched over go on. Live and kept branches are left alone. */
export interface PreviewUpkeep {
  /** What the branch's container holds; null where it needs no lease. */
  leaseMsOf(record: BranchRecord): number | null;
  /** Brings the record's pause to what the idle limits want now. */
  pause(record: BranchRecord): void;
  /** When the paused container goes; null where it stays. */
  removalMs(record: BranchRecord): number | null;
  notice(record: BranchRecord): string | null;
  /** Renews the lease of a running container where that is due. True where its branch must be looked at. */
  tend(
    record: BranchRecord,
    running: {container: Container; runtime: ControlState},
    options: RequestOptions,
  ): Promise<boolean>;
}

/** A lease is renewed after a third of its time, and at least so often. */
const longestRenewalMs = 3_600_000;

export function createPreviewUpkeep({
  leaseMs,
  rulesOf,
  isBlind,
  client,
  clock,
}: {
  /** Of previews that need one; null for none. */
  leaseMs: number | null;
  rulesOf: (record: BranchRecord) => readonly EnvironmentRule[];
  /** True while nobody can tell whether the branch was pushed: that it was not is no news then. */
  isBlind: (record: BranchRecord) => boolean;
  client: (container: Container) => RuntimeClient;
  clock: Clock;
}): PreviewUpkeep {
  /** By branch, epoch ms of the last renewal that we made. */
  const renewedMs = new Map<string, number>();

  const leaseMsOf = (record: BranchRecord) => (isKept(rulesOf(record), record) ? null : leaseMs);
  const limitsOf = (record: BranchRecord) => {
    const limits = idleLimitsOf(rulesOf(record), record);
    const own = record.tightened?.idle;
    return own === undefined || isKept(rulesOf(record), record) ? limits : shorterIdle(limits, own);
  };
  const pauseOf = (record: BranchRecord) => {
    if (record.pause?.reason === 'skipped') return record.pause;
    if (record.live) return null;
    return isBlind(record) ? record.pause : pauseAt(record, limitsOf(record), clock.now());
  };
  const removalMs = (record: BranchRecord) => {
    const stays = record.container_id !== null && record.trashed_at === null;
    return stays && isBlind(record) ? null : idleRemovalMs(record, limitsOf(record));
  };

  const isRenewalDue = ({key}: BranchRecord, durationMs: number) => {
    const sinceMs = clock.now() - (renewedMs.get(key) ?? -Infinity);
    // A clock that was set back tells nothing.
    return sinceMs < 0 || sinceMs >= Math.min(durationMs / 3, longestRenewalMs);
  };

  const isIdleDue = (record: BranchRecord) => {
    if (pauseOf(record)?.reason !== record.pause?.reason) return true;
    return record.trashed_at === null && clock.now() >= (removalMs(record) ?? Infinity);
  };

  return {
    leaseMsOf,
    pause(record) {
      record.pause = pauseOf(record);
    },
    removalMs,
    notice: (record) => idleNotice(record, limitsOf(record), clock.now()),
    async tend(record, {container, runtime: {lease}}, options) {
      const wanted = leaseMsOf(record);
      if (lease !== undefined && (lease?.duration_ms ?? null) !== wanted) return true;
      if (lease?.expired === true) return true;
      if (lease != null && isRenewalDue(record, lease.duration_ms)) {
        await client(container).setLease({duration_ms: lease.duration_ms}, options);
        renewedMs.set(record.key, clock.now());
      }
      return isIdleDue(record);
    },
  };
}
