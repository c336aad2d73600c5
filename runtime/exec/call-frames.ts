import type {Call} from './call.ts';

/**
 * What the runtime and a script host say to each other of a call. Each call has a channel of its own. Bodies go in
 * `data` frames; each side sends at most `windowBytes` that the other one has not acknowledged with `credit`.
 */
export const frameKinds = {
  /** To the host: `CallFrame` as JSON. */
  call: 1,
  /** A piece of a body: of the request's to the host, of the answer's to the runtime. */
  data: 2,
  /** The body is complete. */
  end: 3,
  /** Four bytes: so many of the body were taken and may follow. */
  credit: 4,
  /** To the host: nobody waits for the answer any more. To the runtime: the answer breaks off here. */
  abort: 5,
  /** To the runtime: `AnswerHead` as JSON; the body follows. */
  head: 6,
  /** To the runtime: `AnswerHead` as JSON, a newline, and the whole body. */
  answer: 7,
} as const;

export const windowBytes = 256 * 1024;
/** A body that is longer goes in several pieces. */
export const maxDataBytes = 64 * 1024;
/** Acknowledged together: a frame for each piece would be work for nothing. */
export const creditBytes = windowBytes / 4;
/** Of a head, as text. Clients take less. */
export const maxHeadLength = 64 * 1024;
export const maxHeaders = 1000;

export interface CallFrame {
  readonly call: Call;
  readonly method: string;
  /** Names and values in turn, as they came over the wire. */
  readonly headers: readonly string[];
  readonly hasBody: boolean;
}

export interface AnswerHead {
  readonly status: number;
  /** Names, in lower case, and values in turn. */
  readonly headers: readonly string[];
  /** The script failed; this is the host's own answer. */
  readonly failed: boolean;
}

export function encodeCredit(bytes: number): Uint8Array {
  const payload = Buffer.alloc(Uint32Array.BYTES_PER_ELEMENT);
  payload.writeUInt32LE(bytes);
  return payload;
}

export function decodeCredit(payload: Buffer): number {
  return payload.readUInt32LE();
}

/** It belongs to the receiver. Throws for what is no head. */
export function decodeHead(payload: Buffer): AnswerHead & {readonly headers: string[]} {
  return headIn(payload.toString());
}

function headIn(text: string): AnswerHead & {readonly headers: string[]} {
  const head: unknown = JSON.parse(text);
  if (!isHead(head)) throw new TypeError('The head of an answer was expected.');
  return head;
}

/** The head and the whole body of an `answer` frame. Throws for what is none. */
export function decodeAnswer(payload: Buffer): {head: ReturnType<typeof decodeHead>; body: Buffer} {
  const end = payload.indexOf(newline);
  return {head: headIn(payload.toString('utf8', 0, end)), body: payload.subarray(end + 1)};
}

const newline = 10;

function isHead(value: unknown): value is ReturnType<typeof decodeHead> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'status' in value &&
    typeof value.status === 'number' &&
    'headers' in value &&
    Array.isArray(value.headers) &&
    'failed' in value
  );
}
