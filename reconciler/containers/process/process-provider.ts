import {readBootId} from '../../../runtime/platform/boot-id.ts';
import {makeCgroup} from '../../../runtime/platform/cgroup.ts';
import {readTextIfPresent, writeFileDurably} from '../../../runtime/platform/durable-file.ts';
import {type LimitGroup, setLimitGroups} from '../../../runtime/platform/limit-groups.ts';
import {isRunning, type ProcessIdentity, type ProcessRow} from '../../../runtime/platform/processes.ts';
import {reachSchema} from '../../../schemas/branch.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerLife} from '../container-life.ts';
import {ContainerTable, type Entry, prepareState, requireData} from '../container-table.ts';
import {prepareAuthority} from '../own-authority.ts';
import type {
  Container,
  ContainerProvider,
  CreateRequest,
  Reach,
  ResourceLimits,
  Snapshot,
  StartOptions,
} from '../provider.ts';
import {saveSnapshot} from '../snapshots.ts';
import {createTableProvider, defaultStartTimeoutMs, type ProviderOptions} from '../table-provider.ts';
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
import {type ProcessRecord, processRecordSchema} from './process-record.ts';
import {startRuntime, uplinkPlace} from './runtime-start.ts';
import {hostsFile, ownLoopback, type Sandbox} from './sandbox.ts';
import {chooseSandbox, type WantedLevel} from './sandbox-choice.ts';
import {joinUplink, resolverFile} from './uplink.ts';

export interface ProcessProviderOptions extends ProviderOptions {
  readonly level: WantedLevel;
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
export async function createProcessProvider(given: ProcessProviderOptions): Promise<ContainerProvider> {
  if (process.platform !== 'linux') {
    throw new AppError(
      'UNSUPPORTED_PLATFORM',
      'The process provider needs Linux: it finds processes in /proc.',
    );
  }
  const options = {...given, stateDirectory: await prepareState(given.stateDirectory)};
  const sandbox = await chooseSandbox(options);
  const bootId = await readBootId();
  const table = new ContainerTable(options, {provider: 'process', schema: processRecordSchema});
  const life = new ProcessLife(options, {sandbox, bootId, table});
  await table.open((entry) => life.thawAfterCrash(entry));
  return createTableProvider({table, life, bootId, log: options.log});
}

class ProcessLife implements ContainerLife<ProcessRecord> {
  readonly name = 'process';
  readonly level: 'network' | 'sandbox' | 'plain';
  readonly gaps: readonly Reach[];
  readonly nothingRuns = {process: null, cgroup: null};
  readonly #options: ProcessProviderOptions;
  readonly #sandbox: Sandbox | null;
  readonly #bootId: string;
  readonly #table: ContainerTable<ProcessRecord>;

  constructor(
    options: ProcessProviderOptions,
    {
      sandbox,
      bootId,
      table,
    }: {
      readonly sandbox: Sandbox | null;
      readonly bootId: string;
      readonly table: ContainerTable<ProcessRecord>;
    },
  ) {
    this.#options = options;
    this.#sandbox = sandbox;
    this.level = sandbox === null ? 'plain' : sandbox.uplink === null ? 'sandbox' : 'network';
    this.gaps = gapsOf[this.level];
    this.#bootId = bootId;
    this.#table = table;
  }

