import {joinCgroup} from '../../../runtime/platform/cgroup.ts';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {type DetachedProcess, spawnDetached} from '../../../runtime/platform/detached-process.ts';
import {readTail, sizeOf} from '../../../runtime/platform/file-tail.ts';
import {commandInGroups} from '../../../runtime/platform/limit-groups.ts';
import {namespacePids, type ProcessRow, readProcess} from '../../../runtime/platform/processes.ts';
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
} from '../inside.ts';
import {containerProcesses} from './container-processes.ts';
import type {ProcessRecord} from './process-record.ts';
import {type Sandbox, sandboxCommand} from './sandbox.ts';

export interface StartedRuntime {
  readonly runtime: ProcessRow;
  /** The process we started, what it made around the runtime, and the runtime. */
  readonly roots: readonly ProcessRow[];
  readonly kitUrl: string;
  readonly runtimeVersion: string;
}

export interface RuntimeStart {
  readonly record: ProcessRecord;
  readonly paths: ContainerPaths;
  readonly program: RuntimeProgram;
  /** Null at level plain. */
  readonly sandbox: Sandbox | null;
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
    const ready = await firstReady(start, started, logStart);
    const roots = await containerProcesses({
      containerId: record.id,
      cgroup: record.cgroup,
      roots: identified(started.pid),
    });
    const runtime = roots.find((row) => namespacePids(row.pid).at(-1) === ready.pid && isInside(start, row));
    if (runtime === undefined) {
      throw new AppError(
        'PROVIDER_UNAVAILABLE',
        `The runtime of ${record.name} says it is process ${ready.pid}, which is none of its container. ${await lastWords(paths, logStart)}`,
      );
    }
    await linkControlSocket(record.name, paths);
    return {runtime, roots, kitUrl: ready.kitUrl, runtimeVersion: ready.runtimeVersion};
  } finally {
    started.release();
  }
}

async function spawn(start: RuntimeStart): Promise<DetachedProcess> {
  const {record, paths, program, sandbox} = start;
  const env = runtimeEnvironment(record);
  const command =
    sandbox === null
      ? [...program.command, ...argumentsOf(record, paths)]
      : sandboxCommand(sandbox, {...paths, runtimeDirectory: program.directory, hostName: record.name, env}, [
          ...commandInside(program),
          ...argumentsOf(record, placesInside),
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
    });
  } catch (error) {
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `The runtime of ${record.name} cannot be started: ${command[0]}: ${error instanceof Error ? error.message : error}`,
      {cause: error},
    );
  }
}

function argumentsOf(record: ProcessRecord, places: RuntimePlaces): string[] {
  return [...runtimeArguments(record, places, record.address), '--boot', record.boot_mark];
}

/** Waits for the ready line, the end of the program, the time limit or the signal, whichever is first. */
async function firstReady(
  start: RuntimeStart,
  started: DetachedProcess,
  logStart: number,
): Promise<ReadyRuntime> {
  const {record, paths, clock, timeoutMs, signal} = start;
  const over = new AbortController();
  try {
    const line = await Promise.race([
      started.firstLine,
      clock.sleep(timeoutMs, {signal: AbortSignal.any([signal, over.signal])}).then(() => undefined),
    ]);
    const problem =
      line === undefined ? `said nothing within ${timeoutMs / 1000} s` : 'ended before it was ready';
    const ready = line ? parseReadyLine(line) : null;
    if (ready !== null) return ready;
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `The runtime of ${record.name} ${line ? 'wrote something else than its ready line' : problem}. ${await lastWords(paths, logStart)}`,
    );
  } finally {
    over.abort();
  }
}

/** In a sandbox only processes of the inner pid namespace qualify: pids inside and outside may be the same number. */
function isInside({sandbox}: RuntimeStart, row: ProcessRow): boolean {
  return sandbox === null || namespacePids(row.pid).length > namespacePids(process.pid).length;
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
