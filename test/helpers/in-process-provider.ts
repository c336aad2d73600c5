import type {ContainerPaths} from '../../reconciler/containers/container-paths.ts';
import {type ContainerRecord, containerRecordSchema} from '../../reconciler/containers/container-record.ts';
import {
  ContainerTable,
  type Entry,
  nextBootMark,
  prepareState,
  requireData,
  stopAsked,
  type TableOptions,
} from '../../reconciler/containers/container-table.ts';
import type {Container, ContainerProvider, StartOptions} from '../../reconciler/containers/provider.ts';
import {saveSnapshot} from '../../reconciler/containers/snapshots.ts';
import {reachSchema} from '../../schemas/branch.ts';

/** What serves one container, in this process. */
export interface Inside {
  readonly kitUrl: string;
  readonly runtimeVersion: string;
  /** Ends it as SIGTERM does; `signal` cuts the grace short. */
  stop(options: {graceMs: number; signal: AbortSignal}): Promise<void>;
  /** Ends it as SIGKILL does. */
  kill(): Promise<void>;
}

export type StartInside = (
  record: ContainerRecord,
  paths: ContainerPaths,
  options: {signal: AbortSignal},
) => Promise<Inside>;

/**
 * Where containers run that are no processes. It outlives the controllers, each of which opens a provider of its own:
 * what one of them started is found by the next.
 */
export interface InProcessHost {
  open(options: TableOptions): Promise<ContainerProvider>;
  /** `kill -9` of the runtime of a container; false where none runs. */
  kill(id: string): Promise<boolean>;
  readonly running: ReadonlyMap<string, Inside>;
  close(): Promise<void>;
}

export function createInProcessHost(start: StartInside): InProcessHost {
  const running = new Map<string, Inside>();
  const watching = new Set<() => void>();
  const dying = new Map<string, Promise<void>>();
  const kill = async (id: string): Promise<boolean> => {
    const inside = running.get(id);
    if (inside === undefined) return false;
    running.delete(id);
    const death = inside.kill().finally(() => dying.delete(id));
    dying.set(id, death);
    await death;
    for (const look of watching) look();
    return true;
  };
  return {
    running,
    kill,
    async open(options) {
      const stateDirectory = await prepareState(options.stateDirectory);
      const table = new ContainerTable<ContainerRecord>(
        {...options, stateDirectory},
        {provider: 'process', schema: containerRecordSchema},
      );
      await table.open(async (entry) => table.save(entry, {frozen: false}));
      return createProvider(table, {running, watching, dying, start, kill});
    },
    async close() {
      for (const id of [...running.keys()]) await kill(id);
    },
  };
}

type InProcessEntry = Entry<ContainerRecord>;

/** Passes the part of the contract suite that is not about processes. */
function createProvider(
  table: ContainerTable<ContainerRecord>,
  {
    running,
    watching,
    dying,
    start,
    kill,
  }: {
    running: Map<string, Inside>;
    watching: Set<() => void>;
    /** Two of one container would share its files. */
    dying: ReadonlyMap<string, Promise<void>>;
    start: StartInside;
    kill: (id: string) => Promise<boolean>;
  },
): ContainerProvider {
  const isUp = ({record}: InProcessEntry) => running.has(record.id);
  const look = () => table.reportEnds(isUp);

  const view = (entry: InProcessEntry): Container => {
    const {record} = entry;
    const inside = running.get(record.id);
    const stopped = record.wanted === 'stopped' || entry.starting !== null;
    return {
      id: record.id,
      name: record.name,
      labels: record.labels,
      createdAt: record.created_at,
      state: inside !== undefined ? 'running' : stopped ? 'stopped' : 'failed',
      controlSocket: record.control_socket,
      kitUrl: inside?.kitUrl ?? null,
      runtimeVersion: inside?.runtimeVersion ?? null,
      limits: {cpus: record.limits.cpus, memoryBytes: record.limits.memory_bytes},
      unenforced: inside === undefined ? [] : ['cpus', 'memory'],
    };
  };

  const startInside = async (
    entry: InProcessEntry,
    {signal, paused = false}: StartOptions,
  ): Promise<void> => {
    await dying.get(entry.record.id);
    await table.prepareSockets(entry);
    const starting = new AbortController();
    entry.starting = starting;
    const signals = signal === undefined ? [starting.signal] : [starting.signal, signal];
    try {
      await table.save(entry, {
        wanted: 'running',
        control_socket: entry.paths.controlSocket,
        boot_mark: nextBootMark(entry.record, {bootId: 'thishost', paused}),
      });
      const inside = await start(entry.record, entry.paths, {signal: AbortSignal.any(signals)});
      running.set(entry.record.id, inside);
      entry.endReported = false;
    } catch (error) {
      entry.endReported = true;
      throw error;
    } finally {
      entry.starting = null;
    }
  };

  return {
    name: 'process',
    level: 'plain',
    gaps: reachSchema.options,
    list: async () => table.entries().map(view),
    create: async (request) => view(await table.create(request, (record) => record)),
    start: (id, options = {}) =>
      table.change(id, async (entry) => {
        const {signal, makeData = false} = options;
        signal?.throwIfAborted();
        if (!isUp(entry)) {
          await requireData(entry, makeData);
          await startInside(entry, options);
        }
        return view(entry);
      }),
    async stop(id, {graceMs}) {
      const entry = table.known(id);
      entry.starting?.abort(stopAsked(entry));
      await entry.turn(async () => {
        await table.saveEnd(entry, {wanted: 'stopped'});
        const inside = running.get(id);
        if (inside !== undefined && graceMs > 0) {
          const waiting = new AbortController();
          entry.waiting = waiting;
          await inside.stop({graceMs, signal: waiting.signal});
          entry.waiting = null;
          running.delete(id);
        }
        await kill(id);
      });
    },
    remove: (id) =>
      table.remove(id, async (entry) => {
        await table.saveEnd(entry, {wanted: 'stopped'});
        await kill(id);
      }),
    limit: (id, {cpus, memoryBytes}) =>
      table.change(id, async (entry) => {
        await table.save(entry, {limits: {cpus, memory_bytes: memoryBytes}});
        return view(entry);
      }),
    label: (id, labels) =>
      table.change(id, async (entry) => {
        await table.save(entry, {labels: table.labelsWith(entry, labels)});
        return view(entry);
      }),
    snapshot: (id, name) =>
      table.change(id, async (entry) => {
        const snapshot = {name, containerId: id, createdAt: table.timestamp()};
        await saveSnapshot(table.snapshots, {...snapshot, image: null, instances: null}, entry.paths);
        return snapshot;
      }),
    listSnapshots: () => table.listSnapshots(),
    removeSnapshot: (name) => table.removeSnapshot(name),
    watch(onEvent) {
      const unsubscribe = table.watch(onEvent);
      watching.add(look);
      look();
      return () => {
        unsubscribe();
        if (!table.isWatched) watching.delete(look);
      };
    },
    async close() {
      watching.delete(look);
      await table.close();
    },
  };
}
