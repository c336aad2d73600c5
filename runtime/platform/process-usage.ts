import {readFileSync} from 'node:fs';

export interface ProcessUsage {
  /** User and system time so far, in steps of 10 ms. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  /** It runs or waits for its turn; else it sleeps or waits inside of a system call. */
  readonly isRunnable: boolean;
}

/** The same on every Linux that Bun runs on. */
const ticksPerSecond = 100;

/** What a process has used; null where the system does not tell or the process is gone. Reads procfs only. */
export function readProcessUsage(pid: number): ProcessUsage | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses is the program's to choose and may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const resident = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return {
      cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond,
      residentBytes: Number(resident ?? 0) * 1024,
      isRunnable: fields[0] === 'R',
    };
  } catch {
    // No procfs, or it ended: there is nothing to tell.
    return null;
  }
}
