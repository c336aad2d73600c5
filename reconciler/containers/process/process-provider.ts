import {readBootId} from '../../../runtime/platform/boot-id.ts';
import {makeCgroup} from '../../../runtime/platform/cgroup.ts';
import {readTextIfPresent, writeFileDurably} from '../../../runtime/platform/durable-file.ts';
import {type LimitGroup, setLimitGroups} from '../../../runtime/platform/limit-groups.ts';
import {isRunning, type ProcessIdentity} from '../../../runtime/platform/processes.ts';
import {reachSchema} from '../../../schemas/branch.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerRecord} from '../container-record.ts';
import {
  ContainerTable,
  type Entry,
  nextBootMark,
  prepareState,
  requireData,
  stopAsked,
  type TableOptions,
} from '../container-table.ts';
import type {RuntimeProgram} from '../inside.ts';
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
import {saveSnapshot} from '../snapshots.ts';
import {
  askToStop,
  containerProcesses,
  endProcesses,
  freezeProcesses,
  leaveCgroup,
  moveIntoGroups,
  type ProcessScope,
  thawProcesses,
} from './container-processes.ts';
import {loopbackAddress} from './loopback-address.ts';
import {findNetwork} from './network.ts';
import {type ProcessRecord, processRecordSchema} from './process-record.ts';
import {startRuntime, uplinkPlace} from './runtime-start.ts';
import {findSandbox, hostsFile, ownLoopback, type Sandbox} from './sandbox.ts';
import {joinUplink, resolverFile} from './uplink.ts';

export interface ProcessProviderOptions extends TableOptions {
  /** Starts a runtime when `runtime --data ...` is appended; see runtime-binary.ts. */
  readonly runtimeCommand: readonly string[];
  /** Directory of the files that `runtimeCommand` names; a sandbox sees it read-only. */
  readonly runtimeDirectory: string;
  /** `auto` is the best that works here. */
  readonly level: 'auto' | 'network' | 'sandbox' | 'plain';
  /** How long a runtime may take until it is ready. */
  readonly startTimeoutMs?: number;
  readonly watchIntervalMs?: number;
}

type ProcessEntry = Entry<ProcessRecord>;

const gapsOf: Readonly<Record<ProcessRecord['level'], readonly Reach[]>> = {
  plain: reachSchema.options,
  sandbox: ['host_network'],
  network: [],
};

/**
 * Opens the containers of a state directory, those included that an earlier controller left running.
 * Throws SANDBOX_REQUIRED when level `sandbox` or `network` is asked for and does not work here.
 */
export async function createProcessProvider(options: ProcessProviderOptions): Promise<ContainerProvider> {
  if (process.platform !== 'linux') {
    throw new AppError(
      'UNSUPPORTED_PLATFORM',
      'The process provider needs Linux: it finds processes in /proc.',
    );
  }
  const stateDirectory = await prepareState(options.stateDirectory);
  const sandbox = await chooseSandbox(options, stateDirectory);
  const provider = new ProcessProvider({...options, stateDirectory}, sandbox, await readBootId());
  await provider.open();
  return provider;
}

async function chooseSandbox(
  {level, log, clock}: ProcessProviderOptions,
  stateDirectory: string,
): Promise<Sandbox | null> {
  if (level === 'plain') return null;
  const found = await findSandbox(stateDirectory);
  if (!('sandbox' in found)) {
    const advice =
      'Install bubblewrap (apt-get install bubblewrap, dnf install bubblewrap) and allow user namespaces, or use level plain.';
    if (level !== 'auto')
      throw new AppError('SANDBOX_REQUIRED', `No sandbox works here: ${found.reason}. ${advice}`);
    log.warn(`no sandbox works here, containers are kept apart by directory only. ${advice}`, {
      reason: found.reason,
    });
    return null;
  }
  if (level === 'sandbox') return found.sandbox;
  const connected = await findNetwork(found.sandbox, clock);
  if ('sandbox' in connected) return connected.sandbox;
  const advice =
    'Install slirp4netns (apt-get install slirp4netns, dnf install slirp4netns) and let its user open /dev/net/tun, or use level sandbox.';
  if (level === 'network')
    throw new AppError(
      'SANDBOX_REQUIRED',
      `Containers cannot have networks of their own here: ${connected.reason}. ${advice}`,
    );
  log.info(`containers share this host's network. ${advice}`, {reason: connected.reason});
  return found.sandbox;
}

