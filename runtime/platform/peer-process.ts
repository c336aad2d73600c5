import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {startedWith, startVariable} from './processes.ts';

/** The client's end of a TCP connection over loopback, as the server sees it. */
export interface Peer {
  readonly ip: string;
  readonly port: number;
  /** Our end. One address and port of a client may belong to connections to several servers at once. */
  readonly server: {readonly ip: string; readonly port: number};
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
  let foundLooks = 0;
  for (let look = 1; look <= mostLooks && foundLooks < mostFoundLooks; look += 1) {
    const inode = socketInode(peer);
    if (inode === null) continue;
    foundLooks += 1;
    const link = `socket:[${inode}]`;
    const pid = numericNames('/proc').find((name) => qualifies(Number(name)) && holds(name, link));
    if (pid !== undefined) return Number(pid);
  }
  return null;
}

/** The kernel prints its table of sockets piece by piece: a row can be missed while others come and go. */
const mostLooks = 25;
/** A socket that is found and that nobody of interest holds is looked for once more: it may be on its way to a child. */
const mostFoundLooks = 2;

/** The inode of the socket that leads from the peer to us; null when the kernel lists none. */
function socketInode({ip, port, server}: Peer): string | null {
  const [client, own] = [tableAddress(ip, port), tableAddress(server.ip, server.port)];
  if (client === null || own === null) return null;
  const mapped = '0000000000000000FFFF0000';
  return (
    inodeIn('/proc/net/tcp', `: ${client} ${own} `) ??
    inodeIn('/proc/net/tcp6', `: ${mapped}${client} ${mapped}${own} `)
  );
}

/** As the kernel prints it: the address as one little-endian number. Null for what is no IPv4 loopback address. */
function tableAddress(ip: string, port: number): string | null {
  const bytes = /^(?:::ffff:)?(127)\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/i.exec(ip)?.slice(1);
  if (bytes === undefined) return null;
  const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0');
  const address = bytes
    .map((byte) => hex(Number(byte), 2))
    .toReversed()
    .join('');
  return `${address}:${hex(port, 4)}`;
}

/** `connection` is both ends of it as they stand in the row. */
function inodeIn(table: string, connection: string): string | null {
  const text = readOrEmpty(table);
  // A busy host has thousands of rows, of which one is of interest.
  const at = text.indexOf(connection);
  const inode = at === -1 ? undefined : text.slice(at, text.indexOf('\n', at)).trim().split(/\s+/)[9];
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
