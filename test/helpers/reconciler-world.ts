import {renameSync} from 'node:fs';
import {join} from 'node:path';
import {createRuntimeClient} from '../../api/runtime-client.ts';
import {openBackupStore} from '../../reconciler/backups.ts';
import {createBranchData} from '../../reconciler/branch-data.ts';
import {type Container, type ContainerProvider, labelNames} from '../../reconciler/containers/provider.ts';
import {type Controller, createController} from '../../reconciler/controller.ts';
import {openEntryMirror} from '../../reconciler/entry-mirror.ts';
import {openFirstContacts} from '../../reconciler/first-contact.ts';
import {openJournal} from '../../reconciler/journal.ts';
import {openRecordStore} from '../../reconciler/record-store.ts';
import {openRunArchive, type RunArchive} from '../../reconciler/run-archive.ts';
import type {RuntimeClient} from '../../reconciler/runtime-client.ts';
import {openLocalSource} from '../../reconciler/sources/git-local.ts';
import type {Source} from '../../reconciler/sources/source.ts';
import {inspections} from '../../runtime/exec/inspections.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {createLog, type Log} from '../../runtime/platform/log.ts';
import {plainSettings} from '../../schemas/control.ts';
import {FakeClock} from './fake-clock.ts';
import {createGitWorld, type GitWorld, type Teardown} from './git-world.ts';
import {createInProcessHost} from './in-process-provider.ts';
import {startInProcessRuntime} from './in-process-runtime.ts';
import {createLife, type Life, lived, livedPort, until} from './life.ts';
import {canMount, mountSmallDisk} from './small-disk.ts';

const minuteMs = 60_000;
const stateMiB = 48;
const logLines = 60;
/** Between two looks of a runtime at its clock. */
const longestLookMs = 31_000;

/** What may happen to a controller in the middle of its work. */
export type Fault = 'kill_controller' | 'kill_runtime' | 'cut_git' | 'fill_disk';

/**
 * A controller with everything around it in one process: a real repository, real runtimes behind real sockets and their
 * jobs, real state on a disk of its own. Only the clock is not real, and containers are no processes. It keeps watch
 * over what must never happen, whoever does what.
 */
export interface ReconcilerWorld {
  readonly git: GitWorld;
  readonly stateDirectory: string;
  readonly undoWindowMs: number;
  readonly clock: FakeClock;
  /** Nothing of the repository can be read. */
  readonly isCut: boolean;
  /** Null while none runs. */
  readonly controller: Controller | null;
  /** What must not have happened, in the words of `docs/reconciler.md`. */
  readonly violations: readonly string[];
  /** Branches whose containers may go although git has them, for example merged ones. */
  readonly mayGo: Set<string>;
  nowMs(): number;
  /** False where it could not start, for example on a full disk. */
  start(): Promise<boolean>;
  kill(): Promise<void>;
  /** The fault happens before so many calls of the controller's ports have gone by from now. */
  trap(calls: number, fault: Fault, branch: string): void;
  fault(fault: Fault, branch: string): Promise<void>;
  /** Undoes what was done to git and the disk, and starts a controller where none runs. */
  mend(): Promise<void>;
  skew(ms: number): void;
  advance(ms: number): Promise<void>;
  settle(): Promise<void>;
  containers(): Promise<Container[]>;
  containerOf(branch: string): Promise<Container | null>;
  client(container: Container): RuntimeClient;
  /** Instants of the wall clock, minute by minute, that went by while the schedule of a container was in force. */
  dueMinutes(containerId: string): number[];
  /** Minutes that the wall clock has shown more than once. */
  readonly repeated: ReadonlySet<number>;
  /** The newest lines of the controllers' logs. */
  log(): string;
}

