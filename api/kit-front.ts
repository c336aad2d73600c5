import type {ScriptCall} from '../runtime/exec/calls.ts';
import type {AnswerSink} from '../runtime/exec/invoke.ts';
import type {ExecService} from '../runtime/exec/service.ts';
import type {WebsocketClient} from '../runtime/exec/websocket-calls.ts';
import type {Exchange, ExchangeHandler} from '../runtime/platform/http-exchange.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Peer} from '../runtime/platform/peer-process.ts';
import type {RequestHead} from '../runtime/platform/request-head.ts';
import {KIT_HEADER, pumpsPath, pumpsProtocol} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {loggedError} from './errors.ts';
import type {RefuseExchange} from './exchange-refusal.ts';
import {misdirection, refuseForeign} from './host-guard.ts';
import {type Selection, selectKit} from './kit-selection.ts';
import {originForm} from './origin-form.ts';
import type {RuntimeApp} from './runtime-app.ts';

export interface KitFrontOptions {
  readonly exec: Pick<ExecService, 'calls' | 'websockets'>;
  /** The pipe kit, which is loaded with its first request. */
  readonly pipe: (exchange: Exchange, from: {trusted: boolean}) => void;
  /** On the controller's socket: it wants to be told what to move itself. */
  readonly orderPumps: (exchange: Exchange) => void;
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
  readonly refuse: RefuseExchange;
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
  /** Null unless believed. */
  readonly kitHeader: string | null;
  readonly selection: Selection;
  readonly isWebsocket: boolean;
  /** Why the Host header lets a call go no further. */
  readonly misdirected: AppError | null;
}

/** Never what a gateway relays, which names a kit. */
function ordersPumps({target, kitHeader}: Asked, {fields}: RequestHead): boolean {
  return target === pumpsPath && kitHeader === null && fields.get('upgrade') === pumpsProtocol;
}

/**
 * Shares the requests of a runtime's listener out. Calls of scripts, by far the most, and transfers go from the
 * connection to their kits as they are; for the others there are the web's `Request` and `Response`.
 */
export function createKitFront(options: KitFrontOptions): ExchangeHandler {
  const {exec, app, trusted, allowedHosts, log} = options;

  /** Heads that come again are the same objects. */
  const known = new WeakMap<RequestHead, Asked>();

  function askedBy(head: RequestHead): Asked {
    const former = known.get(head);
    if (former !== undefined) return former;
    const {fields} = head;
    const target = originForm(head.target);
    const path = target.split('?', 1)[0] ?? '/';
    const host = fields.get('host') ?? '';
    const kitHeader = trusted ? (fields.get(KIT_HEADER) ?? null) : null;
    const asked = {
      target,
      path,
      kitHeader,
      selection: selectKit({path, host, kitHeader}),
      isWebsocket: options.asksForWebsocket(head),
      misdirected: trusted ? null : misdirection(host, allowedHosts),
    };
    known.set(head, asked);
    return asked;
  }

  function route(exchange: Exchange): void {
    const refused = options.refusal(exchange);
    if (refused !== null) throw refused;
    const asked = askedBy(exchange.head);
    const {selection, target, isWebsocket} = asked;
    if (trusted && ordersPumps(asked, exchange.head)) {
      options.orderPumps(exchange);
    } else if (selection.part === 'pipe') {
      options.pipe(exchange, {trusted});
    } else if (selection.part === 'exec' && !selection.prefixed) {
      if (asked.misdirected !== null) throw asked.misdirected;
      if (isWebsocket) connect(exchange, callOf(exchange, asked));
      else void exec.calls.answer(callOf(exchange, asked), options.sinkOf(exchange));
    } else if (isWebsocket) {
      throw new AppError('NOT_FOUND', 'No websocket is taken here.');
    } else {
      options
        .answerByFetch(exchange, target, (web) => app.fetch(web, target))
        .catch((error: unknown) => options.refuse(exchange.respond, loggedError(error, log)));
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

  return {
    handle(exchange) {
      try {
        route(exchange);
      } catch (error) {
        options.refuse(exchange.respond, loggedError(error, log));
      }
    },
    refuse: (error, respond) => options.refuse(respond, loggedError(error, log)),
  };
}
