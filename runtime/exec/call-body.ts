import {creditBytes} from './call-frames.ts';

/** The body of a call on its way in. It is asked for only as fast as somebody reads it. */
export class CallBody implements AsyncIterable<Buffer> {
  readonly #acknowledge: (bytes: number) => void;
  readonly #chunks: Buffer[] = [];
  #takenBytes = 0;
  #end: 'none' | 'complete' | 'cut' = 'none';
  #wake: () => void = () => {};

  /** `acknowledge`: so many bytes may follow. */
  constructor(acknowledge: (bytes: number) => void) {
    this.#acknowledge = acknowledge;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#wake();
  }

  complete(): void {
    if (this.#end === 'none') this.#end = 'complete';
    this.#wake();
  }

  /** The caller has left before the end. */
  cut(): void {
    if (this.#end === 'none') this.#end = 'cut';
    this.#wake();
  }

  /** Throws CallBodyCut. One reader at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#take(chunk.length);
        yield chunk;
      } else if (this.#end === 'complete') return;
      else if (this.#end === 'cut') throw new CallBodyCut('The caller left before the end of the body.');
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #take(bytes: number): void {
    this.#takenBytes += bytes;
    if (this.#takenBytes < creditBytes) return;
    this.#acknowledge(this.#takenBytes);
    this.#takenBytes = 0;
  }
}

export class CallBodyCut extends Error {
  override readonly name = 'CallBodyCut';
}
