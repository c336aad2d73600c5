import {randomBytes} from 'node:crypto';
import {basename, join} from 'node:path';
import {readBootId} from '../../../runtime/platform/boot-id.ts';
import {makeCgroup} from '../../../runtime/platform/cgroup.ts';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {
  kindOf,
  listNames,
  makeDirectory,
  moveDirectory,
  realDirectory,
} from '../../../runtime/platform/directories.ts';
import {isErrno, syncDirectory, writeFileDurably} from '../../../runtime/platform/durable-file.ts';
import {type LimitGroup, setLimitGroups} from '../../../runtime/platform/limit-groups.ts';
import type {Log} from '../../../runtime/platform/log.ts';
import {ensurePrivateDirectory} from '../../../runtime/platform/private-directory.ts';
import {isRunning, type ProcessIdentity} from '../../../runtime/platform/processes.ts';
import {createSerialLock} from '../../../runtime/platform/serial-lock.ts';
import {removeTree} from '../../../runtime/platform/tree-removal.ts';
import {reachSchema} from '../../../schemas/branch.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {
  Container,
  ContainerEvent,
  ContainerProvider,
  CreateRequest,
  Reach,
  ResourceLimits,
  Snapshot,
} from '../provider.ts';
import {type ContainerPaths, containerPaths} from './container-paths.ts';
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
import {type ContainerRecord, containerRecordSchema, readRecord, writeRecord} from './container-record.ts';
import {loopbackAddress} from './loopback-address.ts';
import {type RuntimeProgram, startRuntime} from './runtime-start.ts';
import {findSandbox, hostsFile, type Sandbox} from './sandbox.ts';
import {
  deleteSnapshot,
  readSnapshots,
  recoverSnapshots,
  restoreData,
  restoreWorkspace,
  type SnapshotStore,
  saveSnapshot,
} from './snapshots.ts';

export interface ProcessProviderOptions {
  /** Absolute. Containers live in `containers/`, snapshots in `snapshots/` below it. */
  readonly stateDirectory: string;
  /** Starts a runtime when `runtime --data ...` is appended; see runtime-binary.ts. */
  readonly runtimeCommand: readonly string[];
  /** Directory of the files that `runtimeCommand` names; a sandbox sees it read-only. */
  readonly runtimeDirectory: string;
  readonly clock: Clock;
  readonly log: Log;
  /** `auto` is the best that works here. */
  readonly level: 'auto' | 'sandbox' | 'plain';
  /** Where sockets go when the state directory's path is too long for them: `$XDG_RUNTIME_DIR`, or `/tmp`. */
  readonly socketRoot?: string;
  /** How long a runtime may take until it is ready. */
  readonly startTimeoutMs?: number;
  readonly watchIntervalMs?: number;
}

/** A container in memory. All changes of one go through its `turn`. */
interface Entry {
  record: ContainerRecord;
  readonly paths: ContainerPaths;
  readonly turn: <T>(work: () => Promise<T>) => Promise<T>;
  /** Set while a start is under way; stop and remove abort it. */
  starting: AbortController | null;
  /** Set while a stop waits out its grace; remove cuts it short. */
  waiting: AbortController | null;
  /** True once watchers were told of the present end. */
  endReported: boolean;
}

const readsAtOnce = 64;

/**
 * Opens the containers of a state directory, those included that an earlier controller left running.
 * Throws SANDBOX_REQUIRED when level `sandbox` is asked for and does not work here.
 */
export async function createProcessProvider(options: ProcessProviderOptions): Promise<ContainerProvider> {
  if (process.platform !== 'linux') {
    throw new AppError(
      'UNSUPPORTED_PLATFORM',
      'The process provider needs Linux: it finds processes in /proc.',
    );
  }
  await ensurePrivateDirectory(join(options.stateDirectory, 'containers'));
  await ensurePrivateDirectory(join(options.stateDirectory, 'snapshots'));
  const stateDirectory = await realDirectory(options.stateDirectory);
  const sandbox = await chooseSandbox(options, stateDirectory);
  const provider = new ProcessProvider({...options, stateDirectory}, sandbox, await readBootId());
  await provider.open();
  return provider;
}

