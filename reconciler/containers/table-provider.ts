import type {Log} from '../../runtime/platform/log.ts';
import type {ContainerLife} from './container-life.ts';
import type {ContainerRecord} from './container-record.ts';
import {
  type ContainerTable,
  type Entry,
  nextBootMark,
  stopAsked,
  type TableOptions,
} from './container-table.ts';
import type {Container, ContainerProvider, StartOptions} from './provider.ts';
import {checkSnapshotName} from './snapshots.ts';

export interface ProviderOptions extends TableOptions {
  /** Starts a runtime when `runtime --data ...` is appended; see runtime-binary.ts. */
  readonly runtimeCommand: readonly string[];
  /** Directory of the files that `runtimeCommand` names; containers see it read-only. */
  readonly runtimeDirectory: string;
  /** How long a runtime may take until it is ready. */
  readonly startTimeoutMs?: number;
  /** After this it is looked again for what ended, or an engine is asked for its events again when they ended. */
  readonly watchIntervalMs?: number;
}

export const defaultStartTimeoutMs = 10_000;

export interface TableProviderOptions<Kept extends ContainerRecord> {
  readonly table: ContainerTable<Kept>;
  readonly life: ContainerLife<Kept>;
  readonly bootId: string;
  readonly log: Log;
}

/** A provider of the containers of an open table: what each of its verbs writes down, and when. */
export function createTableProvider<Kept extends ContainerRecord>({
  table,
  life,
  bootId,
  log,
}: TableProviderOptions<Kept>): ContainerProvider {
  const closed = new AbortController();
  let watching: AbortController | null = null;

  const view = (entry: Entry<Kept>): Container => {
    const {record} = entry;
    const up = life.isUp(entry);
    const stopped = record.wanted === 'stopped' || entry.starting !== null;
    const runtime = life.runtimeOf(record);
    const limits = {cpus: record.limits.cpus, memoryBytes: record.limits.memory_bytes};
    const bounded = {cpus: limits.cpus !== null, memory: limits.memoryBytes !== null};
    const startedAt = up ? life.startedAt(record) : undefined;
    return {
      id: record.id,
      name: record.name,
      labels: record.labels,
      createdAt: record.created_at,
      state: up ? 'running' : stopped ? 'stopped' : 'failed',
      controlSocket: record.control_socket,
      kitUrl: up ? (runtime?.kit_url ?? null) : null,
      runtimeVersion: runtime?.runtime_version ?? null,
      limits,
      unenforced: up ? life.lacks(record).filter((limit) => bounded[limit]) : [],
      ...(startedAt === undefined ? {} : {startedAt}),
    };
  };

  /** True when nothing of the container can be running, as far as is on record. */
  const isQuiet = ({record}: Entry<Kept>): boolean =>
    record.wanted === 'stopped' && life.runtimeOf(record) === null;

  const start = async (entry: Entry<Kept>, {signal, paused = false}: StartOptions): Promise<void> => {
    await table.prepareSockets(entry);
    const starting = new AbortController();
    entry.starting = starting;
    const {id, name} = entry.record;
    try {
      const prepared = await life.prepare(entry);
      // Written before it runs: after a crash in between the next start or stop ends what this one began.
      await table.save(entry, {
        ...life.nothingRuns,
        ...prepared,
        wanted: 'running',
        control_socket: entry.paths.controlSocket,
        boot_mark: nextBootMark(entry.record, {bootId, paused}),
      });
      const given = signal === undefined ? starting.signal : AbortSignal.any([starting.signal, signal]);
      await table.save(entry, await life.run(entry, {signal: given}));
      entry.endReported = false;
      const kitUrl = life.runtimeOf(entry.record)?.kit_url;
      log.info('started container', {id, name, level: life.level, kit_url: kitUrl});
    } catch (error) {
      // The caller learns it from the error; watchers are for ends that nobody saw.
      entry.endReported = true;
      await life.end(entry).catch((cause: unknown) => {
        // The start is what the caller asked for; what is left is ended by the next one, or by a stop.
        log.warn('what a failed start left could not be ended', {id, error: cause});
      });
      throw error;
    } finally {
      entry.starting = null;
    }
  };

  return {
    name: life.name,
    level: life.level,
    gaps: life.gaps,

    async list() {
      await life.look();
      return table.entries().map(view);
    },

    create: async (request) => view(await life.create(request)),

    start: (id, options: StartOptions = {}) =>
      table.change(id, async (entry) => {
        options.signal?.throwIfAborted();
        const mayRun = await life.arrive(entry, options);
        if (!life.isUp(entry)) {
          if (mayRun || !isQuiet(entry)) await life.end(entry);
          await start(entry, options);
        }
        return view(entry);
      }),

    async stop(id, {graceMs, reason}) {
      const entry = table.known(id);
      entry.starting?.abort(stopAsked(entry));
      await entry.turn(async () => {
        const mayRun = await life.lookAt(entry);
        if (isQuiet(entry) && !mayRun) return;
        log.info('stopping container', {id, name: entry.record.name, reason, grace_ms: graceMs});
        await table.saveEnd(entry, {wanted: 'stopped'});
        const waiting = new AbortController();
        entry.waiting = waiting;
        try {
          await life.stop(entry, {graceMs, signal: waiting.signal});
        } finally {
          entry.waiting = null;
        }
        await table.saveEnd(entry, life.nothingRuns);
      });
    },

    async remove(id) {
      const isKnown = table.find(id) !== null;
      await table.remove(id, async (entry) => {
        const quiet = isQuiet(entry);
        if (!quiet) await table.saveEnd(entry, {wanted: 'stopped'});
        await life.discard(entry, {isQuiet: quiet});
      });
      if (isKnown) await life.removed(id);
    },

    limit: (id, limits) =>
      table.change(id, async (entry) => {
        const {cpus, memoryBytes} = limits;
        await table.save(entry, {limits: {cpus, memory_bytes: memoryBytes}});
        await life.limit(entry, limits);
        return view(entry);
      }),

    label: (id, labels) =>
      table.change(id, async (entry) => {
        await table.label(entry, labels);
        return view(entry);
      }),

    async snapshot(id, name) {
      checkSnapshotName(name);
      const snapshot = await table.change(id, async (entry) => {
        const made = {name, containerId: id, createdAt: table.timestamp()};
        await life.save(entry, made);
        return made;
      });
      await life.tidy();
      return snapshot;
    },

    listSnapshots: () => table.listSnapshots(),

    async removeSnapshot(name) {
      await table.removeSnapshot(name);
      await life.tidy();
    },

    awayMachines: async () => (await life.awayMachines?.()) ?? [],

    watch(onEvent) {
      const unsubscribe = table.watch(onEvent);
      if (watching === null) {
        watching = new AbortController();
        life.watch(AbortSignal.any([watching.signal, closed.signal]));
      }
      return () => {
        unsubscribe();
        if (table.isWatched) return;
        watching?.abort();
        watching = null;
      };
    },

    async close() {
      closed.abort();
      life.close();
      await table.close();
    },
  };
}
