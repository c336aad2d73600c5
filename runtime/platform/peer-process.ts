import {spawnSync} from 'node:child_process';
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {startedWith, startVariable} from './processes.ts';
import {ownUserId} from './system-users.ts';

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
  if (findHolder(peer, (pid) => ownNamespace || startedWith(pid, assignment)) !== null) return true;
  return ownNamespace && isHeldByOtherUser(peer);
}

/**
 * True where a process of another user, that we can see but not look into, holds the client's end. Only root has such:
 * jobs of people with users of their own. Without the right to trace, their files are shown to that user alone, so
 * that user is asked. It takes some ten milliseconds.
 */
function isHeldByOtherUser(peer: Peer): boolean {
  return otherHolder(peer) !== null;
}

interface OtherHolder {
  readonly userId: number;
  /** `NAME=value` of the processes that hold the client's end. */
  readonly variables: readonly string[];
}

function otherHolder(peer: Peer): OtherHolder | null {
  if (ownUserId() !== 0) return null;
  const socket = findSocket(peer);
  if (socket === null || socket.uid === 0) return null;
  const groups = new Set(
    numericNames('/proc').flatMap((pid) => {
      const [, uid, gid] = /^Uid:\t(\d+).*\nGid:\t(\d+)/m.exec(readOrEmpty(`/proc/${pid}/status`)) ?? [];
      return Number(uid) === socket.uid ? [Number(gid)] : [];
    }),
  );
  for (const gid of groups) {
    const look = `for each in /proc/[0-9]*; do
      case $(ls -l "$each/fd" 2>/dev/null) in *'socket:[${socket.inode}]'*) printf '\\0%s\\0' found; cat "$each/environ";; esac
    done`;
    const {stdout} = spawnSync('/bin/sh', ['-c', look], {
      uid: socket.uid,
      gid,
      env: {PATH: programPath},
      timeout: 2000,
      maxBuffer: 1024 * 1024,
    });
    const [, ...variables] = stdout?.toString('utf8').split('\0') ?? [];
    if (variables.length > 0) return {userId: socket.uid, variables};
  }
  return null;
}

const programPath = '/usr/bin:/bin';

/** Who holds the client's end, as far as a variable of its environment tells. */
export interface PeerVariable {
  readonly value: string;
  /** The user that this process runs as, who may have said what they like; null for one that we can look into. */
  readonly userId: number | null;
}

/** The variable `name` as the process was started with it that holds the client's end; null where there is none. */
export function peerVariable(peer: Peer, name: string): PeerVariable | null {
  const pid = findHolder(peer, (candidate) => startVariable(candidate, name) !== null);
  const own = pid === null ? null : startVariable(pid, name);
  if (own !== null) return {value: own, userId: null};
  const other = otherHolder(peer);
  const value = other?.variables.find((variable) => variable.startsWith(`${name}=`))?.slice(name.length + 1);
  return other === null || value === undefined ? null : {value, userId: other.userId};
}

function findHolder(peer: Peer, qualifies: (pid: number) => boolean): number | null {
  let foundLooks = 0;
  for (let look = 1; look <= mostLooks && foundLooks < mostFoundLooks; look += 1) {
    const socket = findSocket(peer);
    if (socket === null) continue;
    foundLooks += 1;
    const link = `socket:[${socket.inode}]`;
    const pid = numericNames('/proc').find((name) => qualifies(Number(name)) && holds(name, link));
    if (pid !== undefined) return Number(pid);
  }
  return null;
}

/** The kernel prints its table of sockets piece by piece: a row can be missed while others come and go. */
const mostLooks = 25;
/** A socket that is found and that nobody of interest holds is looked for once more: it may be on its way to a child. */
const mostFoundLooks = 2;

interface PeerSocket {
  readonly inode: string;
  readonly uid: number;
}

/** The socket that leads from the peer to us; null when the kernel lists none. */
function findSocket({ip, port, server}: Peer): PeerSocket | null {
  const [client, own] = [tableAddress(ip, port), tableAddress(server.ip, server.port)];
  if (client === null || own === null) return null;
  const mapped = '0000000000000000FFFF0000';
  return (
    socketIn('/proc/net/tcp', `: ${client} ${own} `) ??
    socketIn('/proc/net/tcp6', `: ${mapped}${client} ${mapped}${own} `)
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
function socketIn(table: string, connection: string): PeerSocket | null {
  const text = readOrEmpty(table);
  // A busy host has thousands of rows, of which one is of interest.
  const at = text.indexOf(connection);
  const row = at === -1 ? [] : text.slice(at, text.indexOf('\n', at)).trim().split(/\s+/);
  const [uid = '', inode] = [row[7], row[9]];
  // A socket that nobody holds any more has inode 0.
  return inode === undefined || inode === '0' ? null : {inode, uid: Number(uid)};
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