async function chooseSandbox(
  {level, log}: ProcessProviderOptions,
  stateDirectory: string,
): Promise<Sandbox | null> {
  if (level === 'plain') return null;
  const found = await findSandbox(stateDirectory);
  if ('sandbox' in found) return found.sandbox;
  const advice =
    'Install bubblewrap (apt-get install bubblewrap, dnf install bubblewrap) and allow user namespaces, or use level plain.';
  if (level === 'sandbox')
    throw new AppError('SANDBOX_REQUIRED', `No sandbox works here: ${found.reason}. ${advice}`);
  log.warn(`no sandbox works here, containers are kept apart by directory only. ${advice}`, {
    reason: found.reason,
  });
  return null;
}

class ProcessProvider implements ContainerProvider {
  readonly name = 'process';
  readonly level: 'sandbox' | 'plain';
  readonly gaps: readonly Reach[];
  readonly #options: ProcessProviderOptions;
  readonly #sandbox: Sandbox | null;
  readonly #bootId: string;
  readonly #containersDirectory: string;
  readonly #snapshots: SnapshotStore;
  readonly #socketRoot: string;
  readonly #entries = new Map<string, Entry>();
  readonly #idsByName = new Map<string, string>();
  readonly #addresses = new Set<string>();
  /** Creations under way, by name, so that two of one name give one container. */
  readonly #creating = new Map<string, Promise<Container>>();
  readonly #watchers = new Set<(event: ContainerEvent) => void>();
  readonly #closed = new AbortController();
  #watchLoop: AbortController | null = null;
  #cleanup: Promise<void> = Promise.resolve();

  constructor(options: ProcessProviderOptions, sandbox: Sandbox | null, bootId: string) {
    this.#options = options;
    this.#sandbox = sandbox;
    this.level = sandbox === null ? 'plain' : 'sandbox';
    this.gaps = sandbox === null ? reachSchema.options : ['host_network'];
    this.#bootId = bootId;
    this.#containersDirectory = join(options.stateDirectory, 'containers');
    this.#snapshots = {directory: join(options.stateDirectory, 'snapshots'), turn: createSerialLock()};
    this.#socketRoot = join(options.socketRoot ?? '/tmp', `branchtab-${process.getuid?.() ?? 0}`);
  }

