import {cgroupPids, joinCgroup, removeCgroup} from '../../../runtime/platform/cgroup.ts';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {
  isRunning,
  listProcesses,
  type ProcessIdentity,
  type ProcessRow,
  readProcess,
  signalProcess,
  startedWith,
  withDescendants,
} from '../../../runtime/platform/processes.ts';
import {AppError} from '../../../schemas/errors.ts';
import {markerName} from '../inside.ts';

/** Which processes are a container's: those of its cgroup, with its marker, its roots, and all that descend from one. */
export interface ProcessScope {
  readonly containerId: string;
  readonly roots: readonly ProcessIdentity[];
  /** Directory of a cgroup that holds nothing else. */
  readonly cgroup: string | null;
}

const pollMs = 3;
const stopPollMs = 10;
const freezeTimeoutMs = 1_000;
const cgroupTimeoutMs = 500;
const endTimeoutMs = 10_000;

export async function containerProcesses({containerId, roots, cgroup}: ProcessScope): Promise<ProcessRow[]> {
  const rows = await listProcesses();
  const marker = `${markerName}=${containerId}`;
  const members = new Set(cgroup === null ? [] : cgroupPids(cgroup));
  const isRoot = (row: ProcessRow) =>
    members.has(row.pid) ||
    roots.some(({pid, startTicks}) => pid === row.pid && startTicks === row.startTicks) ||
    startedWith(row.pid, marker);
  return withDescendants(rows, rows.filter(isRoot));
}

/**
 * Stops every process of the container with SIGSTOP, also those that are being forked meanwhile. The rows
 * show each state as it was before.
 */
export async function freezeProcesses(scope: ProcessScope, clock: Clock): Promise<ProcessRow[]> {
  const frozen = new Map<number, ProcessRow>();
  const untilMs = clock.now() + freezeTimeoutMs;
  for (;;) {
    const rows = await containerProcesses(scope);
    const fresh = rows.filter((row) => frozen.get(row.pid)?.startTicks !== row.startTicks);
    for (const row of fresh) {
      frozen.set(row.pid, row);
      signalProcess(row, 'SIGSTOP');
    }
    const settled = fresh.length === 0 && rows.every((row) => row.state === 'T');
    if (settled || clock.now() > untilMs) return [...frozen.values()];
    await clock.sleep(pollMs);
  }
}

/** Lets frozen processes go on, save those that were stopped before. */
export function thawProcesses(frozen: readonly ProcessRow[]): void {
  for (const row of frozen) {
    if (row.state !== 'T') signalProcess(row, 'SIGCONT');
  }
}

/**
 * Ends every process of the container, sessions of their own and new pid namespaces included. Each round stops
 * them all before it kills one, so that little is forked for the next. Throws PROVIDER_UNAVAILABLE when some
 * do not end.
 */
export async function endProcesses(scope: ProcessScope, clock: Clock): Promise<void> {
  const untilMs = clock.now() + endTimeoutMs;
  for (;;) {
    const rows = await containerProcesses(scope);
    if (rows.length === 0) return;
    for (const row of rows) signalProcess(row, 'SIGSTOP');
    for (const row of rows) signalProcess(row, 'SIGKILL');
    while (rows.some(isRunning)) {
      if (clock.now() > untilMs) throw endless(scope.containerId, rows.filter(isRunning));
      await clock.sleep(pollMs);
    }
  }
}

/** Moves every process of the container into the groups, those that are started meanwhile too. */
export async function moveIntoGroups(
  scope: ProcessScope,
  groups: readonly {readonly directory: string}[],
): Promise<void> {
  for (const {directory} of groups) {
    const there = new Set(cgroupPids(directory));
    for (;;) {
      const outside = (await containerProcesses(scope)).filter(({pid}) => !there.has(pid));
      if (outside.length === 0) break;
      for (const {pid} of outside) {
        await joinCgroup(directory, pid);
        // Also one that ended meanwhile or cannot be moved: it is not tried again.
        there.add(pid);
      }
    }
  }
}

/** Removes the cgroup of a container without processes; an empty one that stays nevertheless does no harm. */
export async function leaveCgroup({cgroup}: ProcessScope, clock: Clock): Promise<void> {
  if (cgroup === null) return;
  const untilMs = clock.now() + cgroupTimeoutMs;
  while (!(await removeCgroup(cgroup)) && clock.now() < untilMs) await clock.sleep(pollMs);
}

/** Asks one process to stop with SIGTERM and waits for its end, at most `graceMs` and until the signal aborts. */
export async function askToStop(
  identity: ProcessIdentity,
  {graceMs, signal, clock}: {graceMs: number; signal: AbortSignal; clock: Clock},
): Promise<void> {
  const untilMs = clock.now() + graceMs;
  if (!signalProcess(identity, 'SIGTERM')) return;
  // A stopped process takes no SIGTERM.
  if (readProcess(identity.pid)?.state === 'T') signalProcess(identity, 'SIGCONT');
  while (isRunning(identity) && clock.now() < untilMs && !signal.aborted) await clock.sleep(stopPollMs);
}

function endless(containerId: string, rows: readonly ProcessRow[]): AppError {
  const pids = rows.map((row) => row.pid).join(', ');
  return new AppError(
    'PROVIDER_UNAVAILABLE',
    `Processes ${pids} of container ${containerId} do not end after SIGKILL; they may wait for a device or be another user's.`,
  );
}
