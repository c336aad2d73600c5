import {type CallMetadata, metadataOf} from './call-context.ts';
import type {HostedExchange} from './call-server.ts';
import {createNodeRequest, type NodeRequest} from './node-request.ts';
import {createNodeResponse, type NodeResponse} from './node-response.ts';
import type {ParsedBody} from './script-request.ts';
import {webRequest} from './web-request.ts';

/** What a script finds of its call without importing it. */
export interface CallNames {
  readonly req: unknown;
  readonly res: NodeResponse | undefined;
  readonly metadata: CallMetadata;
  readonly shared: Record<string, unknown>;
  /** The socket of a websocket script. */
  readonly ws?: unknown;
  /** What the script answered, for `post`. */
  mainResult?: unknown;
}

/** Made when a script asks for them: most ask for one or two. */
export class ExchangeNames implements CallNames {
  readonly shared: Record<string, unknown>;
  mainResult: unknown;
  readonly #exchange: HostedExchange;
  readonly #parsed: ParsedBody | null;
  #req: NodeRequest | null = null;
  #res: NodeResponse | null = null;
  #metadata: CallMetadata | null = null;

  /** `parsed`: what was made of the body; null where the script reads it itself. */
  constructor(exchange: HostedExchange, parsed: ParsedBody | null, shared: Record<string, unknown>) {
    this.#exchange = exchange;
    this.#parsed = parsed;
    this.shared = shared;
  }

  get req(): NodeRequest {
    this.#req ??= createNodeRequest(this.#exchange, this.#parsed);
    return this.#req;
  }

  get res(): NodeResponse {
    this.#res ??= createNodeResponse(this.#exchange.reply);
    return this.#res;
  }

  get metadata(): CallMetadata {
    this.#metadata ??= metadataOf(this.#exchange.call, this.#exchange.method);
    return this.#metadata;
  }

  get webRequest(): Request {
    return webRequest(this.#exchange, this.#parsed);
  }
}
