import {AppError} from '../../schemas/errors.ts';

/** How the end of a request's body is known. `length` 0 is the same as `none`. */
export type BodyFraming =
  | {readonly kind: 'none'}
  | {readonly kind: 'length'; readonly bytes: number}
  | {readonly kind: 'chunked'};

export interface RequestHead {
  readonly method: string;
  /** As sent: a path with its query, or an absolute URI. */
  readonly target: string;
  readonly isHttp10: boolean;
  /** Names and values in turn, as they came over the wire. */
  readonly pairs: readonly string[];
  /** Lower-case names; values as latin1 text, several fields of one name joined by `, `. */
  readonly fields: ReadonlyMap<string, string>;
  readonly framing: BodyFraming;
  readonly expectsContinue: boolean;
  /** The client may send another request on the same connection. */
  readonly isPersistent: boolean;
}

export const maxHeadBytes = 16 * 1024;

const requestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~\u0080-\u00ff]{1,16384}) HTTP\/1\.([01])$/;
/** What may be the name of a header, and what may not stand in a value. */
export const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
export const notInValue = /[^\t -~\u0080-\u00ff]/;

/** Two values for these would let two readers of one request disagree about it. */
const singular = new Set(['host', 'content-length', 'transfer-encoding', 'expect', 'content-type']);

/**
 * Reads the head of a request, without its last empty line, as RFC 9112 writes it and no other way: no bare LF,
 * no folded lines, no blank before a colon, one way to delimit the body. Throws MALFORMED_REQUEST or EXPECTATION_FAILED.
 */
export function parseRequestHead(text: string): RequestHead {
  const firstEnd = endOfLine(text, 0);
  const [, method, target, minor] = requestLine.exec(text.slice(0, firstEnd)) ?? [];
  if (method === undefined || target === undefined)
    throw malformed('the first line is not `METHOD target HTTP/1.1`');
  const pairs: string[] = [];
  const fields = new Map<string, string>();
  for (let at = firstEnd + 2; at <= text.length; ) {
    const end = endOfLine(text, at);
    readField(text.slice(at, end), pairs, fields);
    at = end + 2;
  }
  const isHttp10 = minor === '0';
  if (!isHttp10 && !fields.has('host')) throw malformed('the Host header is missing');
  const framing = framingOf(fields, isHttp10);
  return {
    method,
    target,
    isHttp10,
    pairs,
    fields,
    framing,
    expectsContinue: expectsContinue(fields) && !isHttp10 && framing.kind !== 'none',
    isPersistent: !isHttp10 && !/\bclose\b/i.test(fields.get('connection') ?? ''),
  };
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\r\n', from);
  return end === -1 ? text.length : end;
}

function readField(line: string, pairs: string[], fields: Map<string, string>): void {
  const colon = line.indexOf(':');
  const name = line.slice(0, colon);
  const value = withoutOuterBlanks(line, colon + 1);
  if (colon === -1 || !fieldName.test(name) || notInValue.test(value))
    throw malformed('a line of the head is not `Name: value`');
  pairs.push(name, value);
  const key = name.toLowerCase();
  const former = fields.get(key);
  if (former !== undefined && singular.has(key)) throw malformed(`${name} is given twice`);
  fields.set(key, former === undefined ? value : `${former}, ${value}`);
}

function withoutOuterBlanks(line: string, from: number): string {
  let [start, end] = [from, line.length];
  while (isBlank(line.charCodeAt(start))) start += 1;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end -= 1;
  return line.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** RFC 6455 section 4.2.1. */
export function asksForWebsocket({method, fields, framing}: RequestHead): boolean {
  const isAsked = method === 'GET' && fields.get('upgrade')?.toLowerCase() === 'websocket';
  const isComplete = fields.has('sec-websocket-key') && fields.get('sec-websocket-version') === '13';
  return isAsked && isComplete && framing.kind === 'none';
}

/** RFC 9112 section 6.3. A request with both headers may be an attack, and nobody needs it. */
function framingOf(fields: ReadonlyMap<string, string>, isHttp10: boolean): BodyFraming {
  const length = fields.get('content-length');
  const encoding = fields.get('transfer-encoding');
  if (encoding !== undefined) {
    if (length !== undefined) throw malformed('Content-Length and Transfer-Encoding exclude each other');
    if (isHttp10 || encoding.toLowerCase() !== 'chunked')
      throw malformed('Transfer-Encoding can only be `chunked`, with HTTP/1.1');
    return {kind: 'chunked'};
  }
  if (length === undefined) return {kind: 'none'};
  const bytes = /^\d{1,19}$/.test(length) ? Number(length) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw malformed('Content-Length is not a number of bytes');
  return {kind: 'length', bytes};
}

function expectsContinue(fields: ReadonlyMap<string, string>): boolean {
  const expect = fields.get('expect');
  if (expect === undefined) return false;
  if (expect.toLowerCase() === '100-continue') return true;
  throw new AppError('EXPECTATION_FAILED', 'The only expectation that can be met is `100-continue`.');
}

function malformed(what: string): AppError {
  return new AppError('MALFORMED_REQUEST', `The request is not HTTP/1.1 as RFC 9112 writes it: ${what}.`);
}
