import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Log} from '../runtime/platform/log.ts';
import type {UpgradeSocket} from '../runtime/platform/upgrade-socket.ts';
import {KIT_HEADER, type Kit, USER_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {hopByHopHeaders} from '../schemas/hop-by-hop.ts';
import {type KitHosts, kitAddress} from './kit-address.ts';
import {corsFields, preflightFields} from './pipe-cors.ts';
import {refuseOldReceiver} from './pipe-old-receiver.ts';
import {headerPairs, relay, relayUpgrade} from './stream-relay.ts';

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
  readonly log: Log;
}

export interface Gateway {
  /** Handles the addresses of kits, by host or below `/c/`, and answers true; false leaves the request to others. */
  intercept(incoming: IncomingMessage, outgoing: ServerResponse): boolean;
  /** Connects a websocket with a script of a container; whatever else asks for one is refused. */
  upgrade(incoming: IncomingMessage, socket: UpgradeSocket): void;
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
    intercept(incoming, outgoing) {
      try {
        if (answersPreflight(incoming, outgoing, options)) return true;
        const destination = destinationOf(incoming, options);
        if (destination === null) return false;
        if (destination.kit === 'pipe') refuseOldReceiver(incoming, destination.path);
        forward({incoming, outgoing, ...destination}, options);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        refuse(outgoing, error, pipeHeaders(incoming, options));
      }
      return true;
    },
    upgrade(incoming, socket) {
      try {
        const destination = destinationOf(incoming, options);
        if (destination?.kit !== 'exec') throw noWebsocketHere();
        forwardUpgrade({incoming, socket, ...destination}, options);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        socket.refuse(error);
      }
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

/** A page that uses a pipe is to see why we refuse it. Names and values. */
function pipeHeaders(incoming: IncomingMessage, {kitHosts}: GatewayOptions): Record<string, string> {
  const {host = '', origin} = incoming.headers;
  const address = kitAddress({host, target: incoming.url ?? '/'}, kitHosts);
  if (address?.kit !== 'pipe') return {};
  return Object.fromEntries(corsFields(new Map(origin === undefined ? [] : [['origin', origin]])));
}

/** Browsers send no token with the question whether they may send one, so it is answered for every pipe alike. */
function answersPreflight(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  options: GatewayOptions,
): boolean {
  const {method, headers} = incoming;
  if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
  const cors = pipeHeaders(incoming, options);
  if (Object.keys(cors).length === 0) return false;
  const asked = headers['access-control-request-private-network'];
  const fields = new Map(
    typeof asked === 'string' ? [['access-control-request-private-network', asked]] : [],
  );
  outgoing.writeHead(204, {...cors, ...Object.fromEntries(preflightFields(fields))}).end();
  return true;
}

/** Null for what is no address of a kit. Throws for one that leads nowhere, or that is not for everybody. */
function destinationOf(incoming: IncomingMessage, options: GatewayOptions): Destination | null {
  const target = incoming.url ?? '/';
  const address = kitAddress({host: incoming.headers.host ?? '', target}, options.kitHosts);
  if (address === null && !target.startsWith('/c/')) return null;
  if (address === null || !address.path.startsWith('/')) throw noSuchAddress();
  const {container, path, kit, byHost} = address;
  const authorization = incoming.headers.authorization ?? '';
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

interface Exchange extends Destination {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

function forward(
  {incoming, outgoing, socketPath, path, kit, user, prefix}: Exchange,
  options: GatewayOptions,
): void {
  relay({
    incoming,
    outgoing,
    socketPath,
    path,
    headers: [
      ...requestHeaders(incoming, {kit, user}, options),
      ...(prefix === '' ? [] : ['X-Forwarded-Prefix', prefix]),
    ],
    responseHeaders,
    answersEarly: kit === 'pipe',
    onUnreachable(error) {
      options.log.warn('a container did not answer', {error});
      refuse(outgoing, containerUnavailable(), {
        'Retry-After': '1',
        ...(kit === 'pipe' ? pipeHeaders(incoming, options) : {}),
      });
    },
  });
}

interface Upgrade extends Destination {
  readonly incoming: IncomingMessage;
  readonly socket: UpgradeSocket;
}

/**
 * Pages of a container have no origin of their own here, so every origin may connect: that the address is known is
 * what lets somebody in, and no cookie of ours goes along.
 */
function forwardUpgrade(
  {incoming, socket, socketPath, path, kit, user}: Upgrade,
  options: GatewayOptions,
): void {
  relayUpgrade({
    socket,
    socketPath,
    path,
    headers: requestHeaders(incoming, {kit, user}, options),
    responseHeaders,
    onUnreachable(error) {
      options.log.warn('a container did not answer', {error});
      socket.refuse(containerUnavailable());
    },
  });
}

function refuse(outgoing: ServerResponse, error: AppError, headers: Record<string, string> = {}): void {
  outgoing.writeHead(error.status, {
    'Content-Type': 'application/json',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  outgoing.end(JSON.stringify(error.toBody()));
}

function requestHeaders(
  incoming: IncomingMessage,
  {kit, user}: Pick<Destination, 'kit' | 'user'>,
  {isOwnAuthorization, userOf, ownCookie}: GatewayOptions,
): string[] {
  const passed = headerPairs(incoming.rawHeaders).flatMap(([name, value]) => {
    const lower = name.toLowerCase();
    if (hopByHopHeaders.has(lower) || lower === 'content-length') return [];
    if (lower === KIT_HEADER || lower === USER_HEADER || lower.startsWith('x-forwarded-')) return [];
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
    incoming.socket.remoteAddress ?? '',
  ];
}

function responseHeaders(answer: IncomingMessage): string[] {
  const kept = headerPairs(answer.rawHeaders).filter(([name]) => {
    const lower = name.toLowerCase();
    return !hopByHopHeaders.has(lower) && lower !== 'set-cookie' && lower !== 'content-security-policy';
  });
  return [...kept.flat(), 'Content-Security-Policy', sandboxPolicy];
}
