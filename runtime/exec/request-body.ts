import type {Readable} from 'node:stream';

/** The body of a request on its way to a host. A small one can be sent again. */
export interface RequestBody {
  /** True while everything that was read is still here. */
  readonly isComplete: boolean;
  /** Sends what has been read and then what comes; `write` is false when it has to wait for `resume`. */
  attach(write: (bytes: string | Uint8Array) => boolean): void;
  detach(): void;
  resume(): void;
}

/** Up to this size a body is kept until it is answered. */
const keptBytes = 1024 * 1024;
const lastChunk = '0\r\n\r\n';

/** `chunked`: in chunked coding, where nobody has said how long the body is. */
export function createRequestBody(source: Readable, {chunked}: {chunked: boolean}): RequestBody {
  let kept: Buffer[] | null = [];
  let keptLength = 0;
  let hasEnded = false;
  let write: ((bytes: string | Uint8Array) => boolean) | null = null;

  function send(chunk: Buffer): boolean {
    if (write === null || chunk.length === 0) return true;
    if (!chunked) return write(chunk);
    write(`${chunk.length.toString(16)}\r\n`);
    write(chunk);
    return write('\r\n');
  }

  source.on('data', (chunk: Buffer) => {
    keptLength += chunk.length;
    if (keptLength > keptBytes) kept = null;
    kept?.push(chunk);
    if (!send(chunk)) source.pause();
  });
  source.on('end', () => {
    hasEnded = true;
    if (chunked) write?.(lastChunk);
  });
  // A sender that leaves is seen by the side that answers it.
  source.on('error', () => {});
  source.pause();

  return {
    get isComplete() {
      return kept !== null;
    },
    attach(to) {
      write = to;
      for (const chunk of kept ?? []) send(chunk);
      if (hasEnded && chunked) write(lastChunk);
      source.resume();
    },
    detach() {
      write = null;
      // What nobody reads is thrown away, so that the sender can go on to read the answer.
      if (kept === null) source.resume();
    },
    resume: () => void source.resume(),
  };
}
