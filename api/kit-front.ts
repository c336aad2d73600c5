import type {ScriptCall} from '../runtime/exec/calls.ts';
import type {AnswerSink} from '../runtime/exec/invoke.ts';
import type {ExecService} from '../runtime/exec/service.ts';
import type {WebsocketClient} from '../runtime/exec/websocket-calls.ts';
import type {Frame} from '../runtime/platform/byte-flow.ts';
import type {Exchange, ExchangeHandler} from '../runtime/platform/http-exchange.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Peer} from '../runtime/platform/peer-process.ts';
import type {RequestHead} from '../runtime/platform/request-head.ts';
import {KIT_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {asAppError, errorResponse} from './errors.ts';
import {refuseForeign, refuseMisdirected} from './host-guard.ts';
import {selectKit} from './kit-selection.ts';
import type {RuntimeApp} from './runtime-app.ts';

export interface KitFrontOptions {
  readonly exec: Pick<ExecService, 'calls' | 'websockets'>;
  /** The pipe kit, which is loaded with its first request. */
  readonly pipe: (exchange: Exchange, from: {trusted: boolean}) => void;
  /** Everything else. */
  readonly app: Pick<RuntimeApp, 'fetch'>;
  /** True on the controller's socket: no Host check, and the kit header is believed. */
  readonly trusted: boolean;
  readonly allowedHosts: readonly string[];
  /** A check before all others: why a request goes no further; null lets it pass. */
  readonly refusal: (exchange: Exchange) => AppError | null;
  /** The run of a job whose process holds the other end of the connection. */
  readonly findRun: (peer: Peer) => string | null;
  readonly asksForWebsocket: (head: RequestHead) => boolean;
  readonly sinkOf: (exchange: Exchange) => AnswerSink;
  readonly websocketOf: (exchange: Exchange) => WebsocketClient;
  readonly frameOf: (bytes: Uint8Array) => Frame;
  readonly answerByFetch: (
    exchange: Exchange,
    target: string,
    fetch: (request: Request) => Promise<Response>,
  ) => Promise<void>;
  readonly log: Log;
}

/** What a request asks for. */
interface Asked {
  /** Path and query. */
  readonly target: string;
  /** Still percent-encoded. */
  readonly path: string;
  readonly host: string;
  /** Null unless believed. */
  readonly kitHeader: string | null;
}

/**
 * Shares the requests of a runtime's listener out. Calls of scripts, by far the most, and transfers go from the
 * connection to their kits as they are; for the others there are the web's `Request` and `Response`.
 */
export function createKitFront(options: KitFrontOptions): ExchangeHandler {
  const {exec, app, trusted, allowedHosts, log} = options;

  function asked({fields, target: sent}: RequestHead): Asked {
    const target = originForm(sent);
    return {
      target,
      path: target.split('?', 1)[0] ?? '/',
      host: fields.get('host') ?? '',
      kitHeader: trusted ? (fields.get(KIT_HEADER) ?? null) : null,
    };
  }

  function route(exchange: Exchange): void {
    const refused = options.refusal(exchange);
    if (refused !== null) throw refused;
    const {head} = exchange;
    const request = asked(head);
    const selection = selectKit(request);
    if (selection.part === 'pipe') {
      options.pipe(exchange, {trusted});
    } else if (isCall(selection)) {
      if (!trusted) refuseMisdirected(request.host, allowedHosts);
      if (options.asksForWebsocket(head)) connect(exchange, callOf(exchange, request));
      else void exec.calls.answer(callOf(exchange, request), options.sinkOf(exchange));
    } else if (options.asksForWebsocket(head)) {
      throw new AppError('NOT_FOUND', 'No websocket is taken here.');
    } else {
      const {target} = request;
      options
        .answerByFetch(exchange, target, (web) => app.fetch(web, target))
        .catch((error: unknown) => refuse(exchange.respond, error));
    }
  }

  function connect(exchange: Exchange, call: ScriptCall): void {
    // The gateway has decided already, and it alone reaches the controller's socket.
    if (!trusted) refuseForeign(exchange.head.fields);
    void exec.websockets.connect(call, options.websocketOf(exchange));
  }

  function callOf(exchange: Exchange, {target, path, kitHeader}: Asked): ScriptCall {
    const {method, pairs, fields, framing} = exchange.head;
    const forwardedFor = kitHeader === null ? undefined : fields.get('x-forwarded-for');
    const hasBody = framing.kind === 'chunked' || (framing.kind === 'length' && framing.bytes > 0);
    return {
      request: {method, headers: pairs, body: hasBody ? exchange.body : null},
      path,
      target,
      clientIp: forwardedFor ?? exchange.peer.ip,
      findRun: () => options.findRun(exchange.peer),
    };
  }

  function refuse(respond: Exchange['respond'], error: unknown): void {
    const {status, headers} = errorResponse(error, log);
    const body = Buffer.from(JSON.stringify(asAppError(error).toBody()));
    const fields = [...headers].flat();
    respond({status, fields, lengthBytes: body.length}).end(options.frameOf(body));
  }

  return {
    handle(exchange) {
      try {
        route(exchange);
      } catch (error) {
        refuse(exchange.respond, error);
      }
    },
    refuse: (error, respond) => refuse(respond, error),
  };
}

function isCall(selection: ReturnType<typeof selectKit>): boolean {
  return selection.part === 'exec' && !selection.prefixed;
}

/** A proxy's client sends the whole address; whose it is stands in Host all the same. */
function originForm(target: string): string {
  if (target.startsWith('/')) return target;
  const origin = /^https?:\/\/[^/?#]*/i.exec(target)?.[0];
  if (origin === undefined) throw new AppError('MALFORMED_REQUEST', 'The target of the request is no path.');
  const rest = target.slice(origin.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
