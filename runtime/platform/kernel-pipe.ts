import {dlopen, ptr} from 'bun:ffi';
import {closeSync, constants, openSync, readSync} from 'node:fs';

/** Holds bytes in the kernel, on their way from one descriptor to others. */
export interface KernelPipe {
  /** How many it holds at most. */
  readonly bytes: number;
  readonly readEnd: number;
  readonly writeEnd: number;
}

/** What the kernel does with pipes. */
export interface KernelPipes {
  /** Null where this user may have no more of them. */
  open(mostBytes: number): KernelPipe | null;
  /** From a socket, as much as waits there. Returns how much that was. */
  fill(pipe: KernelPipe, socket: number, mostBytes: number): number;
  /** To a socket. Returns how much it took. */
  pass(pipe: KernelPipe, socket: number, count: number): number;
  /**
   * The same bytes that wait at `readEnd`, and stay there, to a socket by way of an empty pipe, which is empty again
   * afterwards. Returns how many it took. Throws where the kernel does not give back the others.
   */
  passCopy(readEnd: number, by: KernelPipe, socket: number, count: number): number;
  /** To this process. Throws where fewer are there. */
  read(pipe: KernelPipe, count: number): Uint8Array;
  close(pipe: KernelPipe): void;
  /** Lets so many bytes wait in a socket, where the kernel allows it. */
  widen(socket: number, bytes: number): void;
  /** Once no pipe is open. */
  end(): void;
}

/** Of `fcntl`: F_SETPIPE_SZ and F_GETPIPE_SZ. */
const setPipeSize = 1031;
const getPipeSize = 1032;
/** Of `setsockopt`: SOL_SOCKET, SO_SNDBUF, and SO_SNDBUFFORCE, which only the machine's root may use. */
const socketLevel = 1;
const sendBuffer = 7;
const sendBufferForced = 32;
/** SPLICE_F_MOVE and SPLICE_F_NONBLOCK. */
const splicing = 1 | 2;
/** O_CLOEXEC, which `node:fs` does not name. */
const closeOnExec = 0o2000000;

/** Of Linux alone. */
export function openKernelPipes(): KernelPipes {
  const {splice, tee, pipe2, fcntl, setsockopt} = dlopen('libc.so.6', {
    splice: {args: ['i32', 'ptr', 'i32', 'ptr', 'u64', 'u32'], returns: 'i32'},
    tee: {args: ['i32', 'i32', 'u64', 'u32'], returns: 'i32'},
    pipe2: {args: ['ptr', 'i32'], returns: 'i32'},
    fcntl: {args: ['i32', 'i32', 'i32'], returns: 'i32'},
    setsockopt: {args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32'},
  }).symbols;
  const nowhere = openSync('/dev/null', 'w');

  function pass(pipe: KernelPipe, socket: number, count: number): number {
    return Math.max(0, splice(pipe.readEnd, null, socket, null, count, splicing));
  }

  return {
    open(mostBytes) {
      const ends = new Int32Array(2);
      if (pipe2(ptr(ends), constants.O_NONBLOCK | closeOnExec) !== 0) return null;
      const [readEnd = -1, writeEnd = -1] = ends;
      // A user with many pipes may not enlarge this one; it works as it is.
      fcntl(writeEnd, setPipeSize, mostBytes);
      return {readEnd, writeEnd, bytes: fcntl(writeEnd, getPipeSize, 0)};
    },
    fill: (pipe, socket, mostBytes) =>
      Math.max(0, splice(socket, null, pipe.writeEnd, null, mostBytes, splicing)),
    pass,
    passCopy(readEnd, by, socket, count) {
      const held = Math.max(0, tee(readEnd, by.writeEnd, count, splicing));
      const taken = held === 0 ? 0 : pass(by, socket, held);
      for (let left = held - taken; left > 0; ) {
        const dropped = pass(by, nowhere, left);
        if (dropped === 0) throw new Error(lost);
        left -= dropped;
      }
      return taken;
    },
    read(pipe, count) {
      const bytes = Buffer.allocUnsafeSlow(count);
      if (readSync(pipe.readEnd, bytes) !== count) throw new Error(lost);
      return bytes;
    },
    close({readEnd, writeEnd}) {
      closeSync(readEnd);
      closeSync(writeEnd);
    },
    widen(socket, bytes) {
      const wanted = new Int32Array([bytes]);
      for (const option of [sendBufferForced, sendBuffer])
        if (setsockopt(socket, socketLevel, option, ptr(wanted), wanted.byteLength) === 0) return;
    },
    end: () => closeSync(nowhere),
  };
}

const lost = 'The kernel did not pass on bytes that it had taken.';