  /** Reads the table and finishes what a crash left half done. */
  async open(): Promise<void> {
    const names = await listNames(this.#containersDirectory);
    for (let start = 0; start < names.length; start += readsAtOnce) {
      await Promise.all(names.slice(start, start + readsAtOnce).map((name) => this.#readContainer(name)));
    }
    for (const entry of this.#entries.values()) {
      if (entry.record.frozen) await entry.turn(() => this.#thawAfterCrash(entry));
    }
    await recoverSnapshots(this.#snapshots);
    const unfinished = (directory: string, all: readonly string[]) =>
      all.filter((name) => /^\.(making|removing)-/.test(name)).map((name) => join(directory, name));
    const leftovers = [
      ...unfinished(this.#containersDirectory, names),
      ...unfinished(this.#snapshots.directory, await listNames(this.#snapshots.directory)),
    ];
    this.#cleanup = this.#removeLeftovers(leftovers);
  }

  async list(): Promise<Container[]> {
    return [...this.#entries.values()].map((entry) => this.#view(entry));
  }

  async create(request: CreateRequest): Promise<Container> {
    if (!containerRecordSchema.shape.name.safeParse(request.name).success) {
      throw new AppError(
        'INVALID_NAME',
        `${JSON.stringify(request.name.slice(0, 80))} is not a name for a container. Use 1 to 49 of a-z, 0-9 and "-".`,
      );
    }
    const id = this.#idsByName.get(request.name);
    const existing = id === undefined ? undefined : this.#entries.get(id);
    if (existing !== undefined) return this.#view(existing);
    const underWay = this.#creating.get(request.name);
    if (underWay !== undefined) return await underWay;
    const creation = this.#make(request).finally(() => this.#creating.delete(request.name));
    this.#creating.set(request.name, creation);
    return await creation;
  }

  async start(
    id: string,
    {signal, makeData = false}: {signal?: AbortSignal; makeData?: boolean} = {},
  ): Promise<Container> {
    const entry = this.#known(id);
    return await entry.turn(async () => {
      if (this.#entries.get(id) !== entry) throw notFound(id);
      signal?.throwIfAborted();
      if (!this.#isUp(entry)) {
        await requireData(entry, makeData);
        await this.#start(entry, signal);
      }
      return this.#view(entry);
    });
  }

  async stop(id: string, {graceMs, reason}: {graceMs: number; reason: string}): Promise<void> {
    const entry = this.#known(id);
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
    if (!/^[0-9a-f]{24}$/.test(id)) return;
    const entry = this.#entries.get(id);
    const removing = join(this.#containersDirectory, `.removing-${id}`);
    if (entry !== undefined) {
      entry.starting?.abort(stopAsked(entry));
      entry.waiting?.abort();
      await entry.turn(async () => {
        if (this.#entries.get(id) !== entry) return;
        if (!isQuiet(entry.record)) {
          await this.#saveEnd(entry, {wanted: 'stopped'});
          await this.#endAll(entry);
        }
        // From here on the container is gone, whatever a crash leaves of its files.
        await moveDirectory(entry.paths.directory, removing);
        await syncDirectory(this.#containersDirectory);
        this.#forget(entry);
        if (entry.paths.socketsElsewhere) await removeTree(entry.paths.socketHome);
      });
    }
    await removeTree(removing);
  }

  async limit(id: string, {cpus, memoryBytes}: ResourceLimits): Promise<Container> {
    const entry = this.#known(id);
    return await entry.turn(async () => {
      if (this.#entries.get(id) !== entry) throw notFound(id);
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
    const entry = this.#known(id);
    return await entry.turn(async () => {
      if (this.#entries.get(id) !== entry) throw notFound(id);
      const merged = Object.entries({...entry.record.labels, ...labels}).filter(
        (pair): pair is [string, string] => pair[1] !== null,
      );
      await this.#save(entry, {labels: Object.fromEntries(merged)});
      return this.#view(entry);
    });
  }

  async snapshot(id: string, name: string): Promise<Snapshot> {
    const entry = this.#known(id);
    return await entry.turn(async () => {
      const snapshot = {name, containerId: id, createdAt: this.#timestamp()};
      await this.#whileFrozen(entry, () => saveSnapshot(this.#snapshots, snapshot, entry.paths));
      return snapshot;
    });
  }

  async listSnapshots(): Promise<Snapshot[]> {
    return await readSnapshots(this.#snapshots);
  }

  async removeSnapshot(name: string): Promise<void> {
    await deleteSnapshot(this.#snapshots, name);
  }

  watch(onEvent: (event: ContainerEvent) => void): () => void {
    // A function of its own for every call, so that the same callback can watch twice.
    const watcher = (event: ContainerEvent) => onEvent(event);
    this.#watchers.add(watcher);
    if (this.#watchLoop === null) {
      this.#watchLoop = new AbortController();
      void this.#watch(AbortSignal.any([this.#watchLoop.signal, this.#closed.signal]));
    }
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size > 0) return;
      this.#watchLoop?.abort();
      this.#watchLoop = null;
    };
  }

  async close(): Promise<void> {
    this.#watchers.clear();
    this.#closed.abort();
    await this.#cleanup;
  }

  async #readContainer(name: string): Promise<void> {
    if (name.startsWith('.')) return;
    const directory = join(this.#containersDirectory, name);
    const record = /^[0-9a-f]{24}$/.test(name)
      ? await readRecord(directory)
      : {problem: 'not named by an id'};
    if ('problem' in record || record.id !== name) {
      const problem = 'problem' in record ? record.problem : `container.json is of ${record.id}`;
      this.#options.log.warn('skipped a directory that is not a container', {directory, problem});
      return;
    }
    this.#remember(record);
  }

  async #make({
    name,
    labels,
    from,
    withData = false,
    timeZone = 'UTC',
    limits,
  }: CreateRequest): Promise<Container> {
    const id = randomBytes(12).toString('hex');
    const paths = this.#paths(id);
    const record: ContainerRecord = {
      id,
      name,
      labels: {...labels},
      created_at: this.#timestamp(),
      time_zone: timeZone,
      wanted: 'stopped',
      level: this.level,
      address: loopbackAddress(id, this.#addresses),
      control_socket: paths.controlSocket,
      boot_mark: '',
      cgroup: null,
      limits: {cpus: limits?.cpus ?? null, memory_bytes: limits?.memoryBytes ?? null},
      limit_groups: [],
      frozen: false,
      process: null,
    };
    this.#addresses.add(record.address);
    const making = join(this.#containersDirectory, `.making-${id}`);
    const made = (path: string) => join(making, basename(path));
    try {
      await makeDirectory(made(paths.data), {mode: 0o755});
      await makeDirectory(made(paths.workspace), {mode: 0o755});
      await makeDirectory(made(paths.store), {mode: 0o700});
      if (from !== undefined) {
        const files = {workspace: made(paths.workspace), workspaceRecord: made(paths.workspaceRecord)};
        await restoreWorkspace(this.#snapshots, from, files);
        if (withData) await restoreData(this.#snapshots, from, made(paths.data));
      }
      await writeRecord(making, record);
      await moveDirectory(making, paths.directory);
      await syncDirectory(this.#containersDirectory);
    } catch (error) {
      this.#addresses.delete(record.address);
      await removeTree(making);
      throw error;
    }
    return this.#view(this.#remember(record));
  }

  async #start(entry: Entry, signal: AbortSignal | undefined): Promise<void> {
    const {clock, log, startTimeoutMs = 10_000} = this.#options;
    const {record, paths} = entry;
    if (!isQuiet(record)) await this.#endAll(entry);
    // The same mark tells the runtime that it was down for a moment only: jobs of @reboot do not run again.
    const marks = this.#bootId.slice(0, 8);
    const again = record.wanted === 'running' && record.boot_mark.startsWith(marks);
    await this.#prepareDirectories(entry);
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
        boot_mark: again ? record.boot_mark : `${marks}-${randomBytes(8).toString('hex')}`,
      });
      const started = await startRuntime({
        record: entry.record,
        paths,
        program: {
          command: this.#options.runtimeCommand,
          directory: this.#options.runtimeDirectory,
        } satisfies RuntimeProgram,
        sandbox: this.#sandbox,
        clock,
        timeoutMs: startTimeoutMs,
        signal: signal === undefined ? starting.signal : AbortSignal.any([starting.signal, signal]),
      });
      await this.#save(entry, {
        process: {
          boot_id: this.#bootId,
          runtime: written(started.runtime),
          roots: started.roots.map(written),
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

  /** Of version 2 there is one for each process: that of the limits, where there are some. */
  async #ownCgroup(id: string, groups: readonly LimitGroup[]): Promise<string | null> {
    return groups.find(({version}) => version === 2)?.directory ?? (await makeCgroup(`branchtab-${id}`));
  }

  async #makeLimitGroups({id, limits}: ContainerRecord): Promise<LimitGroup[]> {
    if (limits.cpus === null && limits.memory_bytes === null) return [];
    const {cpus, memory_bytes: memoryBytes} = limits;
    return await setLimitGroups(`branchtab-${id}`, {cpus, memoryBytes});
  }

  async #prepareDirectories({record, paths}: Entry): Promise<void> {
    if (paths.socketsElsewhere) {
      await ensurePrivateDirectory(this.#socketRoot);
      await ensurePrivateDirectory(paths.socketHome);
    }
    // A new one each time: jobs can write there, and what they left is not to be trusted.
    await removeTree(paths.run);
    await makeDirectory(paths.run, {mode: 0o700});
    if (this.#sandbox !== null) {
      await writeFileDurably(paths.hosts, hostsFile(record.address, record.name), {mode: 0o644});
    }
  }

  /** Runs `work` while no process of the container does; they go on afterwards in any case. */
  async #whileFrozen(entry: Entry, work: () => Promise<void>): Promise<void> {
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

  async #thawAfterCrash(entry: Entry): Promise<void> {
    const rows = await containerProcesses(this.#scope(entry));
    thawProcesses(rows.map((row) => ({...row, state: ''})));
    await this.#save(entry, {frozen: false});
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const {clock, watchIntervalMs = 2_000, log} = this.#options;
    while (!signal.aborted) {
      this.#reportEnds();
      try {
        await clock.sleep(watchIntervalMs, {signal});
      } catch (error) {
        if (!signal.aborted) log.error('watching containers failed', {error});
        return;
      }
    }
  }

  #reportEnds(): void {
    for (const entry of this.#entries.values()) {
      const shouldRun = entry.record.wanted === 'running' && entry.starting === null;
      if (!shouldRun || entry.endReported || this.#isUp(entry)) continue;
      entry.endReported = true;
      for (const watcher of this.#watchers) this.#tell(watcher, {id: entry.record.id, type: 'exited'});
    }
  }

  #tell(watcher: (event: ContainerEvent) => void, event: ContainerEvent): void {
    try {
      watcher(event);
    } catch (error) {
      this.#options.log.error('a watcher of containers failed', {event, error});
    }
  }

  async #removeLeftovers(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      try {
        await removeTree(path);
      } catch (error) {
        this.#options.log.warn('cannot remove what an earlier removal left', {path, error});
      }
    }
  }

  #known(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw notFound(id);
    return entry;
  }

  #remember(record: ContainerRecord): Entry {
    const entry: Entry = {
      record,
      paths: this.#paths(record.id),
      turn: createSerialLock(),
      starting: null,
      waiting: null,
      endReported: false,
    };
    this.#entries.set(record.id, entry);
    this.#idsByName.set(record.name, record.id);
    this.#addresses.add(record.address);
    return entry;
  }

  #forget({record}: Entry): void {
    this.#entries.delete(record.id);
    this.#idsByName.delete(record.name);
    this.#addresses.delete(record.address);
  }

  /** Durable first, then in memory. */
  async #save(entry: Entry, change: Partial<ContainerRecord>): Promise<void> {
    const record = {...entry.record, ...change};
    await writeRecord(entry.paths.directory, record);
    entry.record = record;
  }

  /** What ends must end on a full disk too. Whoever reads the old record finds no process and decides anew. */
  async #saveEnd(entry: Entry, change: Partial<ContainerRecord>): Promise<void> {
    try {
      await this.#save(entry, change);
    } catch (error) {
      if (!isErrno(error, 'ENOSPC')) throw error;
      this.#options.log.warn('the disk is full; the end of a container is not on record', {
        id: entry.record.id,
      });
      entry.record = {...entry.record, ...change};
    }
  }

  #isUp({record}: Entry): boolean {
    const {process} = record;
    return process !== null && process.boot_id === this.#bootId && isRunning(identity(process.runtime));
  }

  #scope({record}: Entry): ProcessScope {
    const sameBoot = record.process?.boot_id === this.#bootId;
    return {
      containerId: record.id,
      cgroup: record.cgroup,
      roots: sameBoot ? (record.process?.roots ?? []).map(identity) : [],
    };
  }

  async #endAll(entry: Entry, scope = this.#scope(entry)): Promise<void> {
    await endProcesses(scope, this.#options.clock);
    await leaveCgroup(scope, this.#options.clock);
    for (const {directory} of entry.record.limit_groups)
      await leaveCgroup({...scope, cgroup: directory}, this.#options.clock);
  }

  #view(entry: Entry): Container {
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
    };
  }

  #paths(id: string): ContainerPaths {
    return containerPaths(this.#containersDirectory, id, this.#socketRoot);
  }

  #timestamp(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }
}

function unenforced({limits, limit_groups}: ContainerRecord): Container['unenforced'] {
  const wanted = [
    ...(limits.cpus === null ? [] : ['cpus' as const]),
    ...(limits.memory_bytes === null ? [] : ['memory' as const]),
  ];
  return wanted.filter((limit) => !limit_groups.some(({bounds}) => bounds.includes(limit)));
}

/** A container that starts without the data it had would say nothing and begin anew. */
async function requireData({record, paths}: Entry, makeData: boolean): Promise<void> {
  if ((await kindOf(paths.data)) === 'directory') return;
  if (!makeData) {
    throw new AppError(
      'DATA_LOST',
      `The data directory of ${record.name} is gone: ${paths.data}. \`branchtab data restore\` brings a branch's back from its backup; make an empty one to begin anew.`,
    );
  }
  await makeDirectory(paths.data, {mode: 0o755});
}

/** True when nothing of the container can be running, so that nothing has to be looked for. */
function isQuiet(record: ContainerRecord): boolean {
  return record.wanted === 'stopped' && record.process === null;
}

function identity({pid, start_ticks}: {pid: number; start_ticks: number}): ProcessIdentity {
  return {pid, startTicks: start_ticks};
}

function written({pid, startTicks}: ProcessIdentity): {pid: number; start_ticks: number} {
  return {pid, start_ticks: startTicks};
}

function notFound(id: string): AppError {
  return new AppError('CONTAINER_NOT_FOUND', `There is no container ${JSON.stringify(id.slice(0, 64))}.`);
}

function stopAsked({record}: Entry): AppError {
  return new AppError('CONTAINER_UNAVAILABLE', `The start of ${record.name} was given up: it is to stop.`);
}
