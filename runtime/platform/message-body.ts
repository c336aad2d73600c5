import {
  type BodyDecoder,
  createChunkedDecoder,
  createLengthDecoder,
  type DecodedBody,
} from './body-decoder.ts';
import type {ByteSource, SourceReader, SourceShortcut} from './byte-flow.ts';
import type {ByteSocket} from './byte-socket.ts';
import type {BodyFraming} from './request-head.ts';

/** An answer may also end with its connection. */
export type MessageFraming = BodyFraming | {readonly kind: 'until-close'};

/** So much is read before anybody wants it: only who reads hears that the other side has gone. */
const maxAheadBytes = 64 * 1024;
/** An answer can only be read by a client that got rid of what it sends; beyond this it is cut. */
const maxDiscardedBytes = 64 * 1024 * 1024;
/** Less is as well read. */
const leastShortcutBytes = 64 * 1024;

/** The body of one request or answer, without its framing. */
export class MessageBody implements ByteSource {
  readonly #socket: ByteSocket;
  readonly #framing: MessageFraming['kind'];
  readonly #onWanted: () => void;
  #decode: BodyDecoder;
  /** That the head announces; null where it does not. */
  #leftBytes: number | null;
  #state: 'ahead' | 'flowing' | 'discarding' | 'ended' | 'cut' = 'ahead';
  #reader: SourceReader | null = null;
  #ahead: Uint8Array[] = [];
  #aheadBytes = 0;
  #discardedBytes = 0;
  #complete = false;
  /** Of the bytes that were fed last, those behind the end. */
  surplusBytes = 0;
  /** False from a pause that the reader asks for until it wants more. */
  #isWanted = true;

  /** `onWanted`: somebody is about to read what has not come yet. */
  constructor(socket: ByteSocket, framing: MessageFraming, onWanted: () => void = () => {}) {
    this.#socket = socket;
    this.#framing = framing.kind;
    this.#onWanted = onWanted;
    this.#leftBytes = framing.kind === 'length' ? framing.bytes : null;
    this.#decode = this.#decoderOf(framing);
  }

  #decoderOf({kind}: MessageFraming): BodyDecoder {
    if (kind === 'chunked') return createChunkedDecoder(this.#decoded());
    if (kind !== 'until-close') return createLengthDecoder(this.#leftBytes ?? 0, this.#decoded());
    return (bytes) => {
      this.#content(bytes);
      return true;
    };
  }

  #decoded(): DecodedBody {
    return {content: (bytes) => this.#content(bytes), end: (surplusBytes) => this.#end(surplusBytes)};
  }

  get isComplete(): boolean {
    return this.#complete;
  }

  /** False where the framing is broken or too much had to be thrown away: nothing more can be read. */
  feed(bytes: Uint8Array): boolean {
    if (this.#state === 'cut') return false;
    if (!this.#decode(bytes)) {
      this.cut();
      return false;
    }
    return this.#discardedBytes <= maxDiscardedBytes;
  }

  start(reader: SourceReader): void {
    const ahead = this.#ahead;
    this.#ahead = [];
    this.#reader = reader;
    if (!this.#complete) this.#onWanted();
    if (this.#state === 'ahead') this.#state = this.#complete ? 'ended' : 'flowing';
    for (const bytes of ahead) reader.chunk(bytes);
    // The reader may have asked for a pause while it took these.
    if (this.#aheadBytes > maxAheadBytes && this.#isWanted) this.#socket.resume();
    if (this.#state === 'cut') reader.cut();
    else if (this.#complete) reader.end();
  }

  pause(): void {
    this.#isWanted = false;
    if (this.#state === 'flowing') this.#socket.pause();
  }

  resume(): void {
    this.#isWanted = true;
    if (this.#state === 'flowing') this.#socket.resume();
  }

  /** What chunks hold is found by reading them. */
  shortcut(): SourceShortcut | null {
    const leftBytes = this.#leftBytes;
    const {descriptor} = this.#socket;
    if (this.#state !== 'flowing' || leftBytes === null || leftBytes < leastShortcutBytes || descriptor < 0)
      return null;
    return {
      descriptor,
      mostBytes: leftBytes,
      took: (bytes) => {
        this.#leftBytes = leftBytes - bytes;
        this.#decode = createLengthDecoder(this.#leftBytes, this.#decoded());
        if (this.#leftBytes === 0) this.#decode(new Uint8Array(0));
      },
    };
  }

  /** From now on what comes is thrown away, so that the client gets round to reading its answer. */
  discard(): void {
    if (this.#complete || this.#state === 'cut') return;
    this.#state = 'discarding';
    this.#ahead = [];
    this.#socket.resume();
  }

  /** The other side has ended the connection properly. */
  close(): void {
    if (this.#framing === 'until-close' && !this.#complete && this.#state !== 'cut') this.#end(0);
    else this.cut();
  }

  /** No more will come. */
  cut(): void {
    if (this.#complete || this.#state === 'cut') return;
    const wasFlowing = this.#state === 'flowing';
    this.#state = 'cut';
    if (wasFlowing) this.#reader?.cut();
  }

  #content(bytes: Uint8Array): void {
    if (this.#leftBytes !== null) this.#leftBytes -= bytes.length;
    if (this.#state === 'flowing') this.#reader?.chunk(bytes);
    else if (this.#state === 'discarding') this.#discardedBytes += bytes.length;
    else if (this.#state === 'ahead') this.#keepAhead(bytes);
  }

  #keepAhead(bytes: Uint8Array): void {
    this.#ahead.push(bytes);
    this.#aheadBytes += bytes.length;
    if (this.#aheadBytes > maxAheadBytes) this.#socket.pause();
  }

  #end(surplusBytes: number): void {
    this.#complete = true;
    this.surplusBytes = surplusBytes;
    if (this.#state !== 'flowing') return;
    this.#state = 'ended';
    this.#reader?.end();
  }
}
