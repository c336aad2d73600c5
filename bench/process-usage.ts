import {readFileSync} from 'node:fs';

/** Clock ticks a second in `/proc/<pid>/stat`; the same on every Linux that Bun runs on. */
export const ticksPerSecond = 100;

/** A sum of `smaps_rollup`. `Pss` is the proportional set size: pages shared by n processes count one nth. */
export function memoryMegabytes(pid: number, field: 'Pss' | 'Pss_Anon' | 'Rss' | 'Anonymous'): number {
  const lines = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').split('\n');
  const line = lines.find((text) => text.startsWith(`${field}:`));
  return Number(line?.match(/(\d+) kB$/)?.[1]) / 1024;
}

/** User and system time so far. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
