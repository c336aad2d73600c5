import {AppError} from '../../schemas/errors.ts';

/** Takes lines and counted pieces from a stream of bytes, holding one chunk at a time. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The bytes before the next LF as UTF-8. Throws PAYLOAD_TOO_LARGE above `maxBytes`. */
  async line(maxBytes: number): Promise<string> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (;;) {
      const chunk = await this.#chunk();
      const end = chunk.indexOf(0x0a);
      const part = end === -1 ? chunk : chunk.subarray(0, end);
      bytes += part.byteLength;
      if (bytes > maxBytes)
        throw new AppError('PAYLOAD_TOO_LARGE', `A line of the body is longer than ${maxBytes} bytes.`);
      parts.push(part);
      if (end === -1) continue;
      this.#rest = chunk.subarray(end + 1);
      return Buffer.concat(parts).toString('utf8');
    }
  }

  /** Exactly `size` bytes, in pieces. Throws INVALID_BODY when the stream ends before. */
  async *take(size: number): AsyncGenerator<Uint8Array> {
    let leftBytes = size;
    while (leftBytes > 0) {
      const chunk = await this.#chunk();
      const piece = chunk.subarray(0, leftBytes);
      this.#rest = chunk.subarray(piece.byteLength);
      leftBytes -= piece.byteLength;
      yield piece;
    }
  }

  /** Throws INVALID_BODY when anything is left. */
  async end(): Promise<void> {
    if (this.#rest.byteLength > 0 || (await this.#chunks.next()).done !== true) {
      throw new AppError('INVALID_BODY', 'The body goes on after its end. Nothing was changed.');
    }
  }

  /** Tells the sender that no more is wanted. */
  async cancel(): Promise<void> {
    await this.#chunks.return?.().catch(() => {
      // The stream has failed already; its error is the one that is thrown.
    });
  }

  async #chunk(): Promise<Uint8Array> {
    if (this.#rest.byteLength > 0) {
      const rest = this.#rest;
      this.#rest = new Uint8Array();
      return rest;
    }
    const {done, value} = await this.#chunks.next();
    if (done === true)
      throw new AppError('INVALID_BODY', 'The body ended before it was complete. Nothing was changed.');
    return value;
  }
}