class ProcessProvider implements ContainerProvider {
  readonly name = 'process';
  readonly level: 'network' | 'sandbox' | 'plain';
  readonly gaps: readonly Reach[];
  readonly #options: ProcessProviderOptions;
  readonly #sandbox: Sandbox | null;
  readonly #bootId: string;
  readonly #table: ContainerTable<ProcessRecord>;
  readonly #closed = new AbortController();
  #watchLoop: AbortController | null = null;

  constructor(options: ProcessProviderOptions, sandbox: Sandbox | null, bootId: string) {
    this.#options = options;
    this.#sandbox = sandbox;
    this.level = sandbox === null ? 'plain' : sandbox.uplink === null ? 'sandbox' : 'network';
    this.gaps = gapsOf[this.level];
    this.#bootId = bootId;
    this.#table = new ContainerTable(options, {provider: 'process', schema: processRecordSchema});
  }

  async open(): Promise<void> {
    await this.#table.open((entry) => this.#thawAfterCrash(entry));
  }

  async list(): Promise<Container[]> {
    return this.#table.entries().map((entry) => this.#view(entry));
  }

  async create(request: CreateRequest): Promise<Container> {
    const entry = await this.#table.create(request, (record) => this.#newRecord(record));
    return this.#view(entry);
  }

  async start(id: string, options: StartOptions = {}): Promise<Container> {
    const {signal, makeData = false} = options;
    return await this.#table.change(id, async (entry) => {
      signal?.throwIfAborted();
      if (!this.#isUp(entry)) {
        await requireData(entry, makeData);
        await this.#start(entry, options);
      }
      return this.#view(entry);
    });
  }

  async stop(id: string, {graceMs, reason}: {graceMs: number; reason: string}): Promise<void> {
    const entry = this.#table.known(id);
    entry.starting?.abort(stopAsked(entry));
    await entry.turn(async () => {
      if (isQuiet(entry.record)) return;
      this.#options.log.info('stopping container', {id, name: entry.record.name, reason, grace_ms: graceMs});
      await this.#saveEnd(entry, {wanted: 'stopped'});
      const {process} = entry.record;
      const scope = this.#scope(entry);
      // Looked up while the runtime still holds its family together.
      const family = await containerProcesses(scope);
      if (this.#isUp(entry) && process !== null && graceMs > 0) {
        const waiting = new AbortController();
        entry.waiting = waiting;
        await askToStop(identity(process.runtime), {
          graceMs,
          signal: waiting.signal,
          clock: this.#options.clock,
        });
        entry.waiting = null;
      }
      await this.#endAll(entry, {...scope, roots: [...scope.roots, ...family]});
      await this.#saveEnd(entry, {process: null, cgroup: null});
    });
  }

  async remove(id: string): Promise<void> {
    await this.#table.remove(id, async (entry) => {
      if (isQuiet(entry.record)) return;
      await this.#saveEnd(entry, {wanted: 'stopped'});
      await this.#endAll(entry);
    });
  }

  async limit(id: string, {cpus, memoryBytes}: ResourceLimits): Promise<Container> {
    return await this.#table.change(id, async (entry) => {
      await this.#save(entry, {limits: {cpus, memory_bytes: memoryBytes}});
      if (this.#isUp(entry)) {
        const groups = await setLimitGroups(`branchtab-${id}`, {cpus, memoryBytes});
        await this.#save(entry, {
          limit_groups: groups,
          ...(entry.record.cgroup === null ? {} : {cgroup: await this.#ownCgroup(id, groups)}),
        });
        await moveIntoGroups(this.#scope(entry), groups);
      }
      return this.#view(entry);
    });
  }

  async label(id: string, labels: Readonly<Record<string, string | null>>): Promise<Container> {
    return await this.#table.change(id, async (entry) => {
      await this.#save(entry, {labels: this.#table.labelsWith(entry, labels)});
      return this.#view(entry);
    });
  }

  async snapshot(id: string, name: string): Promise<Snapshot> {
    return await this.#table.change(id, async (entry) => {
      const snapshot = {name, containerId: id, createdAt: this.#table.timestamp()};
      await this.#whileFrozen(entry, () =>
        saveSnapshot(this.#table.snapshots, {...snapshot, image: null, instances: null}, entry.paths),
      );
      return snapshot;
    });
  }

  listSnapshots(): Promise<Snapshot[]> {
    return this.#table.listSnapshots();
  }

  removeSnapshot(name: string): Promise<void> {
    return this.#table.removeSnapshot(name);
  }

  watch(onEvent: (event: ContainerEvent) => void): () => void {
    const unsubscribe = this.#table.watch(onEvent);
    if (this.#watchLoop === null) {
      this.#watchLoop = new AbortController();
      void this.#watch(AbortSignal.any([this.#watchLoop.signal, this.#closed.signal]));
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
    await this.#table.close();
  }

  #newRecord(record: ContainerRecord): ProcessRecord {
    const taken = new Set(this.#table.entries().map((entry) => entry.record.address));
    return {
      ...record,
      provider: 'process',
      level: this.level,
      address: loopbackAddress(record.id, taken),
      cgroup: null,
      limit_groups: [],
      process: null,
    };
  }

  async #start(entry: ProcessEntry, {signal, paused = false}: StartOptions): Promise<void> {
    const {clock, log, startTimeoutMs = 10_000} = this.#options;
    const {record, paths} = entry;
    if (!isQuiet(record)) await this.#endAll(entry);
    await this.#table.prepareSockets(entry);
    if (this.#sandbox !== null) await this.#writeNames(entry, this.#sandbox);
    const starting = new AbortController();
    entry.starting = starting;
    try {
      const groups = await this.#makeLimitGroups(record);
      // Written before the runtime is: a crash in between leaves processes that the next start or stop looks for.
      await this.#save(entry, {
        wanted: 'running',
        process: null,
        level: this.level,
        control_socket: paths.controlSocket,
        // A sandbox has its pid namespace, which nothing leaves.
        cgroup: this.#sandbox === null ? await this.#ownCgroup(record.id, groups) : null,
        limit_groups: groups,
        boot_mark: nextBootMark(record, {bootId: this.#bootId, paused}),
      });
      const started = await startRuntime({
        record: entry.record,
        paths,
        program: {
          command: this.#options.runtimeCommand,
          directory: this.#options.runtimeDirectory,
        } satisfies RuntimeProgram,
        sandbox: this.#sandbox,
        domain: this.#options.domain,
        clock,
        timeoutMs: startTimeoutMs,
        signal: signal === undefined ? starting.signal : AbortSignal.any([starting.signal, signal]),
      });
      await this.#save(entry, {
        process: {
          boot_id: this.#bootId,
          runtime: written(started.runtime),
          roots: started.roots.map(written),
          uplink: started.uplink === null ? null : written(started.uplink),
          kit_url: started.kitUrl,
          runtime_version: started.runtimeVersion,
        },
      });
      entry.endReported = false;
      log.info('started container', {
        id: record.id,
        name: record.name,
        level: this.level,
        kit_url: started.kitUrl,
      });
    } catch (error) {
      // The caller learns it from the error; watchers are for ends that nobody saw.
      entry.endReported = true;
      await this.#endAll(entry);
      throw error;
    } finally {
      entry.starting = null;
    }
  }

  async #writeNames({record, paths}: ProcessEntry, {uplink}: Sandbox): Promise<void> {
    const address = uplink === null ? record.address : ownLoopback;
    await writeFileDurably(
      paths.hosts,
      hostsFile({address, hostName: record.name, domain: this.#options.domain}),
      {mode: 0o644},
    );
    if (uplink === null) return;
    const hostFile = (await readTextIfPresent('/etc/resolv.conf')) ?? '';
    await writeFileDurably(paths.resolver, resolverFile(hostFile, uplink), {mode: 0o644});
  }

  /** Of version 2 there is one for each process: that of the limits, where there are some. */
  async #ownCgroup(id: string, groups: readonly LimitGroup[]): Promise<string | null> {
    return groups.find(({version}) => version === 2)?.directory ?? (await makeCgroup(`branchtab-${id}`));
  }

  async #makeLimitGroups({id, limits}: ProcessRecord): Promise<LimitGroup[]> {
    if (limits.cpus === null && limits.memory_bytes === null) return [];
    const {cpus, memory_bytes: memoryBytes} = limits;
    return await setLimitGroups(`branchtab-${id}`, {cpus, memoryBytes});
  }

  /** Runs `work` while no process of the container does; they go on afterwards in any case. */
  async #whileFrozen(entry: ProcessEntry, work: () => Promise<void>): Promise<void> {
    if (isQuiet(entry.record)) {
      await work();
      return;
    }
    await this.#save(entry, {frozen: true});
    const frozen = await freezeProcesses(this.#scope(entry), this.#options.clock);
    try {
      await work();
    } finally {
      thawProcesses(frozen);
      await this.#save(entry, {frozen: false});
    }
  }

  async #thawAfterCrash(entry: ProcessEntry): Promise<void> {
    const rows = await containerProcesses(this.#scope(entry));
    thawProcesses(rows.map((row) => ({...row, state: ''})));
    await this.#save(entry, {frozen: false});
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const {clock, watchIntervalMs = 2_000, log} = this.#options;
    while (!signal.aborted) {
      this.#table.reportEnds((entry) => this.#isUp(entry));
      for (const entry of this.#table.entries()) await this.#reconnect(entry);
      try {
        await clock.sleep(watchIntervalMs, {signal});
      } catch (error) {
        if (!signal.aborted) log.error('watching containers failed', {error});
        return;
      }
    }
  }

  /** Without its uplink a container has no network but its own services: it gets another, and nothing is restarted. */
  async #reconnect(entry: ProcessEntry): Promise<void> {
    if (!this.#isCutOff(entry)) return;
    const {log} = this.#options;
    try {
      await entry.turn(async () => {
        const {process, id, name} = entry.record;
        const uplink = this.#sandbox?.uplink;
        if (!this.#isCutOff(entry) || process === null || uplink == null) return;
        log.warn("the program that connects a container's network has ended; it gets another", {id, name});
        const joined = await joinUplink(uplink, {...uplinkPlace(entry), pid: process.runtime.pid});
        if (joined === null) return;
        const roots = [...process.roots, written(joined)];
        await this.#save(entry, {process: {...process, roots, uplink: written(joined)}});
      });
    } catch (error) {
      log.error("a container's network cannot be connected", {id: entry.record.id, error});
    }
  }

  #isCutOff(entry: ProcessEntry): boolean {
    const uplink = entry.record.process?.uplink;
    return uplink != null && this.#isUp(entry) && !isRunning(identity(uplink));
  }

  #save(entry: ProcessEntry, change: Partial<ProcessRecord>): Promise<void> {
    return this.#table.save(entry, change);
  }

  #saveEnd(entry: ProcessEntry, change: Partial<ProcessRecord>): Promise<void> {
    return this.#table.saveEnd(entry, change);
  }

  #isUp({record}: ProcessEntry): boolean {
    const {process} = record;
    return process !== null && process.boot_id === this.#bootId && isRunning(identity(process.runtime));
  }

  #scope({record}: ProcessEntry): ProcessScope {
    const sameBoot = record.process?.boot_id === this.#bootId;
    return {
      containerId: record.id,
      cgroup: record.cgroup,
      roots: sameBoot ? (record.process?.roots ?? []).map(identity) : [],
    };
  }

  async #endAll(entry: ProcessEntry, scope = this.#scope(entry)): Promise<void> {
    await endProcesses(scope, this.#options.clock);
    await leaveCgroup(scope, this.#options.clock);
    for (const {directory} of entry.record.limit_groups)
      await leaveCgroup({...scope, cgroup: directory}, this.#options.clock);
  }

  #view(entry: ProcessEntry): Container {
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
      kitUrl: up ? (record.process?.kit_url ?? null) : null,
      runtimeVersion: record.process?.runtime_version ?? null,
      limits: {cpus: record.limits.cpus, memoryBytes: record.limits.memory_bytes},
      unenforced: up ? unenforced(record) : [],
      ...(up && record.level !== this.level
        ? {startedAt: {level: record.level, gaps: gapsOf[record.level]}}
        : {}),
    };
  }
}

function unenforced({limits, limit_groups}: ProcessRecord): Container['unenforced'] {
  const wanted = [
    ...(limits.cpus === null ? [] : ['cpus' as const]),
    ...(limits.memory_bytes === null ? [] : ['memory' as const]),
  ];
  return wanted.filter((limit) => !limit_groups.some(({bounds}) => bounds.includes(limit)));
}

/** True when nothing of the container can be running, so that nothing has to be looked for. */
function isQuiet(record: ProcessRecord): boolean {
  return record.wanted === 'stopped' && record.process === null;
}

function identity({pid, start_ticks}: {pid: number; start_ticks: number}): ProcessIdentity {
  return {pid, startTicks: start_ticks};
}

function written({pid, startTicks}: ProcessIdentity): {pid: number; start_ticks: number} {
  return {pid, start_ticks: startTicks};
}
