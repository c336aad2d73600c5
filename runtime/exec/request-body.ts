import type {ByteSource} from '../platform/byte-flow.ts';

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

/** `note` sees every piece once. */
export function createRequestBody(source: ByteSource, note: (bytes: Uint8Array) => void): RequestBody {
  let kept: Uint8Array[] | null = [];
  let keptLength = 0;
  let hasStarted = false;
  let hasEnded = false;
  let sink: BodySink | null = null;

  function start(): void {
    hasStarted = true;
    source.start({
      chunk(bytes) {
        note(bytes);
        keptLength += bytes.length;
        if (keptLength > keptBytes) kept = null;
        kept?.push(bytes);
        if (sink?.write(bytes) === false) source.pause();
      },
      end() {
        hasEnded = true;
        sink?.end();
      },
      // A sender that leaves is seen by the side that answers it.
      cut() {},
    });
  }

  return {
    get isComplete() {
      return kept !== null;
    },
    attach(to) {
      sink = to;
      for (const chunk of kept ?? []) to.write(chunk);
      if (hasEnded) to.end();
      if (hasStarted) source.resume();
      else start();
    },
    detach() {
      sink = null;
      // What nobody reads is thrown away, so that the sender can go on to read the answer.
      if (kept === null) source.resume();
    },
    resume: () => source.resume(),
  };
}