  create(request: CreateRequest): Promise<ProcessEntry> {
    return this.#table.create(request, (record) => {
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
    });
  }

  /** What runs is read from /proc whenever it is asked for. */
  async look(): Promise<void> {}

  async lookAt(entry: ProcessEntry): Promise<boolean> {
    return this.isUp(entry);
  }

  async arrive(entry: ProcessEntry, {makeData = false}: StartOptions): Promise<boolean> {
    if (this.isUp(entry)) return true;
    await requireData(entry, makeData);
    return false;
  }

  isUp({record}: ProcessEntry): boolean {
    const {process} = record;
    return process !== null && process.boot_id === this.#bootId && isRunning(identity(process.runtime));
  }

  async prepare(entry: ProcessEntry): Promise<Partial<ProcessRecord>> {
    if (this.#sandbox !== null) {
      await this.#writeNames(entry, this.#sandbox);
      await prepareAuthority(entry.paths, this.#options);
    }
    const groups = await this.#makeLimitGroups(entry.record);
    return {
      level: this.level,
      // A sandbox has its pid namespace, which nothing leaves.
      cgroup: this.#sandbox === null ? await this.#ownCgroup(entry.record.id, groups) : null,
      limit_groups: groups,
    };
  }

  async run(
    {record, paths}: ProcessEntry,
    {signal}: {signal: AbortSignal},
  ): Promise<Pick<ProcessRecord, 'process'>> {
    const {runtimeCommand: command, runtimeDirectory: directory, domain, clock} = this.#options;
    const started = await startRuntime({
      record,
      paths,
      program: {command, directory},
      sandbox: this.#sandbox,
      domain,
      clock,
      timeoutMs: this.#options.startTimeoutMs ?? defaultStartTimeoutMs,
      signal,
    });
    return {
      process: {
        boot_id: this.#bootId,
        runtime: written(started.runtime),
        roots: started.roots.map(written),
        uplink: started.uplink === null ? null : written(started.uplink),
        kit_url: started.kitUrl,
        runtime_version: started.runtimeVersion,
      },
    };
  }

  async stop(entry: ProcessEntry, {graceMs, signal}: {graceMs: number; signal: AbortSignal}): Promise<void> {
    const {process} = entry.record;
    const scope = this.#scope(entry);
    // Looked up while the runtime still holds its family together.
    const family = await containerProcesses(scope);
    if (this.isUp(entry) && process !== null && graceMs > 0)
      await askToStop(identity(process.runtime), {graceMs, signal, clock: this.#options.clock});
    await this.#endAll(entry, {...scope, roots: [...scope.roots, ...family]});
  }

  end(entry: ProcessEntry): Promise<void> {
    return this.#endAll(entry, this.#scope(entry));
  }

  async discard(entry: ProcessEntry, {isQuiet}: {isQuiet: boolean}): Promise<void> {
    if (!isQuiet) await this.end(entry);
  }

  async limit(entry: ProcessEntry, limits: ResourceLimits): Promise<void> {
    if (!this.isUp(entry)) return;
    const {id} = entry.record;
    const groups = await setLimitGroups(`branchtab-${id}`, limits);
    await this.#table.save(entry, {
      limit_groups: groups,
      ...(entry.record.cgroup === null ? {} : {cgroup: await this.#ownCgroup(id, groups)}),
    });
    await moveIntoGroups(this.#scope(entry), groups);
  }

  async save(entry: ProcessEntry, snapshot: Snapshot): Promise<void> {
    const work = () =>
      saveSnapshot(this.#table.snapshots, {...snapshot, image: null, instances: null}, entry.paths);
    if (entry.record.wanted === 'stopped' && entry.record.process === null) return await work();
    const frozen: ProcessRow[] = [];
    const freeze = async () => {
      frozen.push(...(await freezeProcesses(this.#scope(entry), this.#options.clock)));
    };
    await this.#table.whileFrozen(entry, {freeze, thaw: async () => thawProcesses(frozen)}, work);
  }

  async thawAfterCrash(entry: ProcessEntry): Promise<void> {
    const rows = await containerProcesses(this.#scope(entry));
    thawProcesses(rows.map((row) => ({...row, state: ''})));
  }

  /** All that a container has is in its directory. */
  async removed(): Promise<void> {}
  async tidy(): Promise<void> {}

  runtimeOf({process}: ProcessRecord): ProcessRecord['process'] {
    return process;
  }

  lacks({limit_groups}: ProcessRecord): Container['unenforced'] {
    const all = ['cpus', 'memory'] as const;
    return all.filter((limit) => !limit_groups.some(({bounds}) => bounds.includes(limit)));
  }

  startedAt({level}: ProcessRecord): Container['startedAt'] {
    return level === this.level ? undefined : {level, gaps: gapsOf[level]};
  }

  watch(signal: AbortSignal): void {
    void this.#watch(signal);
  }

  /** Nothing is held. */
  close(): void {}

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

  async #watch(signal: AbortSignal): Promise<void> {
    const {clock, watchIntervalMs = 2_000, log} = this.#options;
    while (!signal.aborted) {
      this.#table.reportEnds((entry) => this.isUp(entry));
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
        await this.#table.save(entry, {process: {...process, roots, uplink: written(joined)}});
      });
    } catch (error) {
      log.error("a container's network cannot be connected", {id: entry.record.id, error});
    }
  }

  #isCutOff(entry: ProcessEntry): boolean {
    const uplink = entry.record.process?.uplink;
    return uplink != null && this.isUp(entry) && !isRunning(identity(uplink));
  }

  #scope({record}: ProcessEntry): ProcessScope {
    const sameBoot = record.process?.boot_id === this.#bootId;
    return {
      containerId: record.id,
      cgroup: record.cgroup,
      roots: sameBoot ? (record.process?.roots ?? []).map(identity) : [],
    };
  }

  async #endAll(entry: ProcessEntry, scope: ProcessScope): Promise<void> {
    await endProcesses(scope, this.#options.clock);
    await leaveCgroup(scope, this.#options.clock);
    for (const {directory} of entry.record.limit_groups)
      await leaveCgroup({...scope, cgroup: directory}, this.#options.clock);
  }
}

function identity({pid, start_ticks}: {pid: number; start_ticks: number}): ProcessIdentity {
  return {pid, startTicks: start_ticks};
}

function written({pid, startTicks}: ProcessIdentity): {pid: number; start_ticks: number} {
  return {pid, start_ticks: startTicks};
}
