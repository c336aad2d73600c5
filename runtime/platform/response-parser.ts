import {bodylessStatuses, firstFinalStatus} from '../../schemas/errors.ts';

export interface ResponseEvents {
  /** Names in lower case and values in turn. */
  head(status: number, headers: readonly string[]): void;
  body(chunk: Uint8Array): void;
  end(): void;
}

export interface ResponseParser {
  /** Throws for what is no HTTP/1.1. */
  feed(bytes: Buffer): void;
  /** The connection was closed. Throws where the response is not complete. */
  close(): void;
  /** True when the connection can be used for another request. */
  readonly isReusable: boolean;
}

const maxHeadBytes = 256 * 1024;
const maxChunkLineBytes = 1024;

type Step = 'head' | 'length' | 'chunkSize' | 'chunk' | 'chunkEnd' | 'trailer' | 'untilClose' | 'over';

/** Reads one response to a request of `method`, whose bytes come in any pieces. */
export function createResponseParser(method: string, events: ResponseEvents): ResponseParser {
  let step: Step = 'head';
  /** What could not be used yet: a part of a head or of a chunk's line. */
  let rest: Buffer | null = null;
  /** Bytes of the body or of the chunk that are still to come. */
  let left = 0;
  let isReusable = false;

  function finish(keepAlive: boolean): void {
    step = 'over';
    isReusable = keepAlive;
    events.end();
  }

  /** Returns the bytes after the line that ends with `ending`, or null when it has not come yet. */
  function takeLine(
    bytes: Buffer,
    ending: string,
    maxBytes: number,
    take: (line: string) => void,
  ): Buffer | null {
    const whole = rest === null ? bytes : Buffer.concat([rest, bytes]);
    const at = whole.indexOf(ending);
    if (at > maxBytes || (at === -1 && whole.length > maxBytes)) throw new Error('a line is too long');
    rest = at === -1 ? whole : null;
    if (at === -1) return null;
    take(whole.toString('latin1', 0, at));
    return whole.subarray(at + ending.length);
  }

  function takeHead(text: string): void {
    const lines = text.split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(lines[0] ?? '')?.[1]);
    if (Number.isNaN(status)) throw new Error('not an HTTP/1.1 response');
    // An interim answer: the real one follows.
    if (status < firstFinalStatus) return;
    const headers: string[] = [];
    let length: number | null = null;
    let chunked = false;
    for (const line of lines.slice(1)) {
      const colon = line.indexOf(':');
      if (colon < 1) throw new Error('a header has no name');
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      if (name === 'content-length') length = Number(value);
      if (name === 'transfer-encoding') chunked = value.toLowerCase().endsWith('chunked');
      headers.push(name, value);
    }
    if (length !== null && !Number.isSafeInteger(length)) throw new Error('the length is no number');
    events.head(status, headers);
    if (method === 'HEAD' || bodylessStatuses.includes(status)) finish(true);
    else if (chunked) step = 'chunkSize';
    else if (length === null) step = 'untilClose';
    else if (length === 0) finish(true);
    else {
      left = length;
      step = 'length';
    }
  }

  function takeBody(bytes: Buffer, then: () => void): Buffer {
    const part = bytes.subarray(0, left);
    left -= part.length;
    events.body(part);
    if (left === 0) then();
    return bytes.subarray(part.length);
  }

  function takeChunkSize(line: string): void {
    const size = /^([0-9a-f]{1,12})(?:;|\s*$)/i.exec(line)?.[1];
    if (size === undefined) throw new Error('a chunk has no size');
    left = Number.parseInt(size, 16);
    step = left === 0 ? 'trailer' : 'chunk';
  }

  /** Uses what it can of the bytes; null when it needs more. */
  function advance(bytes: Buffer): Buffer | null {
    switch (step) {
      case 'head':
        return takeLine(bytes, '\r\n\r\n', maxHeadBytes, takeHead);
      case 'length':
        return takeBody(bytes, () => finish(true));
      case 'chunkSize':
        return takeLine(bytes, '\r\n', maxChunkLineBytes, takeChunkSize);
      case 'chunk':
        return takeBody(bytes, () => {
          step = 'chunkEnd';
        });
      case 'chunkEnd':
        return takeLine(bytes, '\r\n', maxChunkLineBytes, (line) => {
          if (line !== '') throw new Error('a chunk is longer than it says');
          step = 'chunkSize';
        });
      case 'trailer':
        return takeLine(bytes, '\r\n', maxHeadBytes, (line) => {
          if (line === '') finish(true);
        });
      case 'untilClose':
        events.body(bytes);
        return null;
      case 'over':
        // More than one answer was written: nothing that follows can be trusted.
        isReusable = false;
        return null;
    }
  }

  return {
    feed(bytes) {
      let unused: Buffer | null = bytes;
      while (unused !== null && unused.length > 0) unused = advance(unused);
    },
    close() {
      if (step === 'untilClose') finish(false);
      else if (step !== 'over') throw new Error('the connection was closed before the answer was complete');
    },
    get isReusable() {
      return isReusable;
    },
  };
}
