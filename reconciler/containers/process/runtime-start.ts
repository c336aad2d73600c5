import {join, relative} from 'node:path';
import * as z from 'zod';
import {joinCgroup} from '../../../runtime/platform/cgroup.ts';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {type DetachedProcess, spawnDetached} from '../../../runtime/platform/detached-process.ts';
import {kindOf, replaceWithHardLink} from '../../../runtime/platform/directories.ts';
import {readTail, sizeOf} from '../../../runtime/platform/file-tail.ts';
import {commandInGroups} from '../../../runtime/platform/limit-groups.ts';
import {namespacePids, type ProcessRow, readProcess} from '../../../runtime/platform/processes.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerPaths} from '../container-paths.ts';
import {parseJson} from '../parse-json.ts';
import {containerProcesses, markerName} from './container-processes.ts';
import type {ProcessRecord} from './process-record.ts';
import {inside, programPath, type Sandbox, sandboxCommand} from './sandbox.ts';

/** The program that is started in every container: a command whose words may name files of `directory`. */
export interface RuntimeProgram {
  readonly command: readonly string[];
  readonly directory: string;
}

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

/** The one line that a runtime writes to stdout, when it answers on all its sockets. */
const readySchema = z.object({
  ready: z.literal(true),
  pid: z.int().min(1).meta({description: 'As the runtime sees itself, in its own pid namespace.'}),
  kit_url: z.url().max(200),
  runtime_version: z.string().min(1).max(100),
});

const maxReadyLineBytes = 65_536;
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
    return {runtime, roots, kitUrl: ready.kit_url.replace(/\/$/, ''), runtimeVersion: ready.runtime_version};
  } finally {
    started.release();
  }
}

async function spawn(start: RuntimeStart): Promise<DetachedProcess> {
  const {record, paths, program, sandbox} = start;
  const env = {
    PATH: programPath,
    LANG: 'C.UTF-8',
    TZ: record.time_zone,
    // Compiled code is given back soon after its last use: 3 MB less in every idle runtime, measured.
    BUN_JSC_useEagerCodeBlockJettisonTiming: '1',
    [markerName]: record.id,
  };
  const command =
    sandbox === null
      ? [...program.command, ...runtimeArguments(record, paths)]
      : sandboxCommand(sandbox, {...paths, runtimeDirectory: program.directory, hostName: record.name, env}, [
          ...commandInside(program),
          ...runtimeArguments(record, pathsInside),
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

const pathsInside = {
  store: inside.store,
  data: inside.data,
  workspace: inside.workspace,
  runtimeSocket: `${inside.run}/control.sock`,
};

function runtimeArguments(record: ProcessRecord, paths: typeof pathsInside | ContainerPaths): string[] {
  return [
    'runtime',
    ...['--data', paths.store],
    ...['--home', paths.data],
    ...['--workspace', paths.workspace],
    ...['--control', `unix:${paths.runtimeSocket}`],
    ...['--listen', `${record.address}:80`],
    '--fallback-port',
    ...['--tz', record.time_zone],
    ...['--container', record.id],
    ...['--boot', record.boot_mark],
  ];
}

/** The program's command as it is spelt where its directory is mounted inside a sandbox. */
function commandInside({command, directory}: RuntimeProgram): string[] {
  return command.map((word) =>
    word.startsWith(`${directory}/`) ? join(inside.runtimeDirectory, relative(directory, word)) : word,
  );
}

/** Waits for the ready line, the end of the program, the time limit or the signal, whichever is first. */
async function firstReady(
  start: RuntimeStart,
  started: DetachedProcess,
  logStart: number,
): Promise<z.infer<typeof readySchema>> {
  const {record, paths, clock, timeoutMs, signal} = start;
  const over = new AbortController();
  try {
    const line = await Promise.race([
      started.firstLine,
      clock.sleep(timeoutMs, {signal: AbortSignal.any([signal, over.signal])}).then(() => undefined),
    ]);
    const problem =
      line === undefined ? `said nothing within ${timeoutMs / 1000} s` : 'ended before it was ready';
    const ready = readySchema.safeParse(line ? parseJson(line) : undefined);
    if (ready.success) return ready.data;
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

/**
 * Gives the runtime's socket a second name outside of what its container can write. Jobs of the container may
 * replace the first name by a link to a socket of the host; the second stays with the runtime that was started.
 */
async function linkControlSocket(name: string, paths: ContainerPaths): Promise<void> {
  const made = await kindOf(paths.runtimeSocket);
  if (made !== null) await replaceWithHardLink(paths.runtimeSocket, paths.controlSocket);
  // Looked at afterwards, since the first name may have changed hands in between.
  if (made !== null && (await kindOf(paths.controlSocket)) === 'socket') return;
  throw new AppError(
    'PROVIDER_UNAVAILABLE',
    `The runtime of ${name} is ready but made no socket at ${paths.runtimeSocket}.`,
  );
}

/** What the runtime said since this start. */
async function lastWords(paths: ContainerPaths, logStart: number): Promise<string> {
  const tail = (await readTail(paths.runtimeLog, {fromByte: logStart, maxBytes: logTailBytes})).trim();
  return tail === '' ? `${paths.runtimeLog} is empty.` : `End of ${paths.runtimeLog}:\n${tail}`;
}
