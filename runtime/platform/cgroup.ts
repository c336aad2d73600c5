import {readFileSync} from 'node:fs';
import {mkdir, rmdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from './durable-file.ts';

/**
 * Makes a cgroup (version 2) below our own and answers its directory; null where we may not. Processes in it
 * and what they start stay in it, whatever session, parent or environment they take.
 */
export async function makeCgroup(name: string): Promise<string | null> {
  try {
    // Fields of proc(5): id, parent, device, root, mount point, options ... - type.
    const mountPoint = /^\d+ \d+ \S+ \/ (\S+) .* - cgroup2 /m.exec(
      readFileSync('/proc/self/mountinfo', 'utf8'),
    )?.[1];
    const own = /^0::(\/.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
    if (mountPoint === undefined || own === undefined) return null;
    const directory = join(mountPoint, own, name);
    await mkdir(directory, {recursive: true});
    return directory;
  } catch {
    // No cgroups, or not ours to divide: the caller has other means.
    return null;
  }
}

/** False when the process may not be moved. */
export async function joinCgroup(directory: string, pid: number): Promise<boolean> {
  try {
    await writeFile(join(directory, 'cgroup.procs'), String(pid));
    return true;
  } catch {
    // Moving needs rights on both cgroups; without them the process stays where it is.
    return false;
  }
}

/** Pids in the cgroup as we see them; none when it is gone. */
export function cgroupPids(directory: string): number[] {
  try {
    return readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** True when the cgroup is gone. One whose last processes are still on their way out is busy for some milliseconds. */
export async function removeCgroup(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    return isErrno(error, 'ENOENT');
  }
}
