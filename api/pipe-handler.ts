import type {Place, Receiver} from '../runtime/pipe/parties.ts';
import type {PipeService} from '../runtime/pipe/service.ts';
import type {Frame} from '../runtime/platform/byte-flow.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Exchange, ExchangeHandler} from '../runtime/platform/http-exchange.ts';
import type {Log} from '../runtime/platform/log.ts';
import {AppError} from '../schemas/errors.ts';
import {createPipeAnswers} from './pipe-answers.ts';
import {preflightFields} from './pipe-cors.ts';
import {boundaryOf, receivedFields} from './pipe-headers.ts';
import type {WatchPage} from './pipe-pages.ts';
import {hasKitPrefix, kitPrefix, type PipePath, readPipePath} from './pipe-path.ts';
import {streamProgress} from './pipe-progress.ts';
import {
  readFlag,
  readJoinOptions,
  readKey,
  readLabel,
  readSendOptions,
  readTransferId,
} from './pipe-query.ts';
import {createSender, type LogPrinters} from './pipe-sender.ts';
import type {Health} from './runtime-app.ts';

export interface PipeHandlerOptions {
  readonly pipe: PipeService;
  readonly health: () => Promise<Health>;
  /** Throws where the request may not come here at all. */
  readonly admit: (exchange: Exchange) => void;
  readonly frameOf: (bytes: Uint8Array) => Frame;
  readonly printLog: LogPrinters;
  readonly clock: Clock;
  readonly log: Log;
}

const pipeMethods = 'GET, POST, PUT, OPTIONS';
/** The first that a browser asks for is shown. */
const watchPages: readonly WatchPage[] = ['progress', 'video', 'share', 'receive'];
const pageMethods = 'GET, HEAD, OPTIONS';
const prometheusText = 'text/plain; version=0.0.4; charset=utf-8';

/** The routes of the pipe kit, with and without its prefix. */
export function createPipeHandler(options: PipeHandlerOptions): ExchangeHandler {
  const {pipe, health, admit, frameOf, printLog, clock, log} = options;
  const answers = createPipeAnswers(frameOf);

  function fail(exchange: Exchange, error: unknown): void {
    const known =
      error instanceof AppError ? error : new AppError('INTERNAL_ERROR', 'Something went wrong on our side.');
    if (known.isServerFault) log.error('pipe request failed', {error, code: known.code});
    const allow = known.code === 'METHOD_NOT_ALLOWED' ? [['Allow', String(known.details)] as const] : [];
    answers.error(exchange.respond, known, exchange.head, allow);
  }

  function route(exchange: Exchange): void {
    admit(exchange);
    const {method, target} = exchange.head;
    const [path = '/', search = ''] = splitTarget(target);
    const query = new URLSearchParams(search);
    if (method === 'OPTIONS') {
      answers.nothing(exchange, preflightFields(exchange.head.fields));
      return;
    }
    const place = readPipePath(path);
    if (place.kind === 'page') {
      page(exchange, place, query).catch((error: unknown) => fail(exchange, error));
      return;
    }
    if (readFlag(query, 'ws')) refuseWebsocket(exchange.head.fields, query);
    if (method === 'POST' || method === 'PUT')
      send(exchange, place.name, query).catch((error: unknown) => fail(exchange, error));
    else if (method === 'GET') get(exchange, place.name, query);
    else if (method === 'HEAD' && readFlag(query, 'status')) status(exchange, place.name, query);
    else throw wrongMethod(method, pipeMethods);
  }

  async function page(
    exchange: Exchange,
    {page: name, path, isPrefixed}: Extract<PipePath, {kind: 'page'}>,
    query: URLSearchParams,
  ): Promise<void> {
    const {method, fields} = exchange.head;
    if (method !== 'GET' && method !== 'HEAD') {
      const isSend = method === 'POST' || method === 'PUT';
      if (!isSend || name === 'health' || name === 'metrics') throw wrongMethod(method, pageMethods);
      throw new AppError(
        'PIPE_NAME_RESERVED',
        `Cannot send to the reserved path '${path}'. (e.g. '/mypath123')`,
      );
    }
    if ((name === 'health' || name === 'metrics') && !isPrefixed)
      throw new AppError('NOT_FOUND', `'/${name}' is not a valid path. Use '${kitPrefix}/${name}'.`);
    if (name === 'health') {
      const facts = {...(await health()), service: 'hoody-pipe', userAgent: fields.get('user-agent') ?? null};
      answers.whole(exchange, JSON.stringify(facts), [['Content-Type', 'application/json']]);
    } else if (name === 'metrics') {
      answers.whole(exchange, pipe.metrics(), [['Content-Type', prometheusText]]);
    } else {
      const {pipePage} = await import('./pipe-pages.ts');
      const base = basePathOf(exchange);
      const found = pipePage(name, {query, base, host: fields.get('host') ?? 'localhost'});
      if (found === null) answers.nothing(exchange);
      else answers.whole(exchange, found.body, found.fields);
    }
  }

  async function send(exchange: Exchange, name: string, query: URLSearchParams): Promise<void> {
    const {fields} = exchange.head;
    refuseUnsendable(exchange);
    const options = readSendOptions(query);
    const boundary = boundaryOf(fields.get('content-type'));
    if (boundary !== null && options.terms.isLive)
      throw new AppError('PIPE_PARAMETER_INVALID', 'live cannot be used together with a multipart body.');
    const sender = createSender({exchange, answers, frameOf, printLog, boundary});
    let hasLeft = false;
    let place: Place | null = null;
    exchange.onLeft(() => {
      hasLeft = true;
      place?.left();
    });
    try {
      place = pipe.send(name, sender, options);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PIPE_OCCUPIED') throw error;
      // Who interrupts a sender and starts it again must not meet its own ghost.
      await pipe.probeSender(name);
      if (!hasLeft) place = pipe.send(name, sender, options);
    }
  }

  function get(exchange: Exchange, name: string, query: URLSearchParams): void {
    const {fields} = exchange.head;
    refuseServiceWorker(fields);
    if (readFlag(query, 'status')) {
      status(exchange, name, query);
      return;
    }
    const accept = fields.get('accept') ?? '';
    const wantsPage = accept.includes('text/html');
    const page = watchPages.find((each) => readFlag(query, each));
    if (page === 'progress' && (!wantsPage || accept.includes('text/event-stream')))
      progress(exchange, name, query);
    else if (wantsPage && page !== undefined) showPage(exchange, page, name, query);
    else receive(exchange, name, query);
  }

  function receive(exchange: Exchange, name: string, query: URLSearchParams): void {
    const options = readJoinOptions(query);
    const wishes = {download: readFlag(query, 'download'), filename: query.get('filename'), path: name};
    const receiver: Receiver = {
      label: readLabel(query),
      begin: (metadata, transferId) =>
        answers.stream(exchange, receivedFields(metadata, transferId, wishes), metadata.lengthBytes),
      refuse: (error) => fail(exchange, error),
    };
    const place = pipe.receive(name, receiver, options);
    exchange.onLeft(() => place.left());
  }

  function status(exchange: Exchange, name: string, query: URLSearchParams): void {
    const snapshot = pipe.status(name, readKey(query), readTransferId(query));
    answers.whole(exchange, JSON.stringify(snapshot), [
      ['Content-Type', 'application/json'],
      ['Cache-Control', 'no-store'],
    ]);
  }

  function progress(exchange: Exchange, name: string, query: URLSearchParams): void {
    // A browser that reconnects by itself after `done` is told to stop.
    if (pipe.endedLately(name)) {
      answers.nothing(exchange);
      return;
    }
    streamProgress({
      pipe,
      name,
      key: readKey(query),
      clock,
      frameOf,
      open: () =>
        answers.stream(
          exchange,
          [
            ['Content-Type', 'text/event-stream'],
            ['Cache-Control', 'no-cache, no-store'],
            ['X-Accel-Buffering', 'no'],
          ],
          null,
        ),
      onLeft: exchange.onLeft,
    });
  }

  function showPage(exchange: Exchange, kind: WatchPage, name: string, query: URLSearchParams): void {
    import('./pipe-pages.ts').then(
      ({watchPage}) => {
        const {body, fields} = watchPage(kind, name, query);
        answers.whole(exchange, body, fields);
      },
      (error: unknown) => fail(exchange, error),
    );
  }

  return {
    handle(exchange) {
      try {
        route(exchange);
      } catch (error) {
        fail(exchange, error);
      }
    },
    refuse: (error, respond) => answers.error(respond, error, null),
  };
}

