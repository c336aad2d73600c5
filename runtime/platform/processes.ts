import {readFileSync} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {setImmediate} from 'node:timers/promises';

/** Names one process for as long as the host is up: pids are used again, pid and start time together are not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of `/proc/<pid>/stat`. */
  readonly startTicks: number;
}

export interface ProcessRow extends ProcessIdentity {
  readonly parentPid: number;
  /** Letter of proc(5): `R`, `S`, `D`, `T` (stopped), `Z` (zombie), ... */
  readonly state: string;
}

/** Rows between two turns of the event loop while all of `/proc` is read. */
const rowsPerTurn = 250;

/** The live processes of the host; zombies and the dying are left out. */
export async function listProcesses(): Promise<ProcessRow[]> {
  const rows: ProcessRow[] = [];
  let count = 0;
  for (const name of await readdir('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    const row = readProcess(Number(name));
    if (row !== null) rows.push(row);
    count += 1;
    if (count % rowsPerTurn === 0) await setImmediate();
  }
  return rows;
}

/** Null when there is no live process with this pid. Reads procfs only, which never waits for a disk. */
export function readProcess(pid: number): ProcessRow | null {
  const stat = readProcFile(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The name in parentheses is the program's to choose and may hold spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', parent = '', startTicks = ''] = [fields[0], fields[1], fields[19]];
  if (state === '' || startTicks === '' || state === 'Z' || state === 'X') return null;
  return {pid, startTicks: Number(startTicks), parentPid: Number(parent), state};
}

export function isRunning(identity: ProcessIdentity): boolean {
  return readProcess(identity.pid)?.startTicks === identity.startTicks;
}

/** Sends a signal to exactly this process; false when it is gone or is not ours to signal. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    // Gone since the check, or of another user: both mean that the signal had no effect, which is the answer.
    return false;
  }
}

/** True where the environment the program was started with holds `assignment` (`NAME=value`) exactly. */
export function startedWith(pid: number, assignment: string): boolean {
  const environment = readProcFile(`/proc/${pid}/environ`);
  return environment?.split('\0').includes(assignment) ?? false;
}

/** A variable of the environment the program was started with; null where it has none or is not ours to look at. */
export function startVariable(pid: number, name: string): string | null {
  const environment = readProcFile(`/proc/${pid}/environ`)?.split('\0');
  return environment?.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1) ?? null;
}

/** The pids of one process, from our pid namespace inwards; the last is the one it sees itself. Empty when it is gone. */
export function namespacePids(pid: number): number[] {
  const line = readProcFile(`/proc/${pid}/status`)?.match(/^NSpid:\s*(.*)$/m)?.[1];
  return line === undefined ? [] : line.trim().split(/\s+/).map(Number);
}

/** `roots` and everything below them by parent pid, parents first. */
export function withDescendants(rows: readonly ProcessRow[], roots: readonly ProcessRow[]): ProcessRow[] {
  const children = Map.groupBy(rows, (row) => row.parentPid);
  const found = new Map<number, ProcessRow>();
  const queue = [...roots];
  for (let row = queue.shift(); row !== undefined; row = queue.shift()) {
    if (found.has(row.pid)) continue;
    found.set(row.pid, row);
    queue.push(...(children.get(row.pid) ?? []));
  }
  return [...found.values()];
}

function readProcFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process ended between two looks, or belongs to a user whose processes we may not inspect.
    return null;
  }
}
