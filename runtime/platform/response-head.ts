import {bodylessStatuses} from '../../schemas/errors.ts';
import type {MessageFraming} from './message-body.ts';
import {fieldName, notInValue} from './request-head.ts';

/** What a server answers before the body. */
export interface AnswerHead {
  readonly status: number;
  /** Names and values in turn, as they came over the wire. */
  readonly pairs: readonly string[];
  readonly framing: MessageFraming;
  /** That the head announces, also where no body comes; null where it announces none. */
  readonly lengthBytes: number | null;
}

const statusLine = /^HTTP\/1\.[01] ([1-9]\d\d)(?: [\t -~\u0080-\u00ff]*)?$/;

/**
 * Reads the head of an answer to a request of `method`, without its last empty line. Null for what is none: what two
 * readers could understand differently is not passed on.
 */
export function parseAnswerHead(text: string, method: string): AnswerHead | null {
  const [first = '', ...lines] = text.split('\r\n');
  const status = Number(statusLine.exec(first)?.[1] ?? 0);
  if (status === 0) return null;
  const pairs: string[] = [];
  const lengths: string[] = [];
  const encodings: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    const value = line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '');
    if (!fieldName.test(name) || notInValue.test(value)) return null;
    pairs.push(name, value);
    if (name.toLowerCase() === 'content-length') lengths.push(value);
    if (name.toLowerCase() === 'transfer-encoding') encodings.push(value.toLowerCase());
  }
  if (lengths.length + encodings.length > 1) return null;
  const lengthBytes = lengths[0] === undefined ? null : Number(/^\d{1,19}$/.exec(lengths[0])?.[0]);
  if (lengthBytes !== null && !Number.isSafeInteger(lengthBytes)) return null;
  if (encodings[0] !== undefined && encodings[0] !== 'chunked') return null;
  const hasNone = method === 'HEAD' || isInterim(status) || bodylessStatuses.includes(status);
  const framing = hasNone ? ({kind: 'none'} as const) : framingOf(lengthBytes, encodings.length > 0);
  return {status, pairs, framing, lengthBytes};
}

/** RFC 9110 section 15.2: another answer follows. */
export function isInterim(status: number): boolean {
  return status < firstFinalStatus;
}

const firstFinalStatus = 200;

function framingOf(lengthBytes: number | null, isChunked: boolean): MessageFraming {
  if (isChunked) return {kind: 'chunked'};
  return lengthBytes === null ? {kind: 'until-close'} : {kind: 'length', bytes: lengthBytes};
}
