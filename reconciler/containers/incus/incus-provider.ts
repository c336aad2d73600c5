import {randomBytes} from 'node:crypto';
import {readBootId} from '../../../runtime/platform/boot-id.ts';
import {lchown} from '../../../runtime/platform/files.ts';
import {createSerialLock} from '../../../runtime/platform/serial-lock.ts';
import type {ContainerLife} from '../container-life.ts';
import {ContainerTable, dataLost, type Entry, prepareState} from '../container-table.ts';
import {watchEngine} from '../engine-watch.ts';
import {inside} from '../inside.ts';
import {parseJson} from '../parse-json.ts';
import type {ContainerProvider, CreateRequest, ResourceLimits, Snapshot, StartOptions} from '../provider.ts';
import {Sightings} from '../sightings.ts';
import {createTableProvider, defaultStartTimeoutMs, type ProviderOptions} from '../table-provider.ts';
import {ContainerNetwork} from './container-network.ts';
import {ControlSockets} from './control-sockets.ts';
import type {Incus, IncusFacts, Instance, Settings} from './incus.ts';
import {type IncusRecord, incusRecordSchema} from './incus-record.ts';
import {
  containerConfig,
  instanceName,
  limitsConfig,
  rootOutside,
  runDevice,
  runtimeConfig,
  runtimeDevice,
  snapshotConfig,
} from './instance-config.ts';
import {instanceGone} from './instance-gone.ts';
import {InstanceSnapshots} from './instance-snapshots.ts';
import {Instances} from './instances.ts';
import {Leftovers} from './leftovers.ts';
import {requireLeaseOver} from './member-away.ts';
import {firstReady} from './runtime-start.ts';
import {fillRuntimeVolume, runtimeVolume, volumeDevice} from './runtime-volume.ts';

export interface IncusProviderOptions extends ProviderOptions {
  readonly incus: Incus;
  /** Names this state directory in the configuration of everything that is made for it: hex digits. */
  readonly owner: string;
  /** Alias of what containers without a snapshot are made from. */
  readonly image: string;
  /** Storage pool of their file systems. */
  readonly pool: string;
  /** Profiles of the server that every container has besides; none unless given. */
  readonly profiles?: readonly string[];
  /** `own` for one that only containers of this state directory have, `none`, or the name of one of the server's. */
  readonly network: string;
  /** Member of a cluster that new containers go to, or `@` and a group; the server chooses unless given. */
  readonly target?: string | undefined;
}

/**
 * Opens the containers of a state directory that an Incus or LXD server runs, those included that an earlier
 * controller left running. Throws PROVIDER_UNAVAILABLE where the server does not answer.
 */
export async function createIncusProvider(given: IncusProviderOptions): Promise<ContainerProvider> {
  const options = {...given, stateDirectory: await prepareState(given.stateDirectory)};
  const facts = await options.incus.facts();
  const table = new ContainerTable(options, {
    provider: 'incus',
    schema: incusRecordSchema,
    keepsFiles: false,
  });
  const life = new IncusLife(options, facts, table);
  await life.open();
  return createTableProvider({table, life, bootId: await readBootId(), log: options.log});
}

type IncusEntry = Entry<IncusRecord>;

class IncusLife implements ContainerLife<IncusRecord> {
  readonly name = 'incus';
  readonly level: string;
  readonly gaps = [];
  readonly nothingRuns = {runtime: null};
  readonly #options: IncusProviderOptions;
  readonly #incus: Incus;
  readonly #facts: IncusFacts;
  readonly #table: ContainerTable<IncusRecord>;
  readonly #instances: Instances;
  readonly #snapshots: InstanceSnapshots;
  readonly #network: ContainerNetwork;
  readonly #sockets: ControlSockets;
  readonly #leftovers: Leftovers;
  readonly #sightings = new Sightings();
  /** Volumes are filled one after another. */
  readonly #volumes = createSerialLock();

  constructor(options: IncusProviderOptions, facts: IncusFacts, table: ContainerTable<IncusRecord>) {
    const {incus, owner, network, runtimeCommand: command, runtimeDirectory: directory, log} = options;
    this.#options = options;
    this.#incus = incus;
    this.#facts = facts;
    this.#table = table;
    this.level = facts.kind;
    const instances = new Instances(options);
    this.#instances = instances;
    this.#snapshots = new InstanceSnapshots({incus, owner, table, instances});
    this.#network = new ContainerNetwork({incus, owner, network, table});
    this.#sockets = new ControlSockets({incus, facts, program: {command, directory}, log});
    this.#leftovers = new Leftovers({...options, table, instances, end: (entry) => this.end(entry)});
  }

  async open(): Promise<void> {
    await this.#table.open(({record}) => this.#instances.settle(() => this.#incus.unfreeze(record.instance)));
    await this.tidy();
    await this.look();
  }

