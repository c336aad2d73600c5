import type {Readable} from 'node:stream';
import {lazily} from '../platform/lazily.ts';
import type {HostedExchange} from './call-server.ts';
import type {ParsedBody} from './script-request.ts';

/** `req` as scripts know it from Node: a stream with the head of the request. */
export interface NodeRequest extends Readable {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  /** In lower case; of a name that comes again the values are joined as Node joins them. */
  readonly headers: NodeHeaders;
  readonly rawHeaders: readonly string[];
  readonly socket: {readonly remoteAddress: string};
}

export type NodeHeaders = Readonly<Record<string, string | string[]>>;

/** Streams are loaded with the first script that asks for one: most never do. */
const nodeRequestClass = lazily(() => {
  const {Readable: Base} = process.getBuiltinModule('node:stream');
  return class extends Base implements NodeRequest {
    readonly method: string;
    readonly url: string;
    readonly httpVersion = '1.1';
    readonly headers: NodeHeaders;
    readonly rawHeaders: readonly string[];
    readonly socket: {readonly remoteAddress: string};
    readonly connection: {readonly remoteAddress: string};
    readonly #chunks: AsyncIterator<Buffer> | null;

    constructor({call, method, headers, body, reply}: HostedExchange, isRead: boolean) {
      super();
      this.method = method;
      this.url = call.target;
      this.headers = joinHeaders(headers);
      this.rawHeaders = headers;
      this.socket = {remoteAddress: call.clientIp};
      this.connection = this.socket;
      this.#chunks = isRead || body === null ? null : body[Symbol.asyncIterator]();
      reply.onOver(() => {
        if (!reply.isComplete) this.destroy();
      });
    }

    override _read(): void {
      if (this.#chunks === null) {
        this.push(null);
        return;
      }
      this.#chunks.next().then(
        ({done, value}) => void this.push(done === true ? null : value),
        (error: unknown) => void this.destroy(error instanceof Error ? error : new Error(String(error))),
      );
    }
  };
});

/** `parsed` is what was made of the body; null leaves the body to whoever reads the stream. */
export function createNodeRequest(exchange: HostedExchange, parsed: ParsedBody | null): NodeRequest {
  const request = new (nodeRequestClass())(exchange, parsed !== null);
  return parsed === null ? request : Object.assign(request, parsed);
}

/** Of these only one value makes sense; the first counts. */
const singleValued = new Set([
  'age',
  'authorization',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'referer',
  'retry-after',
  'server',
  'user-agent',
]);

/** Names and values in turn as Node's `IncomingMessage.headers` shows them. */
export function joinHeaders(headers: readonly string[]): NodeHeaders {
  const joined: Record<string, string | string[]> = {};
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase();
    const value = headers[at + 1] ?? '';
    const before = Object.hasOwn(joined, name) ? joined[name] : undefined;
    if (name === 'set-cookie') joined[name] = [...(before ?? []), value];
    else if (before === undefined) define(joined, name, value);
    else if (!singleValued.has(name)) joined[name] = `${before}${name === 'cookie' ? '; ' : ', '}${value}`;
  }
  return joined;
}

/** A header may be called `__proto__`. */
function define(object: object, name: string, value: string): void {
  Object.defineProperty(object, name, {value, enumerable: true, configurable: true, writable: true});
}
