import {dlopen, FFIType, ptr} from 'bun:ffi';
import {closeSync, openSync, readdirSync, readFileSync, readSync} from 'node:fs';

/** Calls of ptrace(2), which must all come from the thread that made the first one. */

const libc = dlopen('libc.so.6', {
  ptrace: {args: [FFIType.i64, FFIType.i32, FFIType.u64, FFIType.u64], returns: FFIType.i64},
  waitpid: {args: [FFIType.i32, FFIType.ptr, FFIType.i32], returns: FFIType.i32},
  prctl: {
    args: [FFIType.i32, FFIType.u64, FFIType.u64, FFIType.u64, FFIType.u64],
    returns: FFIType.i32,
  },
}).symbols;

const request = {syscall: 24, seize: 0x4206, interrupt: 0x4207, syscallInfo: 0x420e} as const;
/** Syscall stops are marked, new threads are traced too, and nobody outlives the tracer. New processes go free. */
const seizeOptions = 0x1 | 0x8 | 0x100000;
const setChildSubreaper = 36;
/** Threads too. */
const waitForAll = 0x40000000;
const sigtrap = 5;
const syscallStop = sigtrap | 0x80;
const infoBytes = 88;

export type Stop =
  | {readonly kind: 'entry'; readonly tid: number; readonly nr: number; readonly args: readonly bigint[]}
  | {readonly kind: 'exit'; readonly tid: number; readonly result: bigint}
  | {readonly kind: 'signal'; readonly tid: number; readonly signal: number}
  | {readonly kind: 'other'; readonly tid: number}
  | {readonly kind: 'ended'; readonly tid: number; readonly signal: number | null};

/** False where this machine lets nobody trace a child of their own. */
export function canTrace(): boolean {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return false;
  try {
    const scope = Number(readFileSync('/proc/sys/kernel/yama/ptrace_scope', 'utf8'));
    return scope < 2 || (scope === 2 && process.getuid?.() === 0);
  } catch {
    // A kernel without Yama asks for nothing more.
    return true;
  }
}

/** From now on whoever loses its parent among our descendants is ours to wait for. */
export function adoptOrphans(): void {
  libc.prctl(setChildSubreaper, 1, 0, 0, 0);
}

/** Traces every thread that a child of ours has and will have. Throws where the kernel refuses. */
export function seizeThreads(pid: number): void {
  const seized = new Set<number>();
  for (let found = threadsOf(pid); found.some((tid) => !seized.has(tid)); found = threadsOf(pid)) {
    for (const tid of found.filter((each) => !seized.has(each))) {
      seized.add(tid);
      const isThere = Number(libc.ptrace(request.seize, tid, 0, seizeOptions)) === 0;
      if (!isThere && tid === pid) throw new Error(`ptrace does not get hold of process ${pid}`);
      if (isThere) libc.ptrace(request.interrupt, tid, 0, 0);
    }
  }
}

function threadsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map(Number);
}

/** Blocks until something happens to a tracee or a child; null when none is left. */
export function waitForStop(): Stop | null {
  const status = new Int32Array(1);
  const tid = libc.waitpid(-1, ptr(status), waitForAll);
  if (tid <= 0) return null;
  const [value = 0] = status;
  const low = value & 0x7f;
  if (low !== 0x7f) return {kind: 'ended', tid, signal: low === 0 ? null : low};
  const signal = (value >> 8) & 0xff;
  if (signal === syscallStop) return syscallInfo(tid);
  return value >> 16 === 0 ? {kind: 'signal', tid, signal} : {kind: 'other', tid};
}

/** Lets a stopped thread go on to its next stop. */
export function resume({tid, signal}: {tid: number; signal: number}): void {
  libc.ptrace(request.syscall, tid, 0, signal);
}

/** `struct ptrace_syscall_info`: op at 0; from 24 on number and arguments, or the result. */
function syscallInfo(tid: number): Stop {
  const info = Buffer.alloc(infoBytes);
  libc.ptrace(request.syscallInfo, tid, infoBytes, ptr(info));
  const op = info.readUInt8(0);
  if (op === 1) {
    const args = [0, 1, 2, 3, 4, 5].map((index) => info.readBigUInt64LE(32 + 8 * index));
    return {kind: 'entry', tid, nr: Number(info.readBigUInt64LE(24)), args};
  }
  return op === 2 ? {kind: 'exit', tid, result: info.readBigInt64LE(24)} : {kind: 'other', tid};
}

/** Up to `bytes` bytes of the memory of a stopped thread. */
export function readMemory(tid: number, address: bigint, bytes: number): Buffer {
  const memory = openSync(`/proc/${tid}/mem`, 'r');
  try {
    const buffer = Buffer.alloc(bytes);
    return buffer.subarray(0, readSync(memory, buffer, 0, bytes, address));
  } finally {
    closeSync(memory);
  }
}
