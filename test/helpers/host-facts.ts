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

/** Network namespaces of these processes that are not ours. */
export async function ownNetworksOf(pids: readonly number[]): Promise<Set<string>> {
  const ours = await readlink('/proc/self/ns/net');
  const networks = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/ns/net`).catch(() => ours)));
  return new Set(networks.filter((network) => network !== ours));
}

/** Of these namespaces, those that a process still has or that a mount keeps. */
export async function networksInUse(networks: ReadonlySet<string>): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const used = await ownNetworksOf(pids);
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return [...networks].filter((network) => used.has(network) || mounts.includes(network));
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
