import type {Relayed} from '../runtime/platform/exchange-relay.ts';
import type {Exchange} from '../runtime/platform/http-exchange.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {RequestHead} from '../runtime/platform/request-head.ts';
import type {AnswerHead} from '../runtime/platform/response-head.ts';
import {KIT_HEADER, type Kit, RELAYED_HEADER, USER_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {hopByHopHeaders} from '../schemas/hop-by-hop.ts';
import type {RefuseExchange} from './exchange-refusal.ts';
import {type KitHosts, kitAddress} from './kit-address.ts';
import {corsFields, preflightFields} from './pipe-cors.ts';

export interface GatewayOptions {
  /** Socket of the container with this id or name; null when there is none or it is in the trash. */
  readonly socketOf: (idOrName: string) => string | null;
  readonly kitHosts: KitHosts;
  /** True where an Authorization header carries one of the controller's own tokens. */
  readonly isOwnAuthorization: (header: string) => boolean;
  /** The user whose token an Authorization header carries; null for any other header. */
  readonly userOf: (header: string) => string | null;
  /** Cookies of the controller; containers never see them. */
  readonly ownCookie: string;
  /** Passes an exchange to the socket of a container, and its answer back. */
  readonly relay: (relayed: Relayed) => void;
  /** The same for one of the pipe kit, whose bodies may go from client to client. */
  readonly relayPipe: (relayed: Relayed) => void;
  /** The same for one whose client asks for a websocket. */
  readonly relayWebsocket: (relayed: Relayed) => void;
  readonly asksForWebsocket: (head: RequestHead) => boolean;
  readonly refuse: RefuseExchange;
  readonly log: Log;
}

export interface Gateway {
  /**
   * Handles the addresses of kits, by host or below `/c/`, and answers true; false leaves the exchange to others. A
   * websocket is taken by scripts alone: whatever else asks for one is refused.
   */
  intercept(exchange: Exchange): boolean;
}

/** Pages of a container run without the controller's origin: they can neither read its API nor its cookies. */
const sandboxPolicy = 'sandbox allow-scripts allow-forms allow-popups allow-downloads';

/**
 * Passes requests to the kits of containers. The target (without `/c/<id>/<kit>` where it has that) reaches the
 * container byte for byte; bodies are streamed both ways with back-pressure; an answer that breaks off is broken
 * off here too.
 */
export function createGateway(options: GatewayOptions): Gateway {
  return {
    intercept(exchange) {
      const {head} = exchange;
      try {
        if (answersPreflight(exchange, options)) return true;
        const isWebsocket = options.asksForWebsocket(head);
        const destination = destinationOf(head, options);
        if (isWebsocket && destination?.kit !== 'exec') throw noWebsocketHere();
        if (destination === null) return false;
        forward({exchange, isWebsocket, ...destination}, options);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        options.refuse(exchange.respond, error, pipeFields(head, options));
      }
      return true;
    },
  };
}

interface Destination {
  readonly socketPath: string;
  readonly path: string;
  readonly kit: Kit;
  /** Whose token came with the request. */
  readonly user: string | null;
  /** What was taken off the target; empty on the host of a kit. */
  readonly prefix: string;
}

/** A page that uses a pipe is to see why we refuse it. Names and values in turn. */
function pipeFields({target, fields}: RequestHead, {kitHosts}: GatewayOptions): string[] {
  const address = kitAddress({host: fields.get('host') ?? '', target}, kitHosts);
  return address?.kit === 'pipe' ? corsFields(fields).flat() : [];
}

/** Browsers send no token with the question whether they may send one, so it is answered for every pipe alike. */
function answersPreflight({head, respond}: Exchange, options: GatewayOptions): boolean {
  const {method, fields} = head;
  if (method !== 'OPTIONS' || !fields.has('access-control-request-method')) return false;
  const cors = pipeFields(head, options);
  if (cors.length === 0) return false;
  const answer = [...cors, ...preflightFields(fields).flat()];
  respond({status: 204, fields: answer, lengthBytes: 0, keepsConnection: true}).end();
  return true;
}

/** Null for what is no address of a kit. Throws for one that leads nowhere, or that is not for everybody. */
function destinationOf({target, fields}: RequestHead, options: GatewayOptions): Destination | null {
  const address = kitAddress({host: fields.get('host') ?? '', target}, options.kitHosts);
  if (address === null && !target.startsWith('/c/')) return null;
  if (address === null || !address.path.startsWith('/')) throw noSuchAddress();
  const {container, path, kit, byHost} = address;
  const authorization = fields.get('authorization') ?? '';
  const user = options.userOf(authorization);
  if (user !== null && kit !== 'cron') throw onlyCron(user);
  if (address.guessable && user === null && !options.isOwnAuthorization(authorization)) throw tokenNeeded();
  const socketPath = options.socketOf(container);
  if (socketPath === null) throw noSuchContainer();
  return {socketPath, path, kit, user, prefix: byHost ? '' : `/c/${container}/${kit}`};
}

function noWebsocketHere(): AppError {
  return new AppError(
    'NOT_FOUND',
    'No websocket is taken here. Those of scripts lie below /c/<24 hex digits>/exec/.',
  );
}

function noSuchAddress(): AppError {
  return new AppError(
    'NOT_FOUND',
    'Container addresses look like /c/<24 hex digits>/<cron|exec|pipe|notifications>/...',
  );
}

function tokenNeeded(): AppError {
  return new AppError(
    'UNAUTHENTICATED',
    'This address can be guessed: send the token of <state>/token as "Authorization: Bearer <token>", or use the address with the id of the container',
  );
}

function onlyCron(user: string): AppError {
  return new AppError(
    'FORBIDDEN',
    `This token is for the crontab of ${user}; it opens the cron service and no other.`,
  );
}

function noSuchContainer(): AppError {
  return new AppError(
    'CONTAINER_NOT_FOUND',
    'No container has this id or name; it may have gone with its branch',
  );
}

function containerUnavailable(): AppError {
  return new AppError(
    'CONTAINER_UNAVAILABLE',
    'The container does not answer right now; it may be starting. Try again in a second',
  );
}

interface Forwarded extends Destination {
  readonly exchange: Exchange;
  readonly isWebsocket: boolean;
}

/**
 * Of websockets: pages of a container have no origin of their own here, so every origin may connect. That the address
 * is known is what lets somebody in, and no cookie of ours goes along.
 */
function forward(
  {exchange, isWebsocket, socketPath, path, kit, user, prefix}: Forwarded,
  options: GatewayOptions,
): void {
  const relayPlain = kit === 'pipe' ? options.relayPipe : options.relay;
  const relay = isWebsocket ? options.relayWebsocket : relayPlain;
  relay({
    exchange,
    socketPath,
    target: path,
    fields: [
      ...questionFields(exchange, {kit, user}, options),
      ...(prefix === '' ? [] : ['X-Forwarded-Prefix', prefix]),
    ],
    answerFields,
    onUnreachable(error) {
      options.log.warn('a container did not answer', {error});
      options.refuse(exchange.respond, containerUnavailable(), [
        ...['Retry-After', '1'],
        ...pipeFields(exchange.head, options),
      ]);
    },
  });
}

/** Runtimes believe the controller what these say. */
const ownQuestionFields: ReadonlySet<string> = new Set([KIT_HEADER, USER_HEADER, RELAYED_HEADER]);

function questionFields(
  {head, peer}: Exchange,
  {kit, user}: Pick<Destination, 'kit' | 'user'>,
  {isOwnAuthorization, userOf, ownCookie}: GatewayOptions,
): string[] {
  const passed = pairsOf(head.pairs).flatMap(([name, value]) => {
    const lower = name.toLowerCase();
    if (hopByHopHeaders.has(lower) || lower === 'content-length' || lower === 'expect') return [];
    if (ownQuestionFields.has(lower) || lower.startsWith('x-forwarded-')) return [];
    if (lower === 'authorization' && (isOwnAuthorization(value) || userOf(value) !== null)) return [];
    if (lower === 'cookie') {
      const cookies = value.split(/;\s*/).filter((cookie) => !cookie.startsWith(`${ownCookie}=`));
      return cookies.length === 0 ? [] : [name, cookies.join('; ')];
    }
    return [name, value];
  });
  return [
    ...passed,
    KIT_HEADER,
    kit,
    ...(user === null ? [] : [USER_HEADER, user]),
    'X-Forwarded-For',
    peer.ip,
  ];
}

/** Not passed on besides: the first two are said anew, and a cookie would be one of the controller's host. */
const ownAnswerFields: ReadonlySet<string> = new Set(['content-length', 'date', 'set-cookie']);

function answerFields({pairs}: AnswerHead): string[] {
  const kept = pairsOf(pairs).filter(([name]) => {
    const lower = name.toLowerCase();
    return !hopByHopHeaders.has(lower) && !ownAnswerFields.has(lower);
  });
  // Beside the page's own: a browser keeps to both.
  return [...kept.flat(), 'Content-Security-Policy', sandboxPolicy];
}

function pairsOf(inTurn: readonly string[]): [name: string, value: string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < inTurn.length; at += 2) pairs.push([inTurn[at] ?? '', inTurn[at + 1] ?? '']);
  return pairs;
}