function refuseUnsendable({head: {fields, method}}: Exchange): void {
  refuseServiceWorker(fields);
  if (!fields.has('content-range')) return;
  throw new AppError(
    'PIPE_REQUEST_REFUSED',
    `Content-Range is not supported in ${method}: a pipe has no positions.`,
  );
}

/** Relaying websockets is the one part of the public API that is not here. */
function refuseWebsocket(fields: ReadonlyMap<string, string>, query: URLSearchParams): never {
  if (readFlag(query, 'live')) throw new AppError('PIPE_PARAMETER_INVALID', liveWithWebsocket);
  if (/\bwebsocket\b/i.test(fields.get('upgrade') ?? '')) throw new AppError('NOT_IMPLEMENTED', noWebsockets);
  throw new AppError('PIPE_UPGRADE_REQUIRED', `ws is for websockets, and this is none. ${noWebsockets}`);
}

const liveWithWebsocket = 'live cannot be used together with ws.';
const noWebsockets = 'Websockets are not relayed here: send with PUT or POST, and receive with GET.';

/** A script of the pipe's origin that outlives its page would see every later transfer. */
function refuseServiceWorker(fields: ReadonlyMap<string, string>): void {
  if (fields.get('service-worker') !== 'script') return;
  throw new AppError('PIPE_REQUEST_REFUSED', 'Service Worker registration is rejected.');
}

function wrongMethod(method: string, allowed: string): AppError {
  return new AppError('METHOD_NOT_ALLOWED', `Method ${method} is not allowed.`, {details: allowed});
}

/** Of `/path?query` or `http://host/path?query`. */
function splitTarget(target: string): [path: string, search: string] {
  const own = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/#.*$/, '');
  const at = own.indexOf('?');
  const path = at === -1 ? own : own.slice(0, at);
  return [path === '' ? '/' : path, at === -1 ? '' : own.slice(at + 1)];
}

/** Where the client sees the kit, without a slash at its end. The controller says what it took off. */
function basePathOf({head}: Exchange): string {
  const before = /^\/c\/[0-9a-f]{24}\/pipe$/.exec(head.fields.get('x-forwarded-prefix') ?? '')?.[0] ?? '';
  const [path = '/'] = splitTarget(head.target);
  return `${before}${hasKitPrefix(path) ? kitPrefix : ''}`;
}
