import {readlinkSync} from 'node:fs';
import {basename} from 'node:path';
import {readMemory, type Stop} from './ptrace.ts';

/** Where a system call says which file it is about, and when it counts at all. */
interface StepCall {
  readonly name: string;
  /** Argument with the path; where there is none, or it is a null pointer, `fd` is the one with the open file. */
  readonly path?: number;
  readonly fd?: number;
  /** Argument with the flags of open(2); it counts where a file may be made or cut. */
  readonly openFlags?: number;
}

const creating = 0o100n | 0o1000n;

const callsOfBoth = {
  write: {name: 'write', fd: 0},
  writev: {name: 'write', fd: 0},
  pwrite64: {name: 'write', fd: 0},
  pwritev: {name: 'write', fd: 0},
  fsync: {name: 'sync', fd: 0},
  fdatasync: {name: 'sync', fd: 0},
  ftruncate: {name: 'truncate', fd: 0},
  fallocate: {name: 'allocate', fd: 0},
  openat: {name: 'create', path: 1, openFlags: 2},
  mkdirat: {name: 'mkdir', path: 1},
  linkat: {name: 'link', path: 3},
  renameat: {name: 'rename to', path: 3},
  renameat2: {name: 'rename to', path: 3},
  unlinkat: {name: 'unlink', path: 1},
  utimensat: {name: 'set times of', path: 1, fd: 0},
} satisfies Record<string, StepCall>;

type CommonCall = keyof typeof callsOfBoth;

/** Numbers of `asm/unistd_64.h` and of `asm-generic/unistd.h`. */
const numbers: Record<'x64' | 'arm64', Readonly<Record<CommonCall, number>>> = {
  x64: {
    ...{write: 1, writev: 20, pwrite64: 18, pwritev: 296, fsync: 74, fdatasync: 75, ftruncate: 77},
    ...{fallocate: 285, openat: 257, mkdirat: 258, linkat: 265, renameat: 264, renameat2: 316},
    ...{unlinkat: 263, utimensat: 280},
  },
  arm64: {
    ...{write: 64, writev: 66, pwrite64: 68, pwritev: 70, fsync: 82, fdatasync: 83, ftruncate: 46},
    ...{fallocate: 47, openat: 56, mkdirat: 34, linkat: 37, renameat: 38, renameat2: 276},
    ...{unlinkat: 35, utimensat: 88},
  },
};

const olderCalls: readonly [number, StepCall][] = [
  [2, {name: 'create', path: 0, openFlags: 1}],
  [82, {name: 'rename to', path: 1}],
  [83, {name: 'mkdir', path: 0}],
  [86, {name: 'link', path: 1}],
  [87, {name: 'unlink', path: 0}],
];

const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
const calls = new Map<number, StepCall>([
  ...(Object.keys(callsOfBoth) as CommonCall[]).map((key): [number, StepCall] => [
    numbers[arch][key],
    callsOfBoth[key],
  ]),
  ...(arch === 'x64' ? olderCalls : []),
]);

const cloneThread = 0x10000n;
const clone3 = 435;
/** clone, and on x64 fork and vfork. */
const processCalls = arch === 'x64' ? [56, 57, 58] : [220];
const cloneNumbers = [56, 220];
const longestPathBytes = 4096;

/** What a call is about to do to a file below `directory`, in words; null for every other call. */
export function fileStep({tid, nr, args}: Extract<Stop, {kind: 'entry'}>, directory: string): string | null {
  const call: StepCall | undefined = calls.get(nr);
  if (call === undefined) return null;
  if (call.openFlags !== undefined && ((args[call.openFlags] ?? 0n) & creating) === 0n) return null;
  const address = call.path === undefined ? 0n : (args[call.path] ?? 0n);
  const path = address === 0n ? openFile(tid, args[call.fd ?? 0]) : text(tid, address);
  return path?.startsWith(`${directory}/`) ? `${call.name} ${plainName(path)}` : null;
}

/** True for a call that makes a process, not a thread. */
export function startsProcess({tid, nr, args}: Extract<Stop, {kind: 'entry'}>): boolean {
  if (nr === clone3) return (readMemory(tid, args[0] ?? 0n, 8).readBigUInt64LE(0) & cloneThread) === 0n;
  if (!processCalls.includes(nr)) return false;
  return !cloneNumbers.includes(nr) || ((args[0] ?? 0n) & cloneThread) === 0n;
}

function openFile(tid: number, fd: bigint | undefined): string | null {
  try {
    return readlinkSync(`/proc/${tid}/fd/${fd}`);
  } catch {
    // Not open, so the call fails and is no step.
    return null;
  }
}

function text(tid: number, address: bigint): string {
  const bytes = readMemory(tid, address, longestPathBytes);
  return bytes.subarray(0, bytes.indexOf(0)).toString();
}

/** The random part of a temporary file's name says nothing. */
function plainName(path: string): string {
  return basename(path).replace(/\.[0-9a-f]{12}\.tmp$/, '.tmp');
}
