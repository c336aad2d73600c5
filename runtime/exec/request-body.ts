import type {Readable} from 'node:stream';

/** Where a body goes. */
export interface BodySink {
  /** False when it has to wait for `resume`. */
  write(bytes: Uint8Array): boolean;
  end(): void;
}

/** The body of a request on its way to a host. A small one can be sent again. */
export interface RequestBody {
  /** True while everything that was read is still here. */
  readonly isComplete: boolean;
  /** Sends what has been read and then what comes. */
  attach(sink: BodySink): void;
  detach(): void;
  resume(): void;
}

/** Up to this size a body is kept until it is answered. */
const keptBytes = 1024 * 1024;

export function createRequestBody(source: Readable): RequestBody {
  let kept: Buffer[] | null = [];
  let keptLength = 0;
  let hasEnded = false;
  let sink: BodySink | null = null;

  source.on('data', (chunk: Buffer) => {
    keptLength += chunk.length;
    if (keptLength > keptBytes) kept = null;
    kept?.push(chunk);
    if (sink?.write(chunk) === false) source.pause();
  });
  source.on('end', () => {
    hasEnded = true;
    sink?.end();
  });
  // A sender that leaves is seen by the side that answers it.
  source.on('error', () => {});
  source.pause();

  return {
    get isComplete() {
      return kept !== null;
    },
    attach(to) {
      sink = to;
      for (const chunk of kept ?? []) to.write(chunk);
      if (hasEnded) to.end();
      source.resume();
    },
    detach() {
      sink = null;
      // What nobody reads is thrown away, so that the sender can go on to read the answer.
      if (kept === null) source.resume();
    },
    resume: () => void source.resume(),
  };
}
