import {randomBytes} from 'node:crypto';
import {join, relative} from 'node:path';
import type * as z from 'zod';
import type {Clock} from '../../runtime/platform/clock.ts';
import {
  kindOf,
  listNames,
  makeDirectory,
  moveDirectory,
  realDirectory,
} from '../../runtime/platform/directories.ts';
import {isErrno, syncDirectory} from '../../runtime/platform/durable-file.ts';
import type {Log} from '../../runtime/platform/log.ts';
import {ensurePrivateDirectory} from '../../runtime/platform/private-directory.ts';
import {createSerialLock} from '../../runtime/platform/serial-lock.ts';
import {removeTree} from '../../runtime/platform/tree-removal.ts';
import {pausedBoot} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import {type ContainerPaths, containerPaths} from './container-paths.ts';
import {type ContainerRecord, containerRecordSchema, readRecord, writeRecord} from './container-record.ts';
import type {ContainerEvent, CreateRequest, Snapshot} from './provider.ts';
import {
  deleteSnapshot,
  readSnapshots,
  recoverSnapshots,
  restoreData,
  restoreWorkspace,
  type SnapshotStore,
} from './snapshots.ts';

/** A container in memory. All changes of one go through its `turn`. */
export interface Entry<Kept extends ContainerRecord> {
  record: Kept;
  readonly paths: ContainerPaths;
  readonly turn: <T>(work: () => Promise<T>) => Promise<T>;
  /** Set while a start is under way; stop and remove abort it. */
  starting: AbortController | null;
  /** Set while a stop waits out its grace; remove cuts it short. */
  waiting: AbortController | null;
  /** True once watchers were told of the present end. */
  endReported: boolean;
}

export interface TableOptions {
  /** Absolute. Containers live in `containers/`, snapshots in `snapshots/` below it. */
  readonly stateDirectory: string;
  /** Where sockets go when the state directory's path is too long for them: `$XDG_RUNTIME_DIR`, or `/tmp`. */
  readonly socketRoot?: string;
  /** Below it lie further names of a container's own kits, inside of it. */
  readonly domain?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

const readsAtOnce = 64;

/**
 * The containers of a state directory, as far as they are directories with a record: what every provider does
 * alike. What runs in them is the provider's.
 */
export class ContainerTable<Kept extends ContainerRecord> {
  readonly directory: string;
  readonly snapshots: SnapshotStore;
  readonly socketRoot: string;
  readonly #options: TableOptions;
  readonly #provider: Kept['provider'];
  readonly #schema: z.ZodType<Kept>;
  readonly #keepsFiles: boolean;
  readonly #entries = new Map<string, Entry<Kept>>();
  readonly #idsByName = new Map<string, string>();
  /** Creations under way, by name, so that two of one name give one container. */
  readonly #creating = new Map<string, Promise<Entry<Kept>>>();
  readonly #watchers = new Set<(event: ContainerEvent) => void>();
  #cleanup: Promise<void> = Promise.resolve();

  /** `keepsFiles` is false where containers have their files elsewhere, not in their directories here. */
  constructor(
    options: TableOptions,
    {
      provider,
      schema,
      keepsFiles = true,
    }: {provider: Kept['provider']; schema: z.ZodType<Kept>; keepsFiles?: boolean},
  ) {
    this.#options = options;
    this.#keepsFiles = keepsFiles;
    this.#provider = provider;
    this.#schema = schema;
    this.directory = join(options.stateDirectory, 'containers');
    this.snapshots = {directory: join(options.stateDirectory, 'snapshots'), turn: createSerialLock()};
    this.socketRoot = join(options.socketRoot ?? '/tmp', `branchtab-${process.getuid?.() ?? 0}`);
  }

