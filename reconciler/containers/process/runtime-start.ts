import {findBundle} from '../../../runtime/platform/authority-bundle.ts';
import {joinCgroup} from '../../../runtime/platform/cgroup.ts';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {type DetachedProcess, spawnDetached} from '../../../runtime/platform/detached-process.ts';
import {readTextIfPresent, writeFileDurably} from '../../../runtime/platform/durable-file.ts';
import {readTail, sizeOf} from '../../../runtime/platform/file-tail.ts';
import {commandInGroups} from '../../../runtime/platform/limit-groups.ts';
import {
  namespacePids,
  type ProcessIdentity,
  type ProcessRow,
  readProcess,
} from '../../../runtime/platform/processes.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerPaths} from '../container-paths.ts';
import {linkControlSocket} from '../control-socket.ts';
import {
  commandInside,
  maxReadyLineBytes,
  parseReadyLine,
  placesInside,
  type ReadyRuntime,
  type RuntimePlaces,
  type RuntimeProgram,
  runtimeArguments,
  runtimeEnvironment,
  secureArguments,
} from '../inside.ts';
import {foreignProcess, noReadyLine} from '../ready-runtime.ts';
import {containerProcesses} from './container-processes.ts';
import {isInNamespace, openGate} from './network.ts';
import type {ProcessRecord} from './process-record.ts';
import {ownLoopback, type Sandbox, type SandboxMounts, sandboxCommand} from './sandbox.ts';

export interface StartedRuntime {
  readonly runtime: ProcessRow;
  /** The process we started, what it made around the runtime, and the runtime. */
  readonly roots: readonly ProcessRow[];
  readonly kitUrl: string;
  readonly runtimeVersion: string;
  /** What connects the container's network, where that is known. */
  readonly uplink: ProcessIdentity | null;
}

export interface RuntimeStart {
  readonly record: ProcessRecord;
  readonly paths: ContainerPaths;
  readonly program: RuntimeProgram;
  /** Null at level plain. */
  readonly sandbox: Sandbox | null;
  /** Below it lie further names of the kits. */
  readonly domain: string | undefined;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const logTailBytes = 2_000;

/**
 * Starts the runtime of a container and resolves when it is ready. On an error processes may be left,
 * which the caller ends. Throws PROVIDER_UNAVAILABLE with the end of the runtime's log, or the signal's reason.
 */
export async function startRuntime(start: RuntimeStart): Promise<StartedRuntime> {
  const {record, paths} = start;
  const logStart = await sizeOf(paths.runtimeLog);
  const started = await spawn(start);
  if (record.cgroup !== null) await joinCgroup(record.cgroup, started.pid);
  try {
    const uplink = await connectNetwork(start, started, logStart);
    const ready = await firstReady(start, started, logStart);
    const roots = await containerProcesses({
      containerId: record.id,
      cgroup: record.cgroup,
      roots: identified(started.pid),
    });
    const runtime = roots.find((row) => namespacePids(row.pid).at(-1) === ready.pid && isInside(start, row));
    if (runtime === undefined)
      throw foreignProcess(ready.pid, {name: record.name, said: await lastWords(paths, logStart)});
    await linkControlSocket(record.name, paths);
    return {runtime, roots, kitUrl: ready.kitUrl, runtimeVersion: ready.runtimeVersion, uplink};
  } finally {
    started.release();
  }
}

async function spawn(start: RuntimeStart): Promise<DetachedProcess> {
  const {record, paths, program, sandbox} = start;
  const env = runtimeEnvironment(record);
  const command =
    sandbox === null
      ? [...program.command, ...argumentsOf(start, paths)]
      : sandboxCommand(sandbox, await mountsOf(start, env), [
          ...commandInside(program),
          ...argumentsOf(start, placesInside),
        ]);
  try {
    // In its own store, since files that a branch leaves in the working directory may configure what starts there.
    return await spawnDetached({
      command: commandInGroups(
        record.limit_groups.map(({directory}) => directory),
        command,
      ),
      env,
      cwd: paths.store,
      stderrPath: paths.runtimeLog,
      maxLineBytes: maxReadyLineBytes,
      stdin: sandbox?.uplink != null,
    });
  } catch (error) {
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `The runtime of ${record.name} cannot be started: ${command[0]}: ${error instanceof Error ? error.message : error}`,
      {cause: error},
    );
  }
}

async function mountsOf(
  {record, paths, program, domain}: RuntimeStart,
  env: Readonly<Record<string, string>>,
): Promise<SandboxMounts> {
  const target = domain === undefined ? null : await findBundle();
  // Anew at each start, as the host's may have changed.
  if (target !== null)
    await writeFileDurably(paths.authorities, (await readTextIfPresent(target)) ?? '', {mode: 0o644});
  const bundle = target === null ? null : {source: paths.authorities, target};
  return {...paths, bundle, runtimeDirectory: program.directory, hostName: record.name, env};
}

function argumentsOf({record, sandbox, domain}: RuntimeStart, places: RuntimePlaces): string[] {
  const address = sandbox?.uplink == null ? record.address : ownLoopback;
  return [
    ...runtimeArguments(record, places, address, domain),
    ...(sandbox === null ? [] : secureArguments(address, domain)),
    ...['--boot', record.boot_mark],
  ];
}

/** Between the making of the namespaces and the start of the runtime, which finds its network as it will be. */
async function connectNetwork(
  start: RuntimeStart,
  started: DetachedProcess,
  logStart: number,
): Promise<ProcessIdentity | null> {
  const {record, paths, sandbox} = start;
  if (sandbox?.uplink == null) return null;
  if ((await nextLine(start, started)) !== '') {
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `The sandbox of ${record.name} was not made. ${await lastWords(paths, logStart)}`,
    );
  }
  return await openGate(sandbox.uplink, started, uplinkPlace(start));
}

/** By the marker of the environment the program is one of the container's processes. */
export function uplinkPlace({record, paths}: Pick<RuntimeStart, 'record' | 'paths'>) {
  return {env: runtimeEnvironment(record), cwd: paths.store, logPath: paths.networkLog};
}

/** Waits for the ready line, the end of the program, the time limit or the signal, whichever is first. */
async function firstReady(
  start: RuntimeStart,
  started: DetachedProcess,
  logStart: number,
): Promise<ReadyRuntime> {
  const {record, paths, timeoutMs} = start;
  const line = await nextLine(start, started);
  const ready = line ? parseReadyLine(line) : null;
  if (ready !== null) return ready;
  throw noReadyLine(line, {name: record.name, said: await lastWords(paths, logStart), timeoutMs});
}

/** Undefined when nothing was said in time; null when it ended. Throws the signal's reason. */
async function nextLine(
  {clock, timeoutMs, signal}: RuntimeStart,
  started: DetachedProcess,
): Promise<string | null | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([
      started.nextLine(),
      clock.sleep(timeoutMs, {signal: AbortSignal.any([signal, over.signal])}).then(() => undefined),
    ]);
  } finally {
    over.abort();
  }
}

function isInside({sandbox}: RuntimeStart, row: ProcessRow): boolean {
  return sandbox === null || isInNamespace(row);
}

function identified(pid: number): ProcessRow[] {
  const row = readProcess(pid);
  return row === null ? [] : [row];
}

/** What the runtime said since this start. */
async function lastWords(paths: ContainerPaths, logStart: number): Promise<string> {
  const tail = (await readTail(paths.runtimeLog, {fromByte: logStart, maxBytes: logTailBytes})).trim();
  return tail === '' ? `${paths.runtimeLog} is empty.` : `End of ${paths.runtimeLog}:\n${tail}`;
}
