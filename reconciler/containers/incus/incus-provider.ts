import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {stripVTControlCharacters} from 'node:util';
import {readBootId} from '../../../runtime/platform/boot-id.ts';
import {kindOf} from '../../../runtime/platform/directories.ts';
import {lchown} from '../../../runtime/platform/files.ts';
import {
  listProcesses,
  namespacePids,
  readProcess,
  withDescendants,
} from '../../../runtime/platform/processes.ts';
import {createSerialLock} from '../../../runtime/platform/serial-lock.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerRecord} from '../container-record.ts';
import {
  ContainerTable,
  dataLost,
  type Entry,
  nextBootMark,
  prepareState,
  stopAsked,
  type TableOptions,
} from '../container-table.ts';
import {linkControlSocket} from '../control-socket.ts';
import {requireGlibc} from '../glibc.ts';
import {
  commandInside,
  inside,
  maxReadyLineBytes,
  parseReadyLine,
  placesInside,
  type ReadyRuntime,
} from '../inside.ts';
import {parseJson} from '../parse-json.ts';
import type {
  Container,
  ContainerEvent,
  ContainerProvider,
  CreateRequest,
  Reach,
  ResourceLimits,
  Snapshot,
  StartOptions,
} from '../provider.ts';
import {checkSnapshotName, findSnapshot, readSnapshots, saveSnapshot} from '../snapshots.ts';
import type {Incus, IncusFacts, Instance, InstanceSpec, Outcome, Settings, VolumePlace} from './incus.ts';
import {type IncusRecord, incusRecordSchema} from './incus-record.ts';
import {
  cleaning,
  containerConfig,
  containerIdOf,
  endedMark,
  hostsFile,
  instanceName,
  limitsConfig,
  ownerKey,
  rootOutside,
  runtimeConfig,
  snapshotConfig,
  snapshotInstances,
  snapshotOf,
} from './instance-config.ts';
import {chooseAddress, type NetworkAddress, ownGateway} from './network-address.ts';
import {fillRuntimeVolume, runtimeVolume, volumeDevice} from './runtime-volume.ts';
import {carrySocket, type SocketCarrier} from './socket-carrier.ts';

export interface IncusProviderOptions extends TableOptions {
  readonly incus: Incus;
  /** Names this state directory in the configuration of everything that is made for it: hex digits. */
  readonly owner: string;
  /** Starts a runtime when `runtime --data ...` is appended; see runtime-binary.ts. */
  readonly runtimeCommand: readonly string[];
  /** Directory of the files that `runtimeCommand` names; containers see it read-only. */
  readonly runtimeDirectory: string;
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
  /** How long a runtime may take until it is ready. */
  readonly startTimeoutMs?: number;
  /** After this the server is asked for its events again when they ended. */
  readonly watchIntervalMs?: number;
}

type IncusEntry = Entry<IncusRecord>;

/** Names of devices of an instance. */
const runDevice = 'branchtab-run';
const runtimeDevice = 'branchtab-runtime';

const busyTimeoutMs = 60_000;
const retryMs = 30;
const readyLookMs = 10;
const endLookMs = 30;
const settleMs = 100;
const wordsKept = 2_000;
/** Between what a runtime takes for the end of its lease and what we do. */
const fenceMarginMs = 30_000;
const defaultWatchIntervalMs = 2_000;
const intervalsOfSweep = 5;

/**
 * Opens the containers of a state directory that an Incus or LXD server runs, those included that an earlier
 * controller left running. Throws PROVIDER_UNAVAILABLE where the server does not answer.
 */
export async function createIncusProvider(options: IncusProviderOptions): Promise<ContainerProvider> {
  const stateDirectory = await prepareState(options.stateDirectory);
  const facts = await options.incus.facts();
  const provider = new IncusProvider({...options, stateDirectory}, facts, await readBootId());
  await provider.open();
  return provider;
}

class IncusProvider implements ContainerProvider {
  readonly name = 'incus';
  readonly level: string;
  readonly gaps: readonly Reach[] = [];
  readonly #options: IncusProviderOptions;
  readonly #incus: Incus;
  readonly #facts: IncusFacts;
  readonly #bootId: string;
  readonly #table: ContainerTable<IncusRecord>;
  /** Addresses are chosen one after another. */
  readonly #network = createSerialLock();
  /** Volumes are filled one after another. */
  readonly #volumes = createSerialLock();
  readonly #carriers = new Map<string, SocketCarrier>();
  /** Containers that were removed; what is left of them on a member that was away goes when it is back. */
  readonly #wasKnown = new Set<string>();
  readonly #closed = new AbortController();
  /** Which containers the server ran when it was last asked, by our id. */
  readonly #running = new Set<string>();
  /** When we changed that ourselves; an older answer of the server does not count. */
  readonly #changedAt = new Map<string, number>();
  #step = 0;
  readonly #usableImages = new Set<string>();
  /** Names of snapshots that are being made, and of instances of containers that are. */
  readonly #making = new Set<string>();
  #watchLoop: AbortController | null = null;

