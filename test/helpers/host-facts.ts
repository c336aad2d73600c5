import {readdir, readFile, readlink, stat} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';

/** Open descriptors of a process of ours. */
export async function descriptorsOf(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Resident bytes of a process. */
export async function residentBytesOf(pid: number): Promise<number> {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes ?? 0) * 1024;
}

/** Mounts of our own namespace that name this directory. */
export async function mountsNaming(directory: string): Promise<number> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return mounts.split('\n').filter((line) => line.includes(directory)).length;
}

/** Unix sockets of this host, bound or connected, whose path has this text. */
export async function socketsNaming(text: string): Promise<number> {
  const sockets = await readFile('/proc/net/unix', 'utf8');
  return sockets.split('\n').filter((line) => line.includes(text)).length;
}

/**
 * What keeps the network namespaces of these processes, other than ours: all processes in them, and mounts. Each is
 * named so that nothing that comes later is taken for it, as the number of a namespace would be.
 */
export async function keepersOfNetworks(pids: readonly number[]): Promise<string[]> {
  const ours = await readlink('/proc/self/ns/net');
  const networkOf = (pid: number) => readlink(`/proc/${pid}/ns/net`).catch(() => ours);
  const networks = new Set(await Promise.all(pids.map(networkOf)));
  networks.delete(ours);
  const keepers = await Promise.all(
    (await presentProcesses()).map(async (process) =>
      networks.has(await networkOf(process.pid)) ? [process.identity] : [],
    ),
  );
  const mounts = (await presentMounts()).filter((line) => [...networks].some((each) => line.includes(each)));
  return [...keepers.flat(), ...mounts];
}

/** Of these keepers, those that are still there. */
export async function presentKeepers(keepers: readonly string[]): Promise<string[]> {
  const processes = (await presentProcesses()).map(({identity}) => identity);
  const present = new Set([...processes, ...(await presentMounts())]);
  return keepers.filter((keeper) => present.has(keeper));
}

async function presentMounts(): Promise<string[]> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
}

async function presentProcesses(): Promise<{pid: number; identity: string}[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (name) => {
      const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
      const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      // The time of its start is the 22nd field of all.
      const started = fields[18];
      return state === 'Z' || started === undefined
        ? []
        : [{pid: Number(name), identity: `process ${name} of ${started}`}];
    }),
  );
  return found.flat();
}

/** Control groups that have one of these texts in their path. */
export async function controlGroupsNaming(texts: readonly string[]): Promise<string[]> {
  const groups = await readdir('/sys/fs/cgroup', {recursive: true, withFileTypes: true}).catch(() => []);
  return groups
    .filter((entry) => entry.isDirectory() && texts.some((text) => entry.name.includes(text)))
    .map(({parentPath, name}) => join(parentPath, name));
}

/** Files below a directory and their bytes; what disappears while we look is left out. */
export async function filesBelow(directory: string): Promise<{count: number; bytes: number}> {
  const entries = await readdir(directory, {recursive: true, withFileTypes: true});
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(
        async ({parentPath, name}) => (await stat(join(parentPath, name)).catch(() => null))?.size ?? null,
      ),
  );
  const present = sizes.filter((size) => size !== null);
  return {count: present.length, bytes: present.reduce((sum, size) => sum + size, 0)};
}

/** Processes with this text in their command line: also those of containers that nobody knows any more. */
export async function processesNaming(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const commandLine = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(text)) found.push(Number(name));
  }
  return found;
}

/** Processes that a process of ours has started and that have not been reaped. */
export async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8')),
  );
  return lists.join(' ').split(' ').filter(Boolean).map(Number);
}

/** Null where we may listen on port 80 of a loopback address, the reason otherwise. */
export function portEightySkipReason(): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(error.message));
    server.listen({host: '127.63.255.1', port: 80}, () => server.close(() => resolve(null)));
  });
}
