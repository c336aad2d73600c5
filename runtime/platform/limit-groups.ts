import {readFileSync} from 'node:fs';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

/** What a group of processes may use together; null for no bound. */
export interface GroupLimits {
  readonly cpus: number | null;
  readonly memoryBytes: number | null;
}

export type GroupLimit = 'cpus' | 'memory';

/** Directories of cgroups that bound whoever is in them, and what each of them bounds. */
export interface LimitGroup {
  readonly directory: string;
  /** Of cgroups; of version 2 a process is in one alone. */
  readonly version: 1 | 2;
  readonly bounds: GroupLimit[];
}

interface Hierarchy {
  /** Where groups can be made. */
  readonly parent: string;
  readonly version: 1 | 2;
  readonly bounds: readonly GroupLimit[];
}

const controllers = {cpus: 'cpu', memory: 'memory'} as const;
const periodUs = 100_000;
/** A part of our own cgroup for ourselves, since only cgroups without processes can be divided. */
const ownLeaf = 'controller';

/**
 * Makes cgroups with these limits, of version 2 where its controllers are ours to use and of version 1 otherwise, or
 * changes the limits of those that are there. What cannot be bounded here is in the `bounds` of none.
 */
export async function setLimitGroups(name: string, limits: GroupLimits): Promise<LimitGroup[]> {
  const groups: LimitGroup[] = [];
  for (const {parent, version, bounds} of await findHierarchies()) {
    const directory = join(parent, name);
    const bounded: GroupLimit[] = [];
    for (const limit of bounds) {
      const files = version === 2 ? filesOfTwo(limit, limits) : filesOfOne(limit, limits);
      if (await isWritten(directory, files)) bounded.push(limit);
    }
    if (bounded.length > 0) groups.push({directory, version, bounds: bounded});
  }
  return groups;
}

async function isWritten(directory: string, files: Readonly<Record<string, string>>): Promise<boolean> {
  try {
    await mkdir(directory, {recursive: true});
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    return true;
  } catch {
    // Not ours to divide or without this controller: the caller says that nothing is bounded.
    return false;
  }
}

function filesOfTwo(limit: GroupLimit, {cpus, memoryBytes}: GroupLimits): Record<string, string> {
  if (limit === 'memory') return {'memory.max': memoryBytes === null ? 'max' : String(memoryBytes)};
  return {'cpu.max': `${cpus === null ? 'max' : Math.round(cpus * periodUs)} ${periodUs}`};
}

function filesOfOne(limit: GroupLimit, {cpus, memoryBytes}: GroupLimits): Record<string, string> {
  if (limit === 'memory') return {'memory.limit_in_bytes': String(memoryBytes ?? -1)};
  return {
    'cpu.cfs_period_us': String(periodUs),
    'cpu.cfs_quota_us': String(cpus === null ? -1 : Math.round(cpus * periodUs)),
  };
}

async function findHierarchies(): Promise<Hierarchy[]> {
  try {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
    const own = readFileSync('/proc/self/cgroup', 'utf8');
    const two = await versionTwo(mounts, own);
    return [
      ...two,
      ...versionOne(
        mounts,
        own,
        two.flatMap(({bounds}) => bounds),
      ),
    ];
  } catch {
    // No procfs or no cgroups at all.
    return [];
  }
}

function versionOne(mounts: string, own: string, taken: readonly GroupLimit[]): Hierarchy[] {
  return (['cpus', 'memory'] as const).flatMap((limit): Hierarchy[] => {
    if (taken.includes(limit)) return [];
    const name = controllers[limit];
    // Fields of proc(5): id, parent, device, root, mount point, options ... - type, source, super options.
    const mountPoint = mounts
      .split('\n')
      .map((line) => /^\d+ \d+ \S+ \/ (\S+) .* - cgroup \S+ (\S+)$/.exec(line))
      .find((match) => match?.[2]?.split(',').includes(name))?.[1];
    const path = own
      .split('\n')
      .map((line) => /^\d+:([^:]*):(\/.*)$/.exec(line))
      .find((match) => match?.[1]?.split(',').includes(name))?.[2];
    return mountPoint === undefined || path === undefined
      ? []
      : [{parent: join(mountPoint, path), version: 1, bounds: [limit]}];
  });
}

async function versionTwo(mounts: string, own: string): Promise<Hierarchy[]> {
  const mountPoint = /^\d+ \d+ \S+ \/ (\S+) .* - cgroup2 /m.exec(mounts)?.[1];
  const path = /^0::(\/.*)$/m.exec(own)?.[1];
  if (mountPoint === undefined || path === undefined) return [];
  const here = join(mountPoint, path);
  const parent = basename(here) === ownLeaf ? dirname(here) : here;
  const available = (await readFile(join(parent, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  const bounds = (['cpus', 'memory'] as const).filter((limit) => available.includes(controllers[limit]));
  if (bounds.length === 0) return [];
  const wanted = bounds.map((limit) => `+${controllers[limit]}`).join(' ');
  const enable = () => writeFile(join(parent, 'cgroup.subtree_control'), wanted);
  try {
    await enable().catch(async () => {
      await leaveForLeaf(parent);
      await enable();
    });
  } catch {
    // A part of another's tree, or others are in ours: nothing can be bounded below it.
    return [];
  }
  return [{parent, version: 2, bounds}];
}

/** Moves our own process out of the way, where it is the only one there. */
async function leaveForLeaf(parent: string): Promise<void> {
  const there = (await readFile(join(parent, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean);
  if (there.some((pid) => Number(pid) !== process.pid)) throw new Error('other processes are in our cgroup');
  const leaf = join(parent, ownLeaf);
  await mkdir(leaf, {recursive: true});
  await writeFile(join(leaf, 'cgroup.procs'), String(process.pid));
}

/**
 * The command that runs `command` with itself in the groups from its first instruction on, so that nothing it
 * starts is outside. Its process id stays that of the first program.
 */
export function commandInGroups(directories: readonly string[], command: readonly string[]): string[] {
  if (directories.length === 0) return [...command];
  const join =
    'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done 2>/dev/null; shift; exec "$@"';
  return ['/bin/sh', '-c', join, 'branchtab-start', ...directories, '--', ...command];
}
