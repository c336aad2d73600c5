/** Places of the words that two threads share; the sockets and what they took follow. */
const word = {wake: 0, next: 1, done: 2, from: 3, count: 4, sockets: 5, broken: 6, pipeBytes: 7, ended: 8};
const socketsAt = Object.keys(word).length;
/** Receivers of a pipe. */
const mostSockets = 256;
const takenAt = socketsAt + mostSockets;
const allWords = takenAt + mostSockets;

/** Above any socket's place: no move is under way. */
const parked = 1 << 20;
/** Other threads may have to wait for a core; this is for one that is gone. */
const mostWaitMs = 10_000;

/**
 * Moves of the same bytes to many sockets, shared by the thread that begins them and one that helps. Each claims the next
 * socket until none is left, so that neither waits for one that does not get a core. No move is over before each socket
 * has been seen to: descriptors are others' afterwards.
 */
export class SharedMove {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  static create(): SharedMove {
    const move = new SharedMove(new SharedArrayBuffer(allWords * Int32Array.BYTES_PER_ELEMENT));
    move.#store(word.next, parked);
    return move;
  }

  /** In the thread that helps. */
  static of(buffer: SharedArrayBuffer): SharedMove {
    return new SharedMove(buffer);
  }

  /** Whether somebody helps who can hold so many bytes. */
  isHelped(bytes: number): boolean {
    return this.#load(word.pipeBytes) >= bytes;
  }

  /** How many of `count` bytes at the read end `from` each socket took. Throws where bytes are lost. */
  run(from: number, sockets: readonly number[], count: number, pass: Passing): number[] {
    const words = this.#words;
    words.set(sockets, socketsAt);
    this.#store(word.from, from);
    this.#store(word.count, count);
    this.#store(word.sockets, sockets.length);
    this.#store(word.done, 0);
    // From here on the helper claims too.
    this.#store(word.next, 0);
    this.#wake();
    try {
      this.#claim(pass);
      for (let done = this.#load(word.done); done < sockets.length; done = this.#load(word.done))
        if (Atomics.wait(words, word.done, done, mostWaitMs) === 'timed-out') throw new Error(lost);
    } finally {
      this.#store(word.next, parked);
    }
    if (this.#load(word.broken) !== 0) throw new Error(lost);
    return [...words.subarray(takenAt, takenAt + sockets.length)];
  }

  /** Helps with every move until the end, by way of a pipe for `pipeBytes`. Blocks the thread. */
  help(pipeBytes: number, pass: Passing): void {
    this.#store(word.pipeBytes, pipeBytes);
    while (this.#load(word.ended) === 0) {
      const seen = this.#load(word.wake);
      this.#claim(pass);
      Atomics.wait(this.#words, word.wake, seen);
    }
  }

  /** The helper leaves; no move may follow. */
  end(): void {
    this.#store(word.ended, 1);
    this.#wake();
  }

  #claim(pass: Passing): void {
    for (;;) {
      const place = Atomics.add(this.#words, word.next, 1);
      // Between moves every place is above this, so that whoever claims one finds the words of its own move.
      if (place >= this.#load(word.sockets)) return;
      try {
        const taken = pass(this.#load(word.from), this.#load(socketsAt + place), this.#load(word.count));
        this.#store(takenAt + place, taken);
      } catch {
        this.#store(word.broken, 1);
      }
      Atomics.add(this.#words, word.done, 1);
      Atomics.notify(this.#words, word.done);
    }
  }

  #wake(): void {
    Atomics.add(this.#words, word.wake, 1);
    Atomics.notify(this.#words, word.wake);
  }

  #load(place: number): number {
    return Atomics.load(this.#words, place);
  }

  #store(place: number, value: number): void {
    Atomics.store(this.#words, place, value);
  }
}

/** Gives bytes that wait at a read end to a socket, and leaves them for others. Returns how many it took. */
export type Passing = (from: number, socket: number, count: number) => number;

const lost = 'Another thread did not pass on bytes that it had taken.';
