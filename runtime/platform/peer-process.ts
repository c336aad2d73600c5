import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {startedWith, startVariable} from './processes.ts';

/** The client's end of a TCP connection over loopback, as the server sees it. */
export interface Peer {
  readonly ip: string;
  readonly port: number;
}

/**
 * True where a process that was started with `assignment` (`NAME=value`) in its environment holds the client's
 * end of the connection. Where the first process of our pid namespace was started with it, the namespace is the
 * container's own, and every process that can be seen qualifies. IPv4 loopback only; all else is false.
 * Reads procfs only, which never waits for a disk.
 */
export function isPeerStartedWith(peer: Peer, assignment: string): boolean {
  const ownNamespace = startedWith(1, assignment);
  return findHolder(peer, (pid) => ownNamespace || startedWith(pid, assignment)) !== null;
}

/** The variable `name` as the process was started with it that holds the client's end; null where there is none. */
export function peerVariable(peer: Peer, name: string): string | null {
  const pid = findHolder(peer, (candidate) => startVariable(candidate, name) !== null);
  return pid === null ? null : startVariable(pid, name);
}

function findHolder(peer: Peer, qualifies: (pid: number) => boolean): number | null {
  for (let look = 1; look <= mostLooks; look += 1) {
    const inode = socketInode(peer);
    if (inode === null) continue;
    const link = `socket:[${inode}]`;
    const pid = numericNames('/proc').find((name) => qualifies(Number(name)) && holds(name, link));
    if (pid !== undefined) return Number(pid);
  }
  return null;
}

/** The kernel prints its table of sockets piece by piece: a row can be missed while others come and go. */
const mostLooks = 5;

/** The inode of the socket whose local address is the peer's; null when the kernel lists none. */
function socketInode({ip, port}: Peer): string | null {
  const bytes = /^(?:::ffff:)?(127)\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/i.exec(ip)?.slice(1);
  if (bytes === undefined) return null;
  // The kernel prints the address as one little-endian number.
  const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0');
  const address = bytes
    .map((byte) => hex(Number(byte), 2))
    .toReversed()
    .join('');
  const v4 = `${address}:${hex(port, 4)}`;
  return inodeIn('/proc/net/tcp', v4) ?? inodeIn('/proc/net/tcp6', `0000000000000000FFFF0000${v4}`);
}

function inodeIn(table: string, localAddress: string): string | null {
  const rows = readOrEmpty(table).split('\n');
  const row = rows.map((line) => line.trim().split(/\s+/)).find((fields) => fields[1] === localAddress);
  const inode = row?.[9];
  // A socket that nobody holds any more has inode 0.
  return inode === undefined || inode === '0' ? null : inode;
}

function holds(pid: string, link: string): boolean {
  return numericNames(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === link);
}

function numericNames(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => /^\d+$/.test(name));
  } catch {
    // Gone since it was listed, or of another user: not a process that we can vouch for.
    return [];
  }
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    // Closed since it was listed.
    return null;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Without IPv6 there is no tcp6.
    return '';
  }
}