  constructor(options: IncusProviderOptions, facts: IncusFacts, bootId: string) {
    this.#options = options;
    this.#incus = options.incus;
    this.#facts = facts;
    this.#bootId = bootId;
    this.level = facts.kind;
    this.#table = new ContainerTable(options, {
      provider: 'incus',
      schema: incusRecordSchema,
      keepsFiles: false,
    });
  }

  async open(): Promise<void> {
    await this.#table.open(async (entry) => {
      await this.#settle(() => this.#incus.unfreeze(entry.record.instance));
      await this.#table.save(entry, {frozen: false});
    });
    await this.#tidy();
    await this.#observe();
  }

  async list(): Promise<Container[]> {
    await this.#observe();
    return this.#table.entries().map((entry) => this.#view(entry));
  }

  async create(request: CreateRequest): Promise<Container> {
    let made: string | null = null;
    try {
      const entry = await this.#table.create(request, async (record) => {
        const full: IncusRecord = {
          ...record,
          provider: 'incus',
          instance: instanceName(record),
          from: request.from ?? null,
          away: null,
          address: null,
          runtime: null,
        };
        made = full.instance;
        this.#making.add(made);
        await this.#make(full, request);
        return full;
      });
      return this.#view(entry);
    } catch (error) {
      if (made !== null) await this.#discard(made).catch((cause: unknown) => this.#leave(made, cause));
      throw error;
    } finally {
      if (made !== null) this.#making.delete(made);
    }
  }

  async start(id: string, options: StartOptions = {}): Promise<Container> {
    const {signal, makeData = false} = options;
    return await this.#table.change(id, async (entry) => {
      signal?.throwIfAborted();
      const found = await this.#find(entry);
      this.#note(entry, found?.running ?? false);
      if (found?.isAway) await this.#goElsewhere(entry, found, options);
      else if (entry.record.away !== null) await this.#table.save(entry, {away: null});
      if (!this.#isUp(entry)) {
        if (found === null && makeData) await this.#makeAgain(entry);
        else if (!found?.isAway) await this.#requireData(entry, found, makeData);
        await this.#start(entry, options);
      } else if (found !== null) await this.#reach(entry, found);
      return this.#view(entry);
    });
  }

  async stop(id: string, {graceMs, reason}: {graceMs: number; reason: string}): Promise<void> {
    const entry = this.#table.known(id);
    entry.starting?.abort(stopAsked(entry));
    await entry.turn(async () => {
      const found = await this.#find(entry);
      const {record} = entry;
      if (record.wanted === 'stopped' && record.runtime === null && found?.running !== true) return;
      this.#options.log.info('stopping container', {id, name: record.name, reason, grace_ms: graceMs});
      await this.#table.saveEnd(entry, {wanted: 'stopped'});
      this.#leaveSocket(id);
      if (found?.running && graceMs > 0) {
        const waiting = new AbortController();
        entry.waiting = waiting;
        await this.#settle(() => this.#incus.unfreeze(record.instance));
        // The server's own way to stop an instance cannot be cut short by one that does it at once.
        await this.#incus.execute(record.instance, ['/bin/sh', '-c', 'kill -TERM 1']);
        await this.#waitForEnd(record.instance, {timeoutMs: graceMs, signal: waiting.signal});
        entry.waiting = null;
      }
      await this.#end(entry);
      await this.#table.saveEnd(entry, {runtime: null});
    });
  }

  async remove(id: string): Promise<void> {
    await this.#table.remove(id, async (entry) => {
      await this.#table.saveEnd(entry, {wanted: 'stopped'});
      this.#leaveSocket(id);
      this.#wasKnown.add(id);
      const found = await this.#find(entry);
      // On a member that is away it is looked for again when that is back.
      if (found !== null && !found.isAway) await this.#discard(found.name);
    });
    this.#running.delete(id);
    this.#changedAt.delete(id);
    if (this.#table.entries().length > 0) return;
    await this.#removeNetwork();
    await this.#tidy();
  }

  async limit(id: string, {cpus, memoryBytes}: ResourceLimits): Promise<Container> {
    return await this.#table.change(id, async (entry) => {
      await this.#table.save(entry, {limits: {cpus, memory_bytes: memoryBytes}});
      const found = await this.#find(entry);
      if (found !== null && !found.isAway)
        await this.#configure(found.name, limitsConfig({cpus, memoryBytes}));
      return this.#view(entry);
    });
  }

  async label(id: string, labels: Readonly<Record<string, string | null>>): Promise<Container> {
    return await this.#table.change(id, async (entry) => {
      await this.#table.save(entry, {labels: this.#table.labelsWith(entry, labels)});
      return this.#view(entry);
    });
  }

  async snapshot(id: string, name: string): Promise<Snapshot> {
    checkSnapshotName(name);
    const snapshot = await this.#table.change(id, async (entry) => {
      const made = {name, containerId: id, createdAt: this.#table.timestamp()};
      const instances = randomBytes(8).toString('hex');
      this.#making.add(instances);
      try {
        await this.#copyForSnapshot(entry, instances);
        await saveSnapshot(this.#table.snapshots, {...made, image: null, instances}, null);
      } finally {
        this.#making.delete(instances);
      }
      return made;
    });
    await this.#tidy();
    return snapshot;
  }

  listSnapshots(): Promise<Snapshot[]> {
    return this.#table.listSnapshots();
  }

  async removeSnapshot(name: string): Promise<void> {
    await this.#table.removeSnapshot(name);
    await this.#tidy();
  }

  watch(onEvent: (event: ContainerEvent) => void): () => void {
    const unsubscribe = this.#table.watch(onEvent);
    if (this.#watchLoop === null) {
      this.#watchLoop = new AbortController();
      const signal = AbortSignal.any([this.#watchLoop.signal, this.#closed.signal]);
      void this.#watch(signal);
      void this.#sweep(signal);
    }
    return () => {
      unsubscribe();
      if (this.#table.isWatched) return;
      this.#watchLoop?.abort();
      this.#watchLoop = null;
    };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const id of [...this.#carriers.keys()]) this.#leaveSocket(id);
    await this.#table.close();
  }

  /** Makes the instance of a new container; it carries the owner from its first moment. */
  async #make(record: IncusRecord, {from, withData = false}: CreateRequest): Promise<void> {
    const {owner, image} = this.#options;
    const {cpus, memory_bytes: memoryBytes} = record.limits;
    const config = {...containerConfig(owner, record), ...limitsConfig({cpus, memoryBytes})};
    const {instance: name} = record;
    if (from !== undefined) {
      const {instances} = await findSnapshot(this.#table.snapshots, from);
      if (instances === null)
        throw new AppError('SNAPSHOT_NOT_FOUND', `The snapshot ${from} was not made with Incus.`);
      const {data, empty} = snapshotInstances(instances);
      await this.#incus.createInstance(name, this.#spec({copyOf: withData ? data : empty}, config));
      return;
    }
    await this.#incus.createInstance(name, this.#spec({image}, config));
    if (!this.#usableImages.has(image)) {
      await requireGlibc(
        {reference: image, setting: 'incus.image'},
        async (path) => (await this.#incus.pathKind(name, path)) !== null,
      );
    }
    this.#usableImages.add(image);
    await this.#incus.makeDirectory(name, inside.data);
    await this.#incus.makeDirectory(name, inside.workspace);
    await this.#incus.writeFile(name, '/etc/hosts', hostsFile(this.#options.domain));
  }

  #spec(source: InstanceSpec['source'], config: Settings): InstanceSpec {
    const {pool, profiles = [], target} = this.#options;
    // A copy would have the sockets of what it is copied from.
    const none = {type: 'none'};
    const devices = {
      root: {type: 'disk', path: '/', pool},
      eth0: none,
      [runDevice]: none,
      [runtimeDevice]: none,
    };
    return {source, profiles, config, devices, target};
  }

  async #start(entry: IncusEntry, {signal, paused = false}: StartOptions): Promise<void> {
    const {log} = this.#options;
    await this.#end(entry);
    await this.#table.prepareSockets(entry);
    const starting = new AbortController();
    entry.starting = starting;
    const given = signal === undefined ? starting.signal : AbortSignal.any([starting.signal, signal]);
    try {
      // Written before it runs: after a crash in between the next start or stop ends what this one began.
      await this.#table.save(entry, {
        wanted: 'running',
        runtime: null,
        control_socket: entry.paths.controlSocket,
        boot_mark: nextBootMark(entry.record, {bootId: this.#bootId, paused}),
      });
      await this.#prepare(entry);
      given.throwIfAborted();
      await this.#settle(() => this.#incus.start(entry.record.instance));
      const ready = await this.#firstReady(entry, given);
      const instance = await this.#incus.findInstance(entry.record.instance);
      if (instance === null) throw missing(entry.record);
      if (this.#isMounted(instance)) await linkControlSocket(entry.record.name, entry.paths);
      else await this.#reach(entry, instance);
      await this.#table.save(entry, {
        runtime: {kit_url: ready.kitUrl, runtime_version: ready.runtimeVersion},
      });
      this.#note(entry, true);
      entry.endReported = false;
      const {id: container, name} = entry.record;
      log.info('started container', {id: container, name, level: this.level, kit_url: ready.kitUrl});
    } catch (error) {
      // The caller learns it from the error; watchers are for ends that nobody saw.
      entry.endReported = true;
      await this.#end(entry).catch((cause: unknown) => {
        // The start is what the caller asked for; what is left is ended by the next one, or by a stop.
        log.warn('what a failed start left could not be ended', {id: entry.record.id, error: cause});
      });
      throw error;
    } finally {
      entry.starting = null;
    }
  }

  /** Gives the instance what this start is to have: the present runtime, its arguments, its sockets. */
  async #prepare(entry: IncusEntry): Promise<void> {
    const {record, paths} = entry;
    const {runtimeCommand: command, runtimeDirectory: directory, owner} = this.#options;
    const instance = await this.#incus.findInstance(record.instance);
    if (instance === null) throw missing(record);
    const {cpus, memory_bytes: memoryBytes} = record.limits;
    const network = this.#networkName();
    const address = await this.#addressOf(entry, network);
    const isMounted = this.#isMounted(instance);
    if (isMounted) await lchown(paths.run, rootOutside(instance, parseJson), -1);
    const runtime = isMounted
      ? {type: 'disk', source: directory, path: inside.runtimeDirectory}
      : volumeDevice(await this.#runtimeOn(instance.member));
    await this.#settle(() =>
      this.#incus.configure(record.instance, {
        config: {
          ...containerConfig(owner, record),
          ...limitsConfig({cpus, memoryBytes}),
          ...runtimeConfig(record, {command, directory}, {address, domain: this.#options.domain}),
        },
        devices: {
          eth0: address === null ? {type: 'none'} : networkDevice(network, address),
          [runtimeDevice]: {...runtime, readonly: 'true'},
          [runDevice]: isMounted ? {type: 'disk', source: paths.run, path: inside.run} : {type: 'none'},
        },
      }),
    );
  }

  /** True where files of this machine can be an instance's: it runs here, and we may give them to its root. */
  #isMounted({member}: Instance): boolean {
    return member === this.#facts.member && process.getuid?.() === 0;
  }

  /** Makes the container's socket lead to the instance, wherever that is. */
  async #reach(entry: IncusEntry, instance: Instance): Promise<void> {
    const {runtimeCommand: command, runtimeDirectory: directory, log} = this.#options;
    const {id} = entry.record;
    if (this.#isMounted(instance) || this.#carriers.get(id)?.instance === instance.name) return;
    this.#leaveSocket(id);
    const carrier = await carrySocket(this.#incus, {
      path: entry.paths.controlSocket,
      instance: instance.name,
      command: [...commandInside({command, directory}), 'connect', placesInside.runtimeSocket],
      log,
    });
    this.#carriers.set(id, carrier);
  }

  #leaveSocket(id: string): void {
    this.#carriers.get(id)?.close();
    this.#carriers.delete(id);
  }

  /** The volume with the runtime on a member, filled where that is still to be done. */
  async #runtimeOn(member: string | null): Promise<VolumePlace> {
    const {owner, pool, runtimeDirectory, image} = this.#options;
    const place = {owner, pool, runtimeDirectory, member};
    const name = `bt-carrier-${randomBytes(8).toString('hex')}`;
    this.#making.add(name);
    try {
      await this.#volumes(() =>
        fillRuntimeVolume({
          ...place,
          incus: this.#incus,
          carrier: {
            name,
            spec: {
              ...this.#spec({image}, snapshotConfig(owner, name)),
              target: member ?? undefined,
            },
            start: () => this.#settle(() => this.#incus.start(name)),
            remove: () => this.#discard(name),
          },
        }),
      );
    } finally {
      this.#making.delete(name);
    }
    return runtimeVolume(place);
  }

  /**
   * For a container of a member that is away. Once nothing of it runs there any more, its lease being over, it is
   * made anew on another; before that, and for a container without a lease, this throws PROVIDER_UNAVAILABLE.
   */
  async #goElsewhere(
    entry: IncusEntry,
    {name, member}: Instance,
    {makeData = false, rebuildAfterMs = null}: StartOptions,
  ): Promise<void> {
    const {clock, log} = this.#options;
    const {record} = entry;
    // Nobody renews its lease from now on, not over a connection of before either.
    this.#leaveSocket(record.id);
    const away = record.away ?? {since: this.#table.timestamp(), lease_ms: rebuildAfterMs};
    if (record.away === null) await this.#table.save(entry, {away});
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
      );
    }
    log.warn('a container of a member that is away is made anew', {id: record.id, member, since});
    const instance = `bt-${record.name}-${randomBytes(4).toString('hex')}`;
    this.#making.add(instance);
    try {
      await this.#makeAgain(entry, instance);
    } finally {
      this.#making.delete(instance);
    }
  }

  /** Null for none at all. */
  #networkName(): string | null {
    const {network, owner} = this.#options;
    if (network === 'none') return null;
    // The kernel takes no longer name for a bridge.
    return network === 'own' ? `bt-${owner.slice(0, 12)}` : network;
  }

  async #addressOf(entry: IncusEntry, network: string | null): Promise<NetworkAddress | null> {
    const {owner} = this.#options;
    const {record} = entry;
    if (network === null) {
      if (record.address !== null) await this.#table.save(entry, {address: null});
      return null;
    }
    if (this.#options.network === 'own' && this.#facts.member !== null) {
      throw new AppError(
        'CONFIG_INVALID',
        'incus.network is own, which makes a bridge on one server, and this is a cluster. Name a network of the cluster in `incus.network` of branchtab.yaml, or none.',
      );
    }
    if (this.#options.network === 'own')
      await this.#incus.ensureNetwork(network, {[ownerKey]: owner, 'ipv4.address': ownGateway(owner)});
    return await this.#network(async () => {
      const found = await this.#incus.findNetwork(network);
      if (found === null) {
        throw new AppError(
          'PROVIDER_UNAVAILABLE',
          `The Incus server has no network ${network} with IPv4 addresses of its own. Name another one in \`incus.network\` of branchtab.yaml, or own, or none.`,
        );
      }
      const had = record.address;
      if (had?.network === network && found.gateway === `${had.gateway}/${had.prefix_length}`)
        return {address: had.address, prefixLength: had.prefix_length, gateway: had.gateway};
      const others = this.#table.entries().flatMap((each) => each.record.address?.address ?? []);
      const taken = new Set([...found.taken, ...others]);
      const chosen = chooseAddress({...found, taken}, {id: record.id, network});
      const {address, prefixLength: prefix_length, gateway} = chosen;
      await this.#incus.writeFile(record.instance, '/etc/resolv.conf', `nameserver ${gateway}\n`);
      await this.#table.save(entry, {address: {address, prefix_length, gateway, network}});
      return chosen;
    });
  }

  async #removeNetwork(): Promise<void> {
    const network = this.#networkName();
    if (network === null || this.#options.network !== 'own') return;
    try {
      await this.#incus.removeNetwork(network, ownerKey, this.#options.owner);
    } catch (error) {
      this.#leave(network, error);
    }
  }

  async #firstReady({record}: IncusEntry, signal: AbortSignal): Promise<ReadyRuntime> {
    const {clock, startTimeoutMs = 10_000} = this.#options;
    const untilMs = clock.now() + startTimeoutMs;
    let written = '';
    for (;;) {
      signal.throwIfAborted();
      const more = await this.#incus.console(record.instance);
      // Some servers tell everything each time, others what is new.
      written = (more.startsWith(written) ? more : written + more).slice(-maxReadyLineBytes);
      const ready = readyOf(written);
      if (ready !== null) {
        if (await this.#holdsProcess(record.instance, ready.pid)) return ready;
        const lie = `says it is process ${ready.pid}, which is none of its container`;
        throw unready(record, lie, written);
      }
      if (written.includes(endedMark)) throw unready(record, 'ended before it was ready', written);
      const isLate = clock.now() > untilMs;
      if (isLate) throw unready(record, `said nothing within ${startTimeoutMs / 1000} s`, written);
      await clock.sleep(readyLookMs, {signal});
    }
  }

  /** True also where the server's processes cannot be seen from here. */
  async #holdsProcess(instance: string, pidInside: number): Promise<boolean> {
    const found = await this.#incus.findInstance(instance);
    if (found?.running !== true) return false;
    // On another machine a number of there is none of here.
    const isHere = found.member === this.#facts.member;
    const first = isHere ? readProcess(await this.#incus.firstProcess(instance)) : null;
    if (first === null) return true;
    return withDescendants(await listProcesses(), [first]).some(
      ({pid}) => namespacePids(pid).at(-1) === pidInside,
    );
  }

  async #requireData({record}: IncusEntry, found: Instance | null, makeData: boolean): Promise<void> {
    if (found === null) throw missing(record);
    if ((await this.#incus.pathKind(record.instance, inside.data)) === 'directory') return;
    if (!makeData) throw dataLost(record, `${inside.data} in ${record.instance}`);
    await this.#incus.makeDirectory(record.instance, inside.data);
  }

  /** For an instance that is gone with all its files: a new one of the same snapshot, or of the image. */
  async #makeAgain(entry: IncusEntry, instance = entry.record.instance): Promise<void> {
    const record = {...entry.record, instance};
    const from = await this.#copyable(record.from);
    this.#options.log.warn('an instance is gone and is made anew', {id: record.id, name: record.name, from});
    await this.#make(record, {
      name: record.name,
      labels: record.labels,
      ...(from === undefined ? {} : {from}),
    });
    await this.#table.save(entry, {instance, address: null, away: null, runtime: null});
  }

  /** The name of the snapshot, unless it is gone or on a member that is away. */
  async #copyable(snapshot: string | null): Promise<string | undefined> {
    const stored = (await readSnapshots(this.#table.snapshots)).find(({name}) => name === snapshot);
    if (stored === undefined || stored.instances === null) return undefined;
    const instance = await this.#incus.findInstance(snapshotInstances(stored.instances).empty);
    return instance === null || instance.isAway ? undefined : stored.name;
  }

  /** The instance of this one. Throws NAME_TAKEN where one of that name is not ours. */
  async #find({record}: IncusEntry): Promise<Instance | null> {
    const found = await this.#incus.findInstance(record.instance);
    if (found === null || found.isAway) return found;
    if (found.config[ownerKey] === this.#options.owner && containerIdOf(found) === record.id) return found;
    throw new AppError(
      'NAME_TAKEN',
      `The instance ${record.instance} of the server at ${this.#incus.address} was not made by this state directory. Rename or remove it.`,
    );
  }

  /** Ends every process of the container: with its first one the kernel ends them all. */
  async #end(entry: IncusEntry): Promise<void> {
    if ((await this.#find(entry))?.running) await this.#settle(() => this.#incus.stop(entry.record.instance));
    this.#note(entry, false);
  }

  async #discard(instance: string): Promise<void> {
    await this.#settle(async () => {
      const stopped = await this.#incus.stop(instance);
      return stopped === 'busy' ? 'busy' : await this.#incus.remove(instance);
    });
  }

  async #configure(instance: string, config: Settings): Promise<void> {
    await this.#settle(() => this.#incus.configure(instance, {config}));
  }

  /** Asks again while another change of the instance is under way. */
  async #settle(work: () => Promise<Outcome>): Promise<void> {
    const {clock} = this.#options;
    const untilMs = clock.now() + busyTimeoutMs;
    while ((await work()) === 'busy') {
      if (clock.now() > untilMs) {
        throw new AppError(
          'PROVIDER_UNAVAILABLE',
          `The Incus server at ${this.#incus.address} has been busy with an instance for ${busyTimeoutMs / 1000} s. Look at its operations there.`,
        );
      }
      await clock.sleep(retryMs);
    }
  }

  async #waitForEnd(
    instance: string,
    {timeoutMs, signal}: {timeoutMs: number; signal: AbortSignal},
  ): Promise<void> {
    const {clock} = this.#options;
    const untilMs = clock.now() + timeoutMs;
    while (!signal.aborted && clock.now() < untilMs) {
      if ((await this.#incus.findInstance(instance))?.running !== true) return;
      await clock.sleep(endLookMs);
    }
  }

  async #copyForSnapshot(entry: IncusEntry, instances: string): Promise<void> {
    const {data, empty} = snapshotInstances(instances);
    const config = snapshotConfig(this.#options.owner, instances);
    const found = await this.#find(entry);
    if (found === null) throw missing(entry.record);
    // Where its blocks are, they are shared.
    const target = found.member ?? undefined;
    const copy = (name: string, copyOf: string) =>
      this.#incus.createInstance(name, {...this.#spec({copyOf}, config), target});
    await this.#whileFrozen(entry, found, () => copy(data, found.name));
    await copy(empty, data);
    await Promise.all([this.#clean(data, [cleaning.run]), this.#clean(empty, [cleaning.run, cleaning.data])]);
  }

  /** Takes away what clones must not have, now, so that a clone is nothing but a copy. */
  async #clean(instance: string, scripts: readonly string[]): Promise<void> {
    await this.#settle(() => this.#incus.start(instance));
    const code = await this.#incus.execute(instance, ['/bin/sh', '-c', scripts.join('; ')]);
    await this.#settle(() => this.#incus.stop(instance));
    if (code === 0) return;
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `A snapshot could not be freed of what clones must not have: its shell answered ${code}.`,
    );
  }

  /** Runs `work` while no process of the container does; they go on afterwards in any case. */
  async #whileFrozen(entry: IncusEntry, found: Instance, work: () => Promise<void>): Promise<void> {
    if (!found.running) {
      await work();
      return;
    }
    await this.#table.save(entry, {frozen: true});
    try {
      await this.#settle(() => this.#incus.freeze(found.name));
      await work();
    } finally {
      await this.#settle(() => this.#incus.unfreeze(found.name));
      await this.#table.save(entry, {frozen: false});
    }
  }

  /** Asks the server what runs. True where something does that should not. */
  async #observe(): Promise<boolean> {
    this.#step += 1;
    const asked = this.#step;
    const listed = await this.#incus.listInstances(ownerKey, this.#options.owner);
    const byName = new Map(listed.map((each) => [each.name, each]));
    for (const entry of this.#table.entries()) {
      const {record} = entry;
      if ((this.#changedAt.get(record.id) ?? 0) > asked || entry.starting !== null) continue;
      const instance = byName.get(record.instance);
      if (instance?.isAway) this.#leaveSocket(record.id);
      if (instance?.running !== true) this.#running.delete(record.id);
      else {
        this.#running.add(record.id);
        if (this.#isUp(entry)) await this.#reach(entry, instance);
      }
    }
    return listed.some((each) => this.#isStray(each));
  }

  /** An instance of a container that is gone, is made anew elsewhere, or was stopped while its member was away. */
  #isStray(instance: Instance): boolean {
    const id = containerIdOf(instance);
    if (id === null || instance.isAway || this.#making.has(instance.name)) return false;
    const entry = this.#table.find(id);
    if (entry === null) return this.#wasKnown.has(id);
    if (entry.record.instance !== instance.name) return true;
    return instance.running && isOver(entry);
  }

  #note({record}: IncusEntry, running: boolean): void {
    this.#step += 1;
    this.#changedAt.set(record.id, this.#step);
    if (running) this.#running.add(record.id);
    else this.#running.delete(record.id);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const {clock, watchIntervalMs = defaultWatchIntervalMs, log} = this.#options;
    let isAway = false;
    while (!signal.aborted) {
      try {
        for await (const _ of this.#incus.changes({signal})) {
          await this.#look();
          if (isAway) log.info('the Incus server answers again', {server: this.#incus.address});
          isAway = false;
          // It tells of an end shortly before its list does.
          await clock.sleep(settleMs, {signal});
          await this.#look();
        }
      } catch (error) {
        if (!signal.aborted && !isAway) log.warn('the Incus server tells no events', {error});
        isAway = true;
      }
      await clock.sleep(watchIntervalMs, {signal}).catch(() => {
        // Nobody watches any more.
      });
    }
  }

  /** For an end that came before the server listened to us, or of which its list did not know yet. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const {clock, watchIntervalMs = defaultWatchIntervalMs} = this.#options;
    for (;;) {
      await clock.sleep(watchIntervalMs * intervalsOfSweep, {signal}).catch(() => {
        // Nobody watches any more.
      });
      if (signal.aborted) return;
      await this.#look().catch(() => {
        // A server that is away is told by whoever listens to its events.
      });
    }
  }

  async #look(): Promise<void> {
    const hasStrays = await this.#observe();
    this.#table.reportEnds((entry) => this.#isUp(entry));
    if (hasStrays) await this.#tidy();
  }

  /** Removes instances that are ours and belong to no container and no snapshot any more. */
  async #tidy(): Promise<void> {
    try {
      const snapshots = await readSnapshots(this.#table.snapshots);
      const needed = new Set(snapshots.map(({instances}) => instances));
      for (const instance of await this.#incus.listInstances(ownerKey, this.#options.owner)) {
        const snapshot = snapshotOf(instance);
        if (this.#making.has(instance.name) || (snapshot !== null && this.#making.has(snapshot))) continue;
        if (snapshot !== null && needed.has(snapshot)) continue;
        if (instance.isAway) continue;
        const id = containerIdOf(instance);
        const entry = id === null ? null : this.#table.find(id);
        if (entry !== null && entry.record.instance === instance.name) {
          if (instance.running && isOver(entry)) {
            await entry.turn(async () => {
              if (isOver(entry)) await this.#end(entry);
            });
          }
          continue;
        }
        // A directory whose record cannot be read may still be mended by a person.
        const isMendable = id !== null && (await kindOf(join(this.#table.directory, id))) !== null;
        if (entry === null && isMendable) continue;
        this.#options.log.info('removing an instance that belongs to nothing', {instance: instance.name});
        await this.#discard(instance.name);
      }
      await this.#removeVolumes();
    } catch (error) {
      // The work that was asked for is done; what is left is looked for again at the next one.
      this.#leave('what is no longer needed', error);
    }
  }

  /** Those of earlier runtimes, and all of them when nobody is left; the server keeps what is in use. */
  async #removeVolumes(): Promise<void> {
    const {owner, pool, runtimeDirectory} = this.#options;
    const {name: present} = runtimeVolume({owner, pool, runtimeDirectory, member: null});
    const isLast = this.#table.entries().length === 0;
    for (const volume of await this.#incus.listVolumes(pool, ownerKey, owner))
      if (isLast || volume.name !== present) await this.#incus.removeVolume(volume);
  }

  #leave(what: string | null, error: unknown): void {
    this.#options.log.warn('the Incus server could not remove something', {what, error});
  }

  #isUp({record}: IncusEntry): boolean {
    return record.runtime !== null && this.#running.has(record.id);
  }

  #view(entry: IncusEntry): Container {
    const {record} = entry;
    const up = this.#isUp(entry);
    const stopped = record.wanted === 'stopped' || entry.starting !== null;
    return {
      id: record.id,
      name: record.name,
      labels: record.labels,
      createdAt: record.created_at,
      state: up ? 'running' : stopped ? 'stopped' : 'failed',
      controlSocket: record.control_socket,
      kitUrl: up ? (record.runtime?.kit_url ?? null) : null,
      runtimeVersion: record.runtime?.runtime_version ?? null,
      limits: {cpus: record.limits.cpus, memoryBytes: record.limits.memory_bytes},
      unenforced: up ? this.#unenforced(record) : [],
    };
  }

  #unenforced({limits}: IncusRecord): Container['unenforced'] {
    const wanted = {cpus: limits.cpus !== null, memory: limits.memory_bytes !== null};
    return this.#facts.unenforced.filter((limit) => wanted[limit]);
  }
}

/** True where nothing of a container should run, and nobody is about to end it. */
function isOver({record, starting, waiting}: IncusEntry): boolean {
  return record.wanted === 'stopped' && starting === null && waiting === null;
}

/** Containers of a network do not reach each other. */
function networkDevice(network: string | null, {address}: NetworkAddress): Settings {
  return {
    type: 'nic',
    name: 'eth0',
    network: network ?? '',
    'ipv4.address': address,
    'security.port_isolation': 'true',
  };
}

function missing({name, instance}: IncusRecord): AppError {
  return new AppError(
    'DATA_LOST',
    `The instance ${instance} of ${name} is gone from the Incus server, with all its files. \`branchtab data restore\` brings a branch's data back from their backup.`,
  );
}

function readyOf(written: string): ReadyRuntime | null {
  for (const line of written.split('\n')) {
    const ready = line.startsWith('{') ? parseReadyLine(line.trim()) : null;
    if (ready !== null) return ready;
  }
  return null;
}

function unready({name}: ContainerRecord, how: string, written: string): AppError {
  const words = stripVTControlCharacters(written.replaceAll(endedMark, '')).trim().slice(-wordsKept);
  const said = words === '' ? 'It wrote nothing to its console.' : `It wrote:\n${words}`;
  return new AppError('PROVIDER_UNAVAILABLE', `The runtime of ${name} ${how}. ${said}`);
}
