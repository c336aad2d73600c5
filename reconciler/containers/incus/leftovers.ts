import {join} from 'node:path';
import {kindOf} from '../../../runtime/platform/directories.ts';
import type {Log} from '../../../runtime/platform/log.ts';
import type {ContainerTable, Entry} from '../container-table.ts';
import {readSnapshots} from '../snapshots.ts';
import type {Incus, Instance} from './incus.ts';
import type {IncusRecord} from './incus-record.ts';
import {containerIdOf, ownerKey, snapshotOf} from './instance-config.ts';
import type {Instances} from './instances.ts';
import {runtimeVolume} from './runtime-volume.ts';

export interface LeftoversOptions {
  readonly incus: Incus;
  readonly owner: string;
  readonly pool: string;
  readonly runtimeDirectory: string;
  readonly table: ContainerTable<IncusRecord>;
  readonly instances: Instances;
  readonly log: Log;
  /** Ends what runs of a container. */
  readonly end: (entry: Entry<IncusRecord>) => Promise<void>;
}

/** What is ours in the server and belongs to no container and no snapshot any more. */
export class Leftovers {
  readonly #options: LeftoversOptions;
  /** Containers that were removed; what is left of them on a member that was away goes when it is back. */
  readonly #wasKnown = new Set<string>();

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  noteRemoved(id: string): void {
    this.#wasKnown.add(id);
  }

  /** An instance of a container that is gone, is made anew elsewhere, or was stopped while its member was away. */
  isStray(instance: Instance): boolean {
    const {instances, table} = this.#options;
    const id = containerIdOf(instance);
    if (id === null || instance.isAway || instances.making.has(instance.name)) return false;
    const entry = table.find(id);
    if (entry === null) return this.#wasKnown.has(id);
    if (entry.record.instance !== instance.name) return true;
    return instance.running && isOver(entry);
  }

  /** Never throws: what is left is looked for again at the next time. */
  async remove(): Promise<void> {
    const {instances, table, log} = this.#options;
    try {
      const needed = new Set((await readSnapshots(table.snapshots)).map((snapshot) => snapshot.instances));
      for (const instance of await instances.list()) {
        if (instance.isAway || this.#isNeededBySnapshot(instance, needed)) continue;
        const id = containerIdOf(instance);
        const entry = id === null ? null : table.find(id);
        if (entry !== null && entry.record.instance === instance.name) {
          if (instance.running) await this.#endIfOver(entry);
          continue;
        }
        // A directory whose record cannot be read may still be mended by a person.
        const isMendable = id !== null && (await kindOf(join(table.directory, id))) !== null;
        if (entry === null && isMendable) continue;
        log.info('removing an instance that belongs to nothing', {instance: instance.name});
        await instances.discard(instance.name);
      }
      await this.#removeVolumes();
    } catch (error) {
      this.leave('what is no longer needed', error);
    }
  }

  /** Says what is left for the next time. */
  leave(what: string, error: unknown): void {
    this.#options.log.warn('the Incus server could not remove something', {what, error});
  }

  #isNeededBySnapshot(instance: Instance, needed: ReadonlySet<string | null>): boolean {
    const {instances} = this.#options;
    const snapshot = snapshotOf(instance);
    if (instances.making.has(instance.name)) return true;
    return snapshot !== null && (instances.making.has(snapshot) || needed.has(snapshot));
  }

  async #endIfOver(entry: Entry<IncusRecord>): Promise<void> {
    if (!isOver(entry)) return;
    await entry.turn(async () => {
      if (isOver(entry)) await this.#options.end(entry);
    });
  }

  /** Those of earlier runtimes, and all of them when nobody is left; the server keeps what is in use. */
  async #removeVolumes(): Promise<void> {
    const {incus, owner, pool, runtimeDirectory, table} = this.#options;
    const {name: present} = runtimeVolume({owner, pool, runtimeDirectory, member: null});
    const isLast = table.entries().length === 0;
    for (const volume of await incus.listVolumes(pool, ownerKey, owner))
      if (isLast || volume.name !== present) await incus.removeVolume(volume);
  }
}

/** True where nothing of a container should run, and nobody is about to end it. */
function isOver({record, starting, waiting}: Entry<IncusRecord>): boolean {
  return record.wanted === 'stopped' && starting === null && waiting === null;
}
