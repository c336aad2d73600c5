/**
 * A piece of a stream on its way to any number of readers: the bytes, and once for all readers that need it
 * the same bytes as one HTTP chunk.
 */
export class Frame {
  readonly payload: Uint8Array;
  #chunk: Uint8Array | null = null;

  constructor(payload: Uint8Array) {
    this.payload = payload;
  }

  /** RFC 9112 section 7.1: size in hexadecimal, CRLF, the bytes, CRLF. Of no bytes it would be the last chunk. */
  get chunk(): Uint8Array {
    this.#chunk ??= Buffer.concat([
      Buffer.from(`${this.payload.length.toString(16)}\r\n`, 'latin1'),
      this.payload,
      crlf,
    ]);
    return this.#chunk;
  }
}

const crlf = Buffer.from('\r\n', 'latin1');

/** Bytes that come as fast as their reader lets them. */
export interface ByteSource {
  /** Once. What came before is handed over first, within this call. */
  start(reader: SourceReader): void;
  /** A piece that is under way may still come. */
  pause(): void;
  resume(): void;
  /** Once started: whence the kernel can take what comes next without showing it; null where it has to be read. */
  shortcut?(): SourceShortcut | null;
}

/** Of a request that brings nothing. */
export const emptySource: ByteSource = {
  start: (reader) => reader.end(),
  pause() {},
  resume() {},
};

export interface SourceShortcut {
  readonly descriptor: number;
  readonly mostBytes: number;
  /** So many bytes were taken and will not be read. With the last one the stream ends within this call. */
  took(bytes: number): void;
}

/** Exactly one of `end` and `cut` is called, last. */
export interface SourceReader {
  /** Never empty; belongs to the reader. */
  chunk(bytes: Uint8Array): void;
  end(): void;
  /** The stream broke off: what came is not all of it. */
  cut(): void;
}

/** Where bytes go. What is not taken at once waits here, so that writers stop when `write` says false. */
export interface ByteSink {
  /** False where bytes are left over; `drained` is called when they are gone. */
  write(frame: Frame): boolean;
  /** Nothing more comes after these bytes; the stream is complete. */
  end(last?: Frame): void;
  /** The stream breaks off, visibly for whoever reads it. */
  cut(): void;
  /** Called whenever nothing waits any more, also after the last byte of `end`; may be called too often. */
  onDrained(listener: () => void): void;
  /** Bytes of `write` that wait to be taken. */
  readonly pendingBytes: number;
  /** The socket that may be written to behind its back, with the bytes as they are; null where that would mix them up. */
  shortcut?(): SinkShortcut | null;
}

export interface SinkShortcut {
  readonly descriptor: number;
  /** In a unix socket the kernel lets a fixed number of bytes wait. */
  readonly isUnix: boolean;
}
