import {readFile, statfs} from 'node:fs/promises';

/** What the host has left, in percent of all it has. */
export interface HostRoom {
  /** Of the file system of a directory, as far as ordinary users may use it. */
  readonly freeDiskPercent: number;
  /** What new processes can get without swapping. */
  readonly freeMemoryPercent: number;
}

/** Throws the file system's error for a directory that cannot be looked at. */
export async function readHostRoom(directory: string): Promise<HostRoom> {
  const [{bavail, blocks}, meminfo] = await Promise.all([
    statfs(directory),
    readFile('/proc/meminfo', 'utf8'),
  ]);
  const kibibytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? Number.NaN);
  return {
    freeDiskPercent: (bavail / blocks) * 100,
    freeMemoryPercent: (kibibytes('MemAvailable') / kibibytes('MemTotal')) * 100,
  };
}