  async create(request: CreateRequest): Promise<IncusEntry> {
    const {from = null, withData = false} = request;
    const {making} = this.#instances;
    let made: string | null = null;
    try {
      return await this.#table.create(request, async (given) => {
        const instance = instanceName(given);
        const record: IncusRecord = {
          ...given,
          provider: 'incus',
          instance,
          from,
          away: null,
          address: null,
          runtime: null,
        };
        made = instance;
        making.add(instance);
        const source = from === null ? null : await this.#snapshots.source(from, {withData});
        await this.#instances.make(record, source);
        return record;
      });
    } catch (error) {
      if (made !== null) await this.#undo(made);
      throw error;
    } finally {
      if (made !== null) making.delete(made);
    }
  }

  async look(): Promise<void> {
    await this.#observe();
  }

  async lookAt(entry: IncusEntry): Promise<boolean> {
    return (await this.#instances.find(entry))?.running ?? false;
  }

  async arrive(entry: IncusEntry, options: StartOptions): Promise<boolean> {
    const {record} = entry;
    const found = await this.#instances.find(entry);
    const runs = found?.running ?? false;
    this.#sightings.note(record.id, runs);
    if (found?.isAway) await this.#goElsewhere(entry, found, options);
    else if (record.away !== null) await this.#table.save(entry, {away: null});
    if (found !== null && this.isUp(entry)) await this.#sockets.carry(entry, found);
    else if (found === null && options.makeData) await this.#makeAgain(entry, record.instance);
    else if (!found?.isAway) await this.#requireData(record, found, options);
    return runs;
  }

  isUp({record}: IncusEntry): boolean {
    return record.runtime !== null && this.#sightings.isRunning(record.id);
  }

  async prepare(): Promise<Partial<IncusRecord>> {
    return {};
  }

  async run(entry: IncusEntry, {signal}: {signal: AbortSignal}): Promise<Partial<IncusRecord>> {
    const {clock, startTimeoutMs: timeoutMs = defaultStartTimeoutMs} = this.#options;
    await this.#equip(entry);
    signal.throwIfAborted();
    const {record} = entry;
    await this.#instances.settle(() => this.#incus.start(record.instance));
    const {ready, instance} = await firstReady({
      incus: this.#incus,
      facts: this.#facts,
      record,
      clock,
      timeoutMs,
      signal,
    });
    await this.#sockets.open(entry, instance);
    this.#sightings.noteStart(record.id);
    return {runtime: {kit_url: ready.kitUrl, runtime_version: ready.runtimeVersion}};
  }

  async stop(entry: IncusEntry, grace: {graceMs: number; signal: AbortSignal}): Promise<void> {
    this.#sockets.leave(entry.record.id);
    const runs = grace.graceMs > 0 && (await this.lookAt(entry));
    if (runs) await this.#instances.askToStop(entry.record.instance, grace);
    await this.end(entry);
  }

  async end(entry: IncusEntry): Promise<void> {
    await this.#instances.end(entry);
    this.#sightings.note(entry.record.id, false);
  }

  async discard(entry: IncusEntry): Promise<void> {
    const {id} = entry.record;
    this.#sockets.leave(id);
    this.#leftovers.noteRemoved(id);
    const found = await this.#instances.find(entry);
    // On a member that is away it is looked for again when that is back.
    if (found !== null && !found.isAway) await this.#instances.discard(found.name);
  }

  async limit(entry: IncusEntry, limits: ResourceLimits): Promise<void> {
    const found = await this.#instances.find(entry);
    if (found === null || found.isAway) return;
    const config = limitsConfig(limits);
    await this.#instances.settle(() => this.#incus.configure(found.name, {config}));
  }

  save(entry: IncusEntry, snapshot: Snapshot): Promise<void> {
    return this.#snapshots.save(entry, snapshot);
  }

  async removed(id: string): Promise<void> {
    this.#sightings.forget(id);
    if (this.#table.entries().length > 0) return;
    await this.#network.remove().catch((error: unknown) => this.#leftovers.leave('the network', error));
    await this.tidy();
  }

  tidy(): Promise<void> {
    return this.#leftovers.remove();
  }

  runtimeOf({runtime}: IncusRecord): IncusRecord['runtime'] {
    return runtime;
  }

  lacks(): IncusFacts['unenforced'] {
    return this.#facts.unenforced;
  }

  startedAt(): undefined {
    return undefined;
  }

  async awayMachines(): Promise<readonly string[]> {
    const names = this.#table.entries().map(({record}) => record.instance);
    const ours = new Set([...names, ...(await this.#snapshots.names())]);
    const away = (await this.#incus.listAway()).filter(({name}) => ours.has(name));
    return [...new Set(away.flatMap(({member}) => member ?? []))];
  }

  watch(signal: AbortSignal): void {
    const {clock, log, watchIntervalMs: intervalMs} = this.#options;
    const {address, changes} = this.#incus;
    const look = async () => {
      const hasStrays = await this.#observe();
      this.#table.reportEnds((entry) => this.isUp(entry));
      if (hasStrays) await this.tidy();
    };
    watchEngine({engine: 'the Incus server', address, changes, look, clock, log, intervalMs}, signal);
  }

  close(): void {
    this.#sockets.close();
  }

  /** Gives the instance what this start is to have: the present runtime, its arguments, its sockets. */
  async #equip(entry: IncusEntry): Promise<void> {
    const {record, paths} = entry;
    const {runtimeCommand: command, runtimeDirectory: directory, owner, domain} = this.#options;
    const instance = await this.#present(record);
    const {cpus, memory_bytes: memoryBytes} = record.limits;
    const {device, address} = await this.#network.join(entry);
    const isMounted = this.#sockets.isMounted(instance);
    if (isMounted) await lchown(paths.run, rootOutside(instance, parseJson), -1);
    const runtime = isMounted
      ? {type: 'disk', source: directory, path: inside.runtimeDirectory}
      : await this.#carryRuntime(instance.member);
    await this.#instances.settle(() =>
      this.#incus.configure(record.instance, {
        config: {
          ...containerConfig(owner, record),
          ...limitsConfig({cpus, memoryBytes}),
          ...runtimeConfig(record, {command, directory}, {address, domain}),
        },
        devices: {
          eth0: device,
          [runtimeDevice]: {...runtime, readonly: 'true'},
          [runDevice]: isMounted ? {type: 'disk', source: paths.run, path: inside.run} : {type: 'none'},
        },
      }),
    );
  }

  /** The volume with the runtime on a member, filled where that is still to be done. */
  async #carryRuntime(member: string | null): Promise<Settings> {
    const {owner, pool, runtimeDirectory, image} = this.#options;
    const place = {owner, pool, runtimeDirectory, member};
    const instances = this.#instances;
    const name = `bt-carrier-${randomBytes(8).toString('hex')}`;
    const spec = {
      ...instances.spec({image}, snapshotConfig(owner, name)),
      target: member ?? undefined,
    };
    const start = () => instances.settle(() => this.#incus.start(name));
    const carrier = {name, spec, start, remove: () => instances.discard(name)};
    await instances.whileMaking(name, () =>
      this.#volumes(() => fillRuntimeVolume({...place, incus: this.#incus, carrier})),
    );
    return volumeDevice(runtimeVolume(place));
  }

  async #goElsewhere(entry: IncusEntry, found: Instance, options: StartOptions): Promise<void> {
    const {clock, log} = this.#options;
    const {name, id} = entry.record;
    // Nobody renews its lease from now on, not over a connection of before either.
    this.#sockets.leave(id);
    await requireLeaseOver(entry, found, options, {table: this.#table, clock, log});
    const instance = `bt-${name}-${randomBytes(4).toString('hex')}`;
    await this.#instances.whileMaking(instance, () => this.#makeAgain(entry, instance));
  }

  /** For an instance that is gone with all its files: a new one of the same snapshot, or of the image. */
  async #makeAgain(entry: IncusEntry, instance: string): Promise<void> {
    const record = {...entry.record, instance};
    const {id, name, from} = record;
    const source = await this.#snapshots.sourceIfThere(from);
    this.#options.log.warn('an instance is gone and is made anew', {
      id,
      name,
      from: source === null ? undefined : from,
    });
    await this.#instances.make(record, source);
    await this.#table.save(entry, {instance, address: null, away: null, runtime: null});
  }

  async #requireData(
    record: IncusRecord,
    found: Instance | null,
    {makeData = false}: StartOptions,
  ): Promise<void> {
    if (found === null) throw instanceGone(record);
    // One that was never started has no data to lose, and to look into an instance that stands still takes long.
    if (record.boot_mark === '') return;
    if ((await this.#incus.pathKind(record.instance, inside.data)) === 'directory') return;
    if (!makeData) throw dataLost(record, `${inside.data} in ${record.instance}`);
    await this.#incus.makeDirectory(record.instance, inside.data);
  }

  /** The instance of a container that has one. Throws DATA_LOST. */
  async #present(record: IncusRecord): Promise<Instance> {
    const instance = await this.#incus.findInstance(record.instance);
    if (instance === null) throw instanceGone(record);
    return instance;
  }

  async #undo(instance: string): Promise<void> {
    await this.#instances.discard(instance).catch((error: unknown) => this.#leftovers.leave(instance, error));
  }

  /** Asks the server what runs. True where something does that should not. */
  async #observe(): Promise<boolean> {
    const asked = this.#sightings.ask();
    const listed = await this.#instances.list();
    const byName = new Map(listed.map((each) => [each.name, each]));
    for (const entry of this.#table.entries()) {
      const {record} = entry;
      if (!this.#sightings.counts(record.id, asked) || entry.starting !== null) continue;
      const instance = byName.get(record.instance);
      if (instance?.isAway) this.#sockets.leave(record.id);
      const hasEnded = instance !== undefined && !instance.running && !instance.isAway;
      // Incus says of an instance whose first program ended that it is stopped, then that it runs, then that it is stopped.
      if (hasEnded) this.#sightings.answerEnd(record.id);
      else this.#sightings.answer(record.id, instance?.running === true);
      if (instance?.running && this.isUp(entry)) await this.#sockets.carry(entry, instance);
    }
    return listed.some((each) => this.#leftovers.isStray(each));
  }
}
