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
  /** Lower-case names; values as latin1 text, several fields of one name joined by `, `. */
  readonly fields: ReadonlyMap<string, string>;
  readonly framing: BodyFraming;
  readonly expectsContinue: boolean;
}

export const maxHeadBytes = 16 * 1024;

const requestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]{1,16384}) HTTP\/1\.([01])$/;
const fieldLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\u0080-\u00ff]*?)[ \t]*$/;

/** Two values for these would let two readers of one request disagree about it. */
const singular = new Set(['host', 'content-length', 'transfer-encoding', 'expect', 'content-type']);

/**
 * Reads the head of a request, without its last empty line, as RFC 9112 writes it and no other way: no bare LF,
 * no folded lines, no blank before a colon, one way to delimit the body. Throws MALFORMED_REQUEST or EXPECTATION_FAILED.
 */
export function parseRequestHead(text: string): RequestHead {
  const [first = '', ...lines] = text.split('\r\n');
  const [, method, target, minor] = requestLine.exec(first) ?? [];
  if (method === undefined || target === undefined)
    throw malformed('the first line is not `METHOD target HTTP/1.1`');
  const fields = parseFields(lines);
  const isHttp10 = minor === '0';
  if (!isHttp10 && !fields.has('host')) throw malformed('the Host header is missing');
  const framing = framingOf(fields, isHttp10);
  return {
    method,
    target,
    isHttp10,
    fields,
    framing,
    expectsContinue: expectsContinue(fields) && !isHttp10 && framing.kind !== 'none',
  };
}

function parseFields(lines: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name = '', value = ''] = fieldLine.exec(line) ?? [];
    if (name === '') throw malformed('a line of the head is not `Name: value`');
    const key = name.toLowerCase();
    const former = fields.get(key);
    if (former !== undefined && singular.has(key)) throw malformed(`${name} is given twice`);
    fields.set(key, former === undefined ? value : `${former}, ${value}`);
  }
  return fields;
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
