import {readdir} from 'node:fs/promises';
import {networkInterfaces} from 'node:os';

export interface ProcessFacts {
  readonly pid: number;
  /** First address that is not a loopback one, else `127.0.0.1`. */
  readonly ip: string;
  /** Open file descriptors; null where the platform does not tell. */
  readonly fds: number | null;
  /** Bytes. */
  readonly memory: {readonly rss: number; readonly heap: number};
}

export async function readProcessFacts(): Promise<ProcessFacts> {
  const {rss, heapUsed} = process.memoryUsage();
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return {
    pid: process.pid,
    ip: addresses.find(({internal}) => !internal)?.address ?? '127.0.0.1',
    fds: await countFds(),
    memory: {rss, heap: heapUsed},
  };
}

async function countFds(): Promise<number | null> {
  try {
    return (await readdir('/proc/self/fd')).length;
  } catch {
    // No /proc on this platform; the field is optional.
    return null;
  }
}
