import type {ContainerLife} from '../../reconciler/containers/container-life.ts';
import type {ContainerPaths} from '../../reconciler/containers/container-paths.ts';
import {type ContainerRecord, containerRecordSchema} from '../../reconciler/containers/container-record.ts';
import {
  ContainerTable,
  type Entry,
  prepareState,
  requireData,
  type TableOptions,
} from '../../reconciler/containers/container-table.ts';
import type {ContainerProvider} from '../../reconciler/containers/provider.ts';
import {saveSnapshot} from '../../reconciler/containers/snapshots.ts';
import {createTableProvider} from '../../reconciler/containers/table-provider.ts';
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
      await table.open(async () => {});
      const life = createLife(table, {running, watching, dying, start, kill});
      return createTableProvider({table, life, bootId: 'thishost', log: options.log});
    },
    async close() {
      for (const id of [...running.keys()]) await kill(id);
    },
  };
}

/** Passes the part of the contract suite that is not about processes. */
function createLife(
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
): ContainerLife<ContainerRecord> {
  const isUp = ({record}: Entry<ContainerRecord>) => running.has(record.id);
  const look = () => table.reportEnds(isUp);
  const end = async ({record}: Entry<ContainerRecord>) => void (await kill(record.id));
  const nothing = async () => {};
  return {
    name: 'process',
    level: 'plain',
    gaps: reachSchema.options,
    nothingRuns: {},
    create: (request) => table.create(request, (record) => record),
    look: nothing,
    lookAt: async (entry) => isUp(entry),
    async arrive(entry, {makeData = false}) {
      await dying.get(entry.record.id);
      if (isUp(entry)) return true;
      await requireData(entry, makeData);
      return false;
    },
    isUp,
    prepare: async () => ({}),
    async run({record, paths}, {signal}) {
      running.set(record.id, await start(record, paths, {signal}));
      return {};
    },
    async stop(entry, {graceMs, signal}) {
      const {id} = entry.record;
      const inside = running.get(id);
      if (inside !== undefined && graceMs > 0) {
        await inside.stop({graceMs, signal});
        running.delete(id);
      }
      await end(entry);
    },
    end,
    discard: end,
    limit: nothing,
    save: (entry, snapshot) =>
      saveSnapshot(table.snapshots, {...snapshot, image: null, instances: null}, entry.paths),
    removed: nothing,
    tidy: nothing,
    runtimeOf({id}) {
      const inside = running.get(id);
      return inside === undefined ? null : {kit_url: inside.kitUrl, runtime_version: inside.runtimeVersion};
    },
    lacks: () => ['cpus', 'memory'],
    startedAt: () => undefined,
    watch(signal) {
      watching.add(look);
      signal.addEventListener('abort', () => watching.delete(look));
      look();
    },
    close() {},
  };
}
