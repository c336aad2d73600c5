/** What a decoder calls, in the order of the bytes. */
export interface DecodedBody {
  /** A part of the content, as a view into what was fed. */
  content(bytes: Uint8Array): void;
  /** The body is complete; so many bytes that were fed follow it. */
  end(surplusBytes: number): void;
}

/** Takes the bytes of a body piece by piece; false as soon as they cannot be one. After the end nothing is taken. */
export type BodyDecoder = (bytes: Uint8Array) => boolean;

/** A body of exactly this many bytes. Zero ends it with the first call. */
export function createLengthDecoder(lengthBytes: number, body: DecodedBody): BodyDecoder {
  let leftBytes = lengthBytes;
  let ended = false;
  return (bytes) => {
    if (ended) return true;
    const content = bytes.length > leftBytes ? bytes.subarray(0, leftBytes) : bytes;
    leftBytes -= content.length;
    if (content.length > 0) body.content(content);
    if (leftBytes === 0) {
      ended = true;
      body.end(bytes.length - content.length);
    }
    return true;
  };
}

/** Longest line of a size with its extensions, and longest trailer section. */
const maxLineBytes = 4096;
const maxTrailerBytes = 8192;

const sizeLine = /^([0-9a-f]{1,13})[ \t]*(?:;[\t -~\u0080-\u00ff]*)?$/i;
const trailerLine = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\u0080-\u00ff]*$/;

const carriageReturn = 0x0d;
const lineFeed = 0x0a;

/** RFC 9112 section 7.1. Extensions and trailers are read and dropped; a line must end in CRLF. */
export function createChunkedDecoder(body: DecodedBody): BodyDecoder {
  let state: 'size' | 'content' | 'after-content' | 'trailer' | 'ended' | 'broken' = 'size';
  let leftBytes = 0;
  let line = '';
  let trailerBytes = 0;

  /** Takes bytes up to CRLF into `line`. Returns where to go on, -1 when the line is not complete, -2 when it is wrong. */
  function takeLine(bytes: Uint8Array, from: number): number {
    const at = bytes.indexOf(lineFeed, from);
    const until = at === -1 ? bytes.length : at;
    if (line.length + until - from > maxLineBytes) return -2;
    line += Buffer.from(bytes.buffer, bytes.byteOffset + from, until - from).toString('latin1');
    if (at === -1) return -1;
    if (line.charCodeAt(line.length - 1) !== carriageReturn) return -2;
    line = line.slice(0, -1);
    return at + 1;
  }

  const hasEnded = () => state === 'ended';

  function readLine(): boolean {
    const text = line;
    line = '';
    if (state === 'size') {
      const size = sizeLine.exec(text)?.[1];
      if (size === undefined) return false;
      leftBytes = Number.parseInt(size, 16);
      state = leftBytes === 0 ? 'trailer' : 'content';
      return true;
    }
    if (state === 'after-content') {
      state = 'size';
      return text === '';
    }
    if (text === '') {
      state = 'ended';
      return true;
    }
    trailerBytes += text.length;
    return trailerBytes <= maxTrailerBytes && trailerLine.test(text);
  }

  return (bytes) => {
    let at = 0;
    while (at < bytes.length && state !== 'ended' && state !== 'broken') {
      if (state === 'content') {
        const content = bytes.subarray(at, at + leftBytes);
        at += content.length;
        leftBytes -= content.length;
        if (leftBytes === 0) state = 'after-content';
        body.content(content);
        continue;
      }
      const next = takeLine(bytes, at);
      if (next === -1) return true;
      if (next === -2 || !readLine()) {
        state = 'broken';
        return false;
      }
      at = next;
      if (hasEnded()) body.end(bytes.length - at);
    }
    return state !== 'broken';
  };
}
