import {randomBytes} from 'node:crypto';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerTable, Entry} from '../container-table.ts';
import type {Snapshot} from '../provider.ts';
import {findSnapshot, readSnapshots, saveSnapshot} from '../snapshots.ts';
import type {Incus} from './incus.ts';
import type {IncusRecord} from './incus-record.ts';
import {cleaning, snapshotConfig, snapshotInstances} from './instance-config.ts';
import {instanceGone} from './instance-gone.ts';
import type {Instances} from './instances.ts';

export interface InstanceSnapshotsOptions {
  readonly incus: Incus;
  readonly owner: string;
  readonly table: ContainerTable<IncusRecord>;
  readonly instances: Instances;
}

/** Snapshots are instances that nobody starts: one with its data directory, and one with an empty one. */
export class InstanceSnapshots {
  readonly #options: InstanceSnapshotsOptions;

  constructor(options: InstanceSnapshotsOptions) {
    this.#options = options;
  }

  async save(entry: Entry<IncusRecord>, snapshot: Snapshot): Promise<void> {
    const {table, instances} = this.#options;
    const name = randomBytes(8).toString('hex');
    await instances.whileMaking(name, async () => {
      await this.#copy(entry, name);
      await saveSnapshot(table.snapshots, {...snapshot, image: null, instances: name}, null);
    });
  }

  /** What a clone is copied from. Throws SNAPSHOT_NOT_FOUND. */
  async source(snapshot: string, {withData}: {withData: boolean}): Promise<string> {
    const {instances} = await findSnapshot(this.#options.table.snapshots, snapshot);
    if (instances === null)
      throw new AppError('SNAPSHOT_NOT_FOUND', `The snapshot ${snapshot} was not made with Incus.`);
    const {data, empty} = snapshotInstances(instances);
    return withData ? data : empty;
  }

  /** The same without data; null where it is gone, or on a member that is away. */
  async sourceIfThere(snapshot: string | null): Promise<string | null> {
    const stored = (await readSnapshots(this.#options.table.snapshots)).find(({name}) => name === snapshot);
    if (stored === undefined || stored.instances === null) return null;
    const {empty} = snapshotInstances(stored.instances);
    const instance = await this.#options.incus.findInstance(empty);
    return instance === null || instance.isAway ? null : empty;
  }

  /** Names of the instances of all snapshots. */
  async names(): Promise<string[]> {
    const stored = await readSnapshots(this.#options.table.snapshots);
    return stored.flatMap(({instances}) =>
      instances === null ? [] : Object.values(snapshotInstances(instances)),
    );
  }

  async #copy(entry: Entry<IncusRecord>, snapshot: string): Promise<void> {
    const {incus, owner, table, instances} = this.#options;
    const {data, empty} = snapshotInstances(snapshot);
    const config = snapshotConfig(owner, snapshot);
    const found = await instances.find(entry);
    if (found === null) throw instanceGone(entry.record);
    // Where its blocks are, they are shared.
    const target = found.member ?? undefined;
    const copy = (name: string, copyOf: string) =>
      incus.createInstance(name, {...instances.spec({copyOf}, config), target});
    const work = () => copy(data, found.name);
    const still = {
      freeze: () => instances.settle(() => incus.freeze(found.name)),
      thaw: () => instances.settle(() => incus.unfreeze(found.name)),
    };
    await (found.running ? table.whileFrozen(entry, still, work) : work());
    await copy(empty, data);
    await Promise.all([this.#clean(data, [cleaning.run]), this.#clean(empty, [cleaning.run, cleaning.data])]);
  }

  /** Takes away what clones must not have, now, so that a clone is nothing but a copy. */
  async #clean(instance: string, scripts: readonly string[]): Promise<void> {
    const {incus, instances} = this.#options;
    await instances.settle(() => incus.start(instance));
    const code = await incus.execute(instance, ['/bin/sh', '-c', scripts.join('; ')]);
    await instances.settle(() => incus.stop(instance));
    if (code === 0) return;
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `A snapshot could not be freed of what clones must not have: its shell answered ${code}.`,
    );
  }
}
