import type {Clock} from '../../../runtime/platform/clock.ts';
import type {Log} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerTable, Entry} from '../container-table.ts';
import type {StartOptions} from '../provider.ts';
import type {Instance} from './incus.ts';
import type {IncusRecord} from './incus-record.ts';

/** Between what a runtime takes for the end of its lease and what we do. */
const fenceMarginMs = 30_000;

/**
 * For a container of a member of the cluster that does not answer: resolves once nothing of it runs there any more, its
 * lease being over, so that it may be made anew on another. Before that, and for a container without a lease, this
 * throws PROVIDER_UNAVAILABLE.
 */
export async function requireLeaseOver(
  entry: Entry<IncusRecord>,
  {name, member}: Instance,
  {makeData = false, rebuildAfterMs = null}: StartOptions,
  {
    table,
    clock,
    log,
  }: {readonly table: ContainerTable<IncusRecord>; readonly clock: Clock; readonly log: Log},
): Promise<void> {
  const {record} = entry;
  const away = record.away ?? {since: table.timestamp(), lease_ms: rebuildAfterMs};
  if (record.away === null) await table.save(entry, {away});
  const {since, lease_ms: leaseMs} = away;
  const where = `The member ${member} of the Incus cluster, which has ${name}, does not answer since ${since}.`;
  if (!makeData || rebuildAfterMs === null || leaseMs === null) {
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `${where} It may still run there, so nothing is made elsewhere: bring the member back.`,
    );
  }
  // Its runtime has the lease of then, whatever the configuration says by now.
  const dueMs = Date.parse(since) + Math.max(rebuildAfterMs, leaseMs) + fenceMarginMs;
  if (clock.now() < dueMs) {
    const at = new Date(dueMs).toISOString();
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `${where} It is made anew on another at ${at}, when its lease is over and no job of it runs there; unless the member is back before.`,
      {retryAfterSeconds: Math.ceil((dueMs - clock.now()) / 1000)},
    );
  }
  log.warn('a container of a member that is away is made anew', {id: record.id, member, since});
}
