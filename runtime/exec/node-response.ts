import type {Writable} from 'node:stream';
import {lazily} from '../platform/lazily.ts';
import type {Reply} from './reply.ts';
import {sendBytes, sendJson} from './script-answer.ts';

type HeaderValue = string | number | readonly string[];
type Done = () => void;

/** `res` as scripts know it from Node's `ServerResponse`, with `status`, `json` and `send` as in Express. */
export interface NodeResponse extends Writable {
  statusCode: number;
  statusMessage: string;
  readonly headersSent: boolean;
  readonly finished: boolean;
  setHeader(name: string, value: HeaderValue): this;
  setHeaders(headers: Iterable<readonly [string, HeaderValue]>): this;
  appendHeader(name: string, value: HeaderValue): this;
  getHeader(name: string): string | readonly string[] | undefined;
  getHeaders(): Record<string, string | readonly string[]>;
  getHeaderNames(): string[];
  hasHeader(name: string): boolean;
  removeHeader(name: string): void;
  writeHead(status: number, ...rest: unknown[]): this;
  flushHeaders(): void;
  status(code: number): this;
  json(value: unknown): this;
  send(value: unknown): this;
}

/** Streams are loaded with the first script that asks for one: most never do. */
const nodeResponseClass = lazily(() => {
  const {Writable: Base} = process.getBuiltinModule('node:stream');
  return class extends Base implements NodeResponse {
    /** The reason phrase is the runtime's business. */
    statusMessage = '';
    readonly #reply: Reply;

    constructor(reply: Reply) {
      super();
      this.#reply = reply;
      reply.onOver(() => {
        if (!reply.isComplete) this.destroy();
      });
    }

    get statusCode(): number {
      return this.#reply.status;
    }
    set statusCode(status: number) {
      this.#reply.status = status;
    }
    get headersSent(): boolean {
      return this.#reply.isHeadSent;
    }
    get finished(): boolean {
      return this.#reply.isEnded;
    }

    setHeader(name: string, value: HeaderValue): this {
      this.#refuseLateHeader();
      this.#reply.setHeader(name, textOf(value));
      return this;
    }
    setHeaders(headers: Iterable<readonly [string, HeaderValue]>): this {
      for (const [name, value] of headers) this.setHeader(name, value);
      return this;
    }
    appendHeader(name: string, value: HeaderValue): this {
      return this.setHeader(name, [...[this.getHeader(name) ?? []].flat(), ...[textOf(value)].flat()]);
    }
    getHeader(name: string): string | readonly string[] | undefined {
      return this.#reply.header(name);
    }
    getHeaders(): Record<string, string | readonly string[]> {
      return Object.fromEntries(this.#reply.headerNames.map((name) => [name, this.getHeader(name) ?? '']));
    }
    getHeaderNames(): string[] {
      return this.#reply.headerNames;
    }
    hasHeader(name: string): boolean {
      return this.getHeader(name) !== undefined;
    }
    removeHeader(name: string): void {
      this.#refuseLateHeader();
      this.#reply.removeHeader(name);
    }
    /** The status, perhaps a reason, and perhaps headers: by name, in pairs, or names and values in turn. */
    writeHead(status: number, ...rest: unknown[]): this {
      this.#refuseLateHeader();
      this.#reply.status = status;
      const headers = typeof rest[0] === 'string' ? rest[1] : rest[0];
      for (const [name, value] of pairsOf(headers)) this.setHeader(name, value);
      return this;
    }
    flushHeaders(): void {
      this.#reply.sendHead();
    }

    status(code: number): this {
      this.#reply.status = code;
      return this;
    }
    json(value: unknown): this {
      sendJson(this.#reply, value);
      return this.end();
    }
    send(value: unknown): this {
      if (typeof value === 'string' || value instanceof Uint8Array) sendBytes(this.#reply, value);
      else sendJson(this.#reply, value);
      return this.end();
    }

    override _write(chunk: Buffer, _encoding: string, done: Done): void {
      if (this.#reply.write(chunk)) done();
      else this.#reply.onDrain(done);
    }
    override _final(done: Done): void {
      this.#reply.end();
      if (this.#reply.isOver) done();
      else this.#reply.onOver(done);
    }
    override _destroy(error: Error | null, done: (error: Error | null) => void): void {
      this.#reply.breakOff();
      done(error);
    }
    /** A body that is there at once goes whole, with its length. */
    override end(...given: unknown[]): this {
      const [body, encoding] = given;
      const isBody = typeof body === 'string' || body instanceof Uint8Array;
      if (!isBody || this.#reply.isHeadSent || this.writableLength > 0)
        return Reflect.apply(super.end, this, given);
      const bytes = typeof body === 'string' && isEncoding(encoding) ? Buffer.from(body, encoding) : body;
      this.#reply.sendWhole(bytes);
      const done = given.find((value) => typeof value === 'function');
      return Reflect.apply(super.end, this, done === undefined ? [] : [done]);
    }

    #refuseLateHeader(): void {
      if (!this.#reply.isHeadSent) return;
      const error = new Error('Cannot set headers after they are sent to the client');
      throw Object.assign(error, {code: 'ERR_HTTP_HEADERS_SENT'});
    }
  };
});

export function createNodeResponse(reply: Reply): NodeResponse {
  return new (nodeResponseClass())(reply);
}

function isEncoding(value: unknown): value is BufferEncoding {
  return typeof value === 'string' && Buffer.isEncoding(value);
}

function textOf(value: HeaderValue): string | readonly string[] {
  return Array.isArray(value) ? value.map(String) : String(value);
}

function pairsOf(headers: unknown): (readonly [string, HeaderValue])[] {
  if (typeof headers !== 'object' || headers === null) return [];
  if (!Array.isArray(headers)) return headers instanceof Headers ? [...headers] : Object.entries(headers);
  if (Array.isArray(headers[0])) return headers;
  return headers.flatMap((name, at) => (at % 2 === 0 ? [[String(name), headers[at + 1]] as const] : []));
}
