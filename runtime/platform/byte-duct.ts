import {dlopen, ptr} from 'bun:ffi';
import {closeSync, constants, openSync, readSync} from 'node:fs';

/** Moves what waits in one socket to others without bringing it into this process: the kernel passes its pages on. */
export interface Duct {
  /**
   * Takes up to `mostBytes` that wait in `from` and gives them to all of `to`. Returns how many it took, 0 where nothing
   * waits or where the kernel does not do it. Calls `leave` for each socket that did not take all, with the bytes that
   * are left for it; sockets left together share them. Throws where bytes that were taken are lost; after that it
   * takes none.
   */
  move(
    from: number,
    to: readonly number[],
    mostBytes: number,
    leave: (index: number, bytes: Uint8Array) => void,
  ): number;
  /** Lets more wait in a unix socket, where the kernel allows it. */
  widen(descriptor: number): void;
}

/** What one move takes at most: larger ones gain nothing, and others wait as long as one takes. */
const mostMovedBytes = 1024 * 1024;

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

interface KernelPipe {
  readonly out: number;
  readonly in: number;
  readonly bytes: number;
}

/** Null where this system has no such way. What it opens stays open as long as the process. */
export function openDuct(): Duct | null {
  if (process.platform !== 'linux') return null;
  const {splice, tee, pipe2, fcntl, setsockopt} = dlopen('libc.so.6', {
    splice: {args: ['i32', 'ptr', 'i32', 'ptr', 'u64', 'u32'], returns: 'i32'},
    tee: {args: ['i32', 'i32', 'u64', 'u32'], returns: 'i32'},
    pipe2: {args: ['ptr', 'i32'], returns: 'i32'},
    fcntl: {args: ['i32', 'i32', 'i32'], returns: 'i32'},
    setsockopt: {args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32'},
  }).symbols;

  function openPipe(): KernelPipe | null {
    const ends = new Int32Array(2);
    if (pipe2(ptr(ends), constants.O_NONBLOCK | closeOnExec) !== 0) return null;
    const [out = -1, into = -1] = ends;
    // A user with many pipes may not enlarge this one; it works as it is.
    fcntl(into, setPipeSize, mostMovedBytes);
    return {out, in: into, bytes: fcntl(into, getPipeSize, 0)};
  }

  const [one, other] = [openPipe(), openPipe()];
  if (one === null || other === null) {
    for (const pipe of [one, other]) if (pipe !== null) for (const end of [pipe.in, pipe.out]) closeSync(end);
    return null;
  }
  // One holds what came while it goes to each socket; the other, with the same pages once more, what goes to one of them.
  const [whole, copy] = one.bytes <= other.bytes ? [one, other] : [other, one];
  const nowhere = openSync('/dev/null', 'w');
  /** False while something is in the pipes: what one transfer left there would go to another. */
  let isEmpty = true;

  function pass(pipe: KernelPipe, socket: number, count: number): number {
    return Math.max(0, splice(pipe.out, null, socket, null, count, splicing));
  }

  function drop(pipe: KernelPipe, bytes: number): void {
    for (let left = bytes; left > 0; ) {
      const dropped = pass(pipe, nowhere, left);
      if (dropped === 0) throw new Error(lost);
      left -= dropped;
    }
  }

  /** Keeps them for others; returns how many of them the socket took. */
  function passCopy(socket: number, count: number): number {
    const held = Math.max(0, tee(whole.out, copy.in, count, splicing));
    const taken = held === 0 ? 0 : pass(copy, socket, held);
    drop(copy, held - taken);
    return taken;
  }

  function read(pipe: KernelPipe, count: number): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(count);
    if (readSync(pipe.out, bytes) !== count) throw new Error(lost);
    return bytes;
  }

  return {
    widen(descriptor) {
      const wanted = new Int32Array([mostMovedBytes]);
      for (const option of [sendBufferForced, sendBuffer])
        if (setsockopt(descriptor, socketLevel, option, ptr(wanted), wanted.byteLength) === 0) return;
    },
    move(from, to, mostBytes, leave) {
      const last = to.at(-1);
      if (!isEmpty || last === undefined) return 0;
      const count = splice(from, null, whole.in, null, Math.min(mostBytes, mostMovedBytes), splicing);
      if (count <= 0) return 0;
      isEmpty = false;
      const taken = to.slice(0, -1).map((socket) => passCopy(socket, count));
      const isWanted = taken.some((bytes) => bytes < count);
      const ofLast = isWanted ? passCopy(last, count) : pass(whole, last, count);
      taken.push(ofLast);
      const gone = isWanted ? 0 : ofLast;
      const left = gone === count ? null : read(whole, count - gone);
      isEmpty = true;
      if (left !== null)
        for (const [index, bytes] of taken.entries())
          if (bytes < count) leave(index, left.subarray(bytes - gone));
      return count;
    },
  };
}

const lost = 'The kernel did not pass on bytes that it had taken.';