  /** Reads the table; `thaw` lets those processes go on that a crash left stopped for a snapshot. */
  async open(thaw: (entry: Entry<Kept>) => Promise<void>): Promise<void> {
    const names = await listNames(this.directory);
    for (let start = 0; start < names.length; start += readsAtOnce) {
      await Promise.all(names.slice(start, start + readsAtOnce).map((name) => this.#read(name)));
    }
    for (const entry of this.#entries.values()) {
      if (!entry.record.frozen) continue;
      await entry.turn(async () => {
        await thaw(entry);
        await this.save(entry, {frozen: false});
      });
    }
    await recoverSnapshots(this.snapshots);
    const unfinished = (directory: string, all: readonly string[]) =>
      all.filter((name) => /^\.(making|removing)-/.test(name)).map((name) => join(directory, name));
    const leftovers = [
      ...unfinished(this.directory, names),
      ...unfinished(this.snapshots.directory, await listNames(this.snapshots.directory)),
    ];
    this.#cleanup = this.#removeLeftovers(leftovers);
  }

  entries(): Entry<Kept>[] {
    return [...this.#entries.values()];
  }

  find(id: string): Entry<Kept> | null {
    return this.#entries.get(id) ?? null;
  }

  /** Throws CONTAINER_NOT_FOUND. */
  known(id: string): Entry<Kept> {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw notFound(id);
    return entry;
  }

  /** Takes the container's turn; throws CONTAINER_NOT_FOUND where it is gone by then. */
  async change<T>(id: string, work: (entry: Entry<Kept>) => Promise<T>): Promise<T> {
    const entry = this.known(id);
    return await entry.turn(async () => {
      if (this.#entries.get(id) !== entry) throw notFound(id);
      return await work(entry);
    });
  }

  /**
   * Idempotent by name. `complete` makes the record of the provider's out of what all have. Throws INVALID_NAME,
   * SNAPSHOT_NOT_FOUND.
   */
  async create(
    request: CreateRequest,
    complete: (record: ContainerRecord) => Kept | Promise<Kept>,
  ): Promise<Entry<Kept>> {
    if (!containerRecordSchema.shape.name.safeParse(request.name).success) {
      throw new AppError(
        'INVALID_NAME',
        `${JSON.stringify(request.name.slice(0, 80))} is not a name for a container. Use 1 to 49 of a-z, 0-9 and "-".`,
      );
    }
    const id = this.#idsByName.get(request.name);
    const existing = id === undefined ? undefined : this.#entries.get(id);
    if (existing !== undefined) return existing;
    const underWay = this.#creating.get(request.name);
    if (underWay !== undefined) return await underWay;
    const creation = this.#make(request, complete).finally(() => this.#creating.delete(request.name));
    this.#creating.set(request.name, creation);
    return await creation;
  }

  /** Durable first, then in memory. */
  async save(entry: Entry<Kept>, change: Partial<Kept> | Partial<ContainerRecord>): Promise<void> {
    const record = {...entry.record, ...change};
    await writeRecord(entry.paths.directory, record);
    entry.record = record;
  }

  /** What ends must end on a full disk too. Whoever reads the old record finds nothing running and decides anew. */
  async saveEnd(entry: Entry<Kept>, change: Partial<Kept> | Partial<ContainerRecord>): Promise<void> {
    try {
      await this.save(entry, change);
    } catch (error) {
      if (!isErrno(error, 'ENOSPC')) throw error;
      this.#options.log.warn('the disk is full; the end of a container is not on record', {
        id: entry.record.id,
      });
      entry.record = {...entry.record, ...change};
    }
  }

  /** Merges labels; null removes one. */
  async label(entry: Entry<Kept>, labels: Readonly<Record<string, string | null>>): Promise<void> {
    const merged = Object.entries({...entry.record.labels, ...labels}).filter(
      (pair): pair is [string, string] => pair[1] !== null,
    );
    await this.save(entry, {labels: Object.fromEntries(merged)});
  }

  /** Runs `work` while no process of the container does; they go on afterwards in any case. */
  async whileFrozen(
    entry: Entry<Kept>,
    {freeze, thaw}: {readonly freeze: () => Promise<void>; readonly thaw: () => Promise<void>},
    work: () => Promise<void>,
  ): Promise<void> {
    // On record, so that a crash in between is mended when the table is opened.
    await this.save(entry, {frozen: true});
    try {
      await freeze();
      await work();
    } finally {
      await thaw();
      await this.save(entry, {frozen: false});
    }
  }

  /** Sockets of a start: a new directory each time, since jobs can write there and what they left is not to be trusted. */
  async prepareSockets({paths}: Entry<Kept>): Promise<void> {
    if (paths.socketsElsewhere) {
      await ensurePrivateDirectory(this.socketRoot);
      await ensurePrivateDirectory(paths.socketHome);
    }
    await removeTree(paths.run);
    await makeDirectory(paths.run, {mode: 0o700});
  }

  /**
   * Removes the files of a container. `end` ends what runs; from then on the container is gone, whatever a crash
   * leaves of its files. Does nothing for an unknown id.
   */
  async remove(id: string, end: (entry: Entry<Kept>) => Promise<void>): Promise<void> {
    if (!/^[0-9a-f]{24}$/.test(id)) return;
    const entry = this.#entries.get(id);
    const removing = join(this.directory, `.removing-${id}`);
    if (entry !== undefined) {
      entry.starting?.abort(stopAsked(entry));
      entry.waiting?.abort();
      await entry.turn(async () => {
        if (this.#entries.get(id) !== entry) return;
        await end(entry);
        await moveDirectory(entry.paths.directory, removing);
        await syncDirectory(this.directory);
        this.#entries.delete(id);
        this.#idsByName.delete(entry.record.name);
        if (entry.paths.socketsElsewhere) await removeTree(entry.paths.socketHome);
      });
    }
    await removeTree(removing);
  }

  async listSnapshots(): Promise<Snapshot[]> {
    const stored = await readSnapshots(this.snapshots);
    return stored.map(({name, containerId, createdAt}) => ({name, containerId, createdAt}));
  }

  async removeSnapshot(name: string): Promise<void> {
    await deleteSnapshot(this.snapshots, name);
  }

  /** True while somebody watches. */
  get isWatched(): boolean {
    return this.#watchers.size > 0;
  }

  watch(onEvent: (event: ContainerEvent) => void): () => void {
    // A function of its own for every call, so that the same callback can watch twice.
    const watcher = (event: ContainerEvent) => onEvent(event);
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Tells watchers of containers that should run and do not, once for each end, and of those that are back. */
  reportEnds(isUp: (entry: Entry<Kept>) => boolean): void {
    for (const entry of this.#entries.values()) {
      const shouldRun = entry.record.wanted === 'running' && entry.starting === null;
      const hasEnded = !isUp(entry);
      if (!shouldRun || entry.endReported === hasEnded) continue;
      entry.endReported = hasEnded;
      const type = hasEnded ? 'exited' : 'returned';
      for (const watcher of this.#watchers) this.#tell(watcher, {id: entry.record.id, type});
    }
  }

  timestamp(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }

  async close(): Promise<void> {
    this.#watchers.clear();
    await this.#cleanup;
  }

  async #read(name: string): Promise<void> {
    if (name.startsWith('.')) return;
    const directory = join(this.directory, name);
    const record = /^[0-9a-f]{24}$/.test(name)
      ? await readRecord(directory, this.#schema)
      : {problem: 'not named by an id'};
    if ('problem' in record || record.id !== name) {
      await this.#refuseOtherProvider(directory);
      const problem = 'problem' in record ? record.problem : `container.json is of ${record.id}`;
      this.#options.log.warn('skipped a directory that is not a container', {directory, problem});
      return;
    }
    this.#remember(record);
  }

  /** Who goes on without them would make every container anew beside those that run. Throws CONFIG_INVALID. */
  async #refuseOtherProvider(directory: string): Promise<void> {
    const record = await readRecord(directory, containerRecordSchema);
    if ('problem' in record || record.provider === this.#provider) return;
    throw new AppError(
      'CONFIG_INVALID',
      `The containers in ${this.directory} were made by provider ${record.provider}. Go on with --provider ${record.provider}, use another --state, or remove them first: \`branchtab down --purge\`.`,
    );
  }

  async #make(
    {name, labels, from, withData = false, timeZone = 'UTC', limits}: CreateRequest,
    complete: (record: ContainerRecord) => Kept | Promise<Kept>,
  ): Promise<Entry<Kept>> {
    const id = randomBytes(12).toString('hex');
    const paths = this.#paths(id);
    const record = await complete({
      provider: this.#provider,
      id,
      name,
      labels: {...labels},
      created_at: this.timestamp(),
      time_zone: timeZone,
      wanted: 'stopped',
      control_socket: paths.controlSocket,
      boot_mark: '',
      limits: {cpus: limits?.cpus ?? null, memory_bytes: limits?.memoryBytes ?? null},
      frozen: false,
    });
    const making = join(this.directory, `.making-${id}`);
    const made = (path: string) => join(making, relative(paths.directory, path));
    try {
      await makeDirectory(making, {mode: 0o755});
      if (this.#keepsFiles) await this.#makeFiles(made, paths, from === undefined ? null : {from, withData});
      await writeRecord(making, record);
      await moveDirectory(making, paths.directory);
      await syncDirectory(this.directory);
    } catch (error) {
      await removeTree(making);
      throw error;
    }
    return this.#remember(record);
  }

  async #makeFiles(
    made: (path: string) => string,
    paths: ContainerPaths,
    snapshot: {readonly from: string; readonly withData: boolean} | null,
  ): Promise<void> {
    await makeDirectory(made(paths.data), {mode: 0o755});
    await makeDirectory(made(paths.workspace), {mode: 0o755});
    await makeDirectory(made(paths.store), {mode: 0o700});
    if (snapshot === null) return;
    const {from, withData} = snapshot;
    const files = {workspace: made(paths.workspace), workspaceRecord: made(paths.workspaceRecord)};
    await restoreWorkspace(this.snapshots, from, files);
    if (withData) await restoreData(this.snapshots, from, made(paths.data));
  }

  #remember(record: Kept): Entry<Kept> {
    const entry: Entry<Kept> = {
      record,
      paths: this.#paths(record.id),
      turn: createSerialLock(),
      starting: null,
      waiting: null,
      endReported: false,
    };
    this.#entries.set(record.id, entry);
    this.#idsByName.set(record.name, record.id);
    return entry;
  }

  #paths(id: string): ContainerPaths {
    return containerPaths(this.directory, id, this.socketRoot);
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
}

/** The state directory without links, with the private directories that a table needs. */
export async function prepareState(stateDirectory: string): Promise<string> {
  await ensurePrivateDirectory(join(stateDirectory, 'containers'));
  await ensurePrivateDirectory(join(stateDirectory, 'snapshots'));
  return await realDirectory(stateDirectory);
}

/** A container that starts without the data it had would say nothing and begin anew. */
export async function requireData({record, paths}: Entry<ContainerRecord>, makeData: boolean): Promise<void> {
  if ((await kindOf(paths.data)) === 'directory') return;
  if (!makeData) throw dataLost(record, paths.data);
  await makeDirectory(paths.data, {mode: 0o755});
}

export function dataLost({name}: ContainerRecord, path: string): AppError {
  return new AppError(
    'DATA_LOST',
    `The data directory of ${name} is gone: ${path}. \`branchtab data restore\` brings a branch's back from its backup; make an empty one to begin anew.`,
  );
}

/**
 * The same mark tells a runtime that it was down for a moment only: jobs of @reboot do not run again. After a paused
 * start the next one has another.
 */
export function nextBootMark(
  {wanted, boot_mark}: ContainerRecord,
  {bootId, paused}: {bootId: string; paused: boolean},
): string {
  const host = bootId.slice(0, 8);
  if (!paused && wanted === 'running' && boot_mark.startsWith(host)) return boot_mark;
  return `${paused ? pausedBoot : ''}${host}-${randomBytes(8).toString('hex')}`;
}

export function stopAsked({record}: Entry<ContainerRecord>): AppError {
  return new AppError('CONTAINER_UNAVAILABLE', `The start of ${record.name} was given up: it is to stop.`);
}

function notFound(id: string): AppError {
  return new AppError('CONTAINER_NOT_FOUND', `There is no container ${JSON.stringify(id.slice(0, 64))}.`);
}
