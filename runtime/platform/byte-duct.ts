import {openKernelPipes} from './kernel-pipe.ts';
import {createMoveHelper, type MoveHelperOptions} from './move-helper.ts';
import type {Passing} from './shared-move.ts';

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

/**
 * Null where this system has no such way. What it opens stays open as long as the process. With `helping` another
 * thread takes part where much goes to many.
 */
export function openDuct(helping: Omit<MoveHelperOptions, 'pipeBytes'> | null = null): Duct | null {
  if (process.platform !== 'linux') return null;
  const kernel = openKernelPipes();
  const [one, other] = [kernel.open(mostMovedBytes), kernel.open(mostMovedBytes)];
  if (one === null || other === null) {
    for (const pipe of [one, other]) if (pipe !== null) kernel.close(pipe);
    kernel.end();
    return null;
  }
  // One holds what came while it goes to each socket; the other, with the same pages once more, what goes to one of them.
  const [whole, copy] = one.bytes <= other.bytes ? [one, other] : [other, one];
  const helper = helping && createMoveHelper({...helping, pipeBytes: whole.bytes});
  /** False while something is in the pipes: what one transfer left there would go to another. */
  let isEmpty = true;

  const passCopy: Passing = (from, socket, count) => kernel.passCopy(from, copy, socket, count);

  function passCopies(sockets: readonly number[], count: number): number[] {
    const shared = helper?.forMove(sockets.length, count) ?? null;
    return shared === null
      ? sockets.map((socket) => passCopy(whole.readEnd, socket, count))
      : shared.run(whole.readEnd, sockets, count, passCopy);
  }

  return {
    widen: (descriptor) => kernel.widen(descriptor, mostMovedBytes),
    move(from, to, mostBytes, leave) {
      const last = to.at(-1);
      if (!isEmpty || last === undefined) return 0;
      const count = kernel.fill(whole, from, Math.min(mostBytes, mostMovedBytes));
      if (count === 0) return 0;
      isEmpty = false;
      const taken = passCopies(to.slice(0, -1), count);
      const isWanted = taken.some((bytes) => bytes < count);
      const ofLast = isWanted ? passCopy(whole.readEnd, last, count) : kernel.pass(whole, last, count);
      taken.push(ofLast);
      const gone = isWanted ? 0 : ofLast;
      const left = gone === count ? null : kernel.read(whole, count - gone);
      isEmpty = true;
      if (left !== null)
        for (const [index, bytes] of taken.entries())
          if (bytes < count) leave(index, left.subarray(bytes - gone));
      return count;
    },
  };
}