export async function createReconcilerWorld(
  t: Teardown,
  {undoWindowMs}: {undoWindowMs: number},
): Promise<ReconcilerWorld> {
  const git = await createGitWorld(t, {bare: true});
  const disk = canMount ? await mountSmallDisk(t, {sizeMiB: stateMiB}) : null;
  const stateDirectory = join(disk?.path ?? git.directory, 'state');
  const violations: string[] = [];
  const mayGo = new Set<string>();
  /** By branch, how often in a row it was seen to be gone. */
  const absences = new Map<string, number>();
  const released = new Map<string, number>();
  const lines: string[] = [];
  let present: {
    controller: Controller;
    provider: ContainerProvider;
    life: Life;
    end: () => Promise<void>;
  } | null = null;
  let trap: {calls: number; fault: Fault; branch: string} | null = null;
  let cut = false;
  let full = false;

  const settle = async (): Promise<void> => {
    const untilMs = performance.now() + 20_000;
    for (let quiet = 0; quiet < 4 && performance.now() < untilMs; ) {
      const jobs = [...runtimes.values()].some(({runningJobs}) => runningJobs() > 0);
      const busy = jobs || (present?.life.calls ?? 0) > 0;
      quiet = busy ? 0 : quiet + 1;
      await (busy ? Bun.sleep(1) : new Promise((resolve) => setImmediate(resolve)));
    }
  };
  const clock = new FakeClock('2026-03-02T10:00:30Z', {settled: settle});
  /** Since when, on the clock that nobody sets, the wall clock is so far ahead of it. */
  const skews = [{fromMs: clock.now(), aheadMs: 0}];
  const wall: Clock = {
    now: () => clock.now() + (skews.at(-1)?.aheadMs ?? 0),
    sleep: (ms, options) => clock.sleep(ms, options),
  };
  const log: Log = createLog((line) => {
    lines.push(line);
    if (lines.length > logLines) lines.shift();
  }, wall.now);

  /** By the clock as it is now, crontabs are from the future: since when a runtime was down cannot be told. */
  const isBehind = () => {
    const highestMs = Math.max(
      ...skews.slice(1).map(({fromMs}, index) => fromMs + (skews[index]?.aheadMs ?? 0)),
    );
    return wall.now() < highestMs;
  };
  /** What was due in a container before is nowhere written. */
  const blind: {id: string; atMs: number}[] = [];
  const runtimes = new Map<string, Awaited<ReturnType<typeof startInProcessRuntime>>>();
  const host = createInProcessHost(async (record, paths) => {
    if (isBehind()) blind.push({id: record.id, atMs: clock.now()});
    const runtime = await startInProcessRuntime(record, paths, {clock: wall, life: createLife(), log});
    runtimes.set(record.id, runtime);
    return runtime;
  });
  t.teardown(async () => {
    await world.kill();
    await host.close();
  });

  const watchOver = (provider: ContainerProvider): ContainerProvider => {
    const check = async (id: string, what: string) => {
      const container = (await provider.list()).find((known) => known.id === id);
      const branch = container?.labels[labelNames.branch];
      if (branch === undefined) return;
      if (branch === 'main') violations.push(`${what} of the live branch`);
      else if ((absences.get(branch) ?? 0) < 2 && !mayGo.has(branch))
        violations.push(`${what} of ${branch} without proof that it is gone`);
      if (what === 'removal' && undoWindowMs > 0) violations.push(`removal of ${branch} before its time`);
    };
    return {
      ...provider,
      async stop(id, options) {
        await check(id, 'end');
        await provider.stop(id, options);
        runtimes.delete(id);
      },
      async remove(id) {
        await check(id, 'removal');
        await provider.remove(id);
        runtimes.delete(id);
      },
    };
  };

  const look = (source: Source): Source => ({
    ...source,
    // Passes begin when the clock or the test says so, not when the host has found time for an event.
    watch: () => () => {},
    async list(options) {
      const listing = await source.list(options);
      for (const branch of new Set([...absences.keys(), ...listing.branches.keys()]))
        absences.set(branch, listing.branches.has(branch) ? 0 : (absences.get(branch) ?? 0) + 1);
      return listing;
    },
    async readRef(branch, options) {
      const commit = await source.readRef(branch, options);
      absences.set(branch, commit === null ? (absences.get(branch) ?? 0) + 1 : 0);
      return commit;
    },
  });

  const rawClient = (container: Container): RuntimeClient => {
    const client = createRuntimeClient({socketPath: container.controlSocket});
    return {
      ...client,
      async setSchedule(change, options) {
        const state = await client.setSchedule(change, options);
        if (change.state === 'running' && !released.has(container.id))
          released.set(container.id, clock.now());
        return state;
      },
    };
  };

  const beforeCall = (): void => {
    if (trap === null) return;
    trap = {...trap, calls: trap.calls - 1};
    if (trap.calls > 0) return;
    const {fault, branch} = trap;
    trap = null;
    // Whoever waits for the end of the present calls would wait for this one too.
    if (fault === 'kill_controller') present?.life.end();
    else void world.fault(fault, branch);
  };

  const open = async (): Promise<NonNullable<typeof present>> => {
    const life = createLife({beforeCall});
    const controllerClock = lived(wall, life);
    const source = await openLocalSource({
      path: git.path,
      environment: git.environment,
      clock: controllerClock,
      log,
    });
    const rawProvider = await host.open({
      stateDirectory,
      socketRoot: git.directory,
      clock: controllerClock,
      log,
    });
    const provider = livedPort(watchOver(rawProvider), life);
    const spent = new WeakMap<RuntimeClient, RuntimeClient>();
    const client = (container: Container) => {
      const raw = rawClient(container);
      const lived = livedPort(raw, life);
      spent.set(lived, raw);
      return lived;
    };
    const rawArchive = openRunArchive({directory: join(stateDirectory, 'runs'), clock: controllerClock});
    // A call inside of a call would wait for ever when life ends, and the outer one with it.
    const archive: RunArchive = {
      ...rawArchive,
      keep: (record, given, users, options) =>
        rawArchive.keep(record, spent.get(given) ?? given, users, options),
    };
    const records = await openRecordStore({directory: join(stateDirectory, 'branches'), log});
    const livedRecords = livedPort(records, life);
    const shared = {clock: controllerClock, log};
    const contacts = openFirstContacts({
      ...shared,
      directory: join(stateDirectory, 'repositories'),
      records: livedRecords,
      runUnasked: true,
    });
    const controller = createController({
      ...shared,
      repositories: [
        {
          source: livedPort(look(source), life),
          includes: () => true,
          paths: null,
          live: null,
          environments: [],
          forgePath: null,
          forks: null,
          ownership: null,
          policy: {drift: 'revert', undoWindowMs, intervalMs: 10_000, driftIntervalMs: 20_000},
        },
      ],
      provider,
      records: livedRecords,
      forge: null,
      contacts,
      journal: livedPort(openJournal({directory: join(stateDirectory, 'journal'), ...shared}), life),
      archive: livedPort(archive, life),
      data: createBranchData({
        ...shared,
        backups: livedPort(openBackupStore({directory: join(stateDirectory, 'backups')}), life),
        entries: livedPort(openEntryMirror({directory: join(stateDirectory, 'entries')}), life),
        provider,
        client,
        keep: 1,
        intervalMs: 24 * 60 * minuteMs,
        stopGraceMs: 1000,
      }),
      client,
      checkScript: inspections.check,
      scriptImports: inspections.imports,
      random: () => 0.5,
      baseUrl: () => 'http://127.0.0.1:7070',
      settings: plainSettings,
      previewRun: 'all',
      limits: {previewsPerRepository: 10, minFreeDiskPercent: 0, minFreeMemoryPercent: 0},
      room: async () => ({freeDiskPercent: 100, freeMemoryPercent: 100}),
      readSecret: async () => '',
      leaseMs: 10 * minuteMs,
      timeZone: 'UTC',
      concurrency: 2,
      stopGraceMs: 1000,
    });
    return {
      controller,
      provider: rawProvider,
      life,
      async end() {
        life.end();
        await until(() => life.calls === 0, 'the calls of a controller that was killed');
        await source.close();
        await rawProvider.close();
      },
    };
  };

  const aheadMs = () => skews.at(-1)?.aheadMs ?? 0;
  const repeated = new Set<number>();

  const world: ReconcilerWorld = {
    git,
    stateDirectory,
    undoWindowMs,
    clock,
    get isCut() {
      return cut;
    },
    get controller() {
      return present === null || present.life.isOver ? null : present.controller;
    },
    violations,
    mayGo,
    repeated,
    nowMs: wall.now,
    settle,
    async start() {
      if (present?.life.isOver) await world.kill();
      if (present !== null) return true;
      try {
        const opened = await open();
        present = opened;
        // A controller that dies while it starts never answers.
        await Promise.race([opened.controller.start(), ended(opened.life)]);
        if (!opened.life.isOver) return true;
      } catch {
        // As `branchtab up`, which says what is wrong and ends.
      }
      await world.kill();
      return false;
    },
    async kill() {
      const dying = present;
      present = null;
      await dying?.end();
    },
    trap(calls, fault, branch) {
      trap = {calls, fault, branch};
    },
    async fault(fault, branch) {
      if (fault === 'kill_controller') await world.kill();
      else if (fault === 'kill_runtime') {
        const container = await world.containerOf(branch);
        if (container === null) return;
        // The records that wait for room on the disk die with it.
        if (full && isBehind()) blind.push({id: container.id, atMs: clock.now()});
        await host.kill(container.id);
      } else if (fault === 'cut_git' && !cut) {
        cut = true;
        renameSync(git.path, `${git.path}.away`);
      } else if (fault === 'fill_disk' && !full && disk !== null) {
        full = true;
        disk.fill();
      }
    },
    async mend() {
      trap = null;
      if (cut) renameSync(`${git.path}.away`, git.path);
      cut = false;
      if (full) disk?.free();
      full = false;
      if (world.controller === null) await world.start();
    },
    skew(ms) {
      // Two steps that nobody can have seen apart are one, and a smaller one.
      const last = skews.at(-1);
      if (skews.length > 1 && last !== undefined && clock.now() - last.fromMs < longestLookMs) return;
      const beforeMs = wall.now();
      skews.push({fromMs: clock.now(), aheadMs: aheadMs() + ms});
      for (let minute = floorMinute(beforeMs + ms); minute <= beforeMs; minute += minuteMs)
        repeated.add(minute);
    },
    advance: (ms) => clock.advance(ms),
    async containers() {
      if (present !== null) return present.provider.list();
      const provider = await host.open({stateDirectory, socketRoot: git.directory, clock: wall, log});
      const all = await provider.list();
      await provider.close();
      return all;
    },
    async containerOf(branch) {
      const all = await world.containers();
      return all.find(({labels}) => labels[labelNames.branch] === branch) ?? null;
    },
    client: rawClient,
    dueMinutes(containerId) {
      const sinceMs = released.get(containerId);
      if (sinceMs === undefined) return [];
      const unknown = blind.filter(({id}) => id === containerId);
      return skews.flatMap(({fromMs, aheadMs: ahead}, index) => {
        const next = skews[index + 1];
        const untilMs = next?.fromMs ?? clock.now();
        // What the clock jumps over was due too; the minute that it is set to has not begun.
        const jumpMs = next === undefined ? 0 : Math.max(0, next.aheadMs - ahead);
        const minutes: number[] = [];
        for (
          let minute = floorMinute(fromMs + ahead) + minuteMs;
          minute <= untilMs + ahead + jumpMs;
          minute += minuteMs
        ) {
          const atMs = Math.min(minute - ahead, untilMs);
          if (atMs > sinceMs && !unknown.some((end) => atMs <= end.atMs)) minutes.push(minute);
        }
        return minutes;
      });
    },
    log: () => lines.join(''),
  };
  return world;
}

function floorMinute(ms: number): number {
  return Math.floor(ms / minuteMs) * minuteMs;
}

function ended(life: Life): Promise<void> {
  return new Promise((resolve) => life.ended.addEventListener('abort', () => resolve()));
}
