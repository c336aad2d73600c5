import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Log} from '../runtime/platform/log.ts';
import {KIT_HEADER, type Kit, USER_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {kitAddress} from './kit-address.ts';
import {refuseOldReceiver} from './pipe-old-receiver.ts';
import {headerPairs, hopByHopHeaders, relay} from './stream-relay.ts';

export interface GatewayOptions {
  /** Socket of the container with this id or name; null when there is none or it is in the trash. */
  readonly socketOf: (idOrName: string) => string | null;
  /** Below them lie the hosts of kits, `<id or name>-<kit>-<n>.<domain>`. In lower case. */
  readonly kitDomains: readonly string[];
  /** True where an Authorization header carries one of the controller's own tokens. */
  readonly isOwnAuthorization: (header: string) => boolean;
  /** The user whose token an Authorization header carries; null for any other header. */
  readonly userOf: (header: string) => string | null;
  /** Cookies of the controller; containers never see them. */
  readonly ownCookie: string;
  readonly log: Log;
}

/** Handles the addresses of kits, by host or below `/c/`, and answers true; false leaves the request to others. */
export type Gateway = (incoming: IncomingMessage, outgoing: ServerResponse) => boolean;

/** Pages of a container run without the controller's origin: they can neither read its API nor its cookies. */
const sandboxPolicy = 'sandbox allow-scripts allow-forms allow-popups allow-downloads';

/**
 * Passes requests to the kits of containers. The target (without `/c/<id>/<kit>` where it has that) reaches the
 * container byte for byte; bodies are streamed both ways with back-pressure; an answer that breaks off is broken
 * off here too.
 */
export function createGateway(options: GatewayOptions): Gateway {
  return (incoming, outgoing) => {
    const target = incoming.url ?? '/';
    const address = kitAddress({host: incoming.headers.host ?? '', target}, options.kitDomains);
    if (address === null && !target.startsWith('/c/')) return false;
    try {
      if (address === null || !address.path.startsWith('/')) throw noSuchAddress();
      const {path, kit} = address;
      const authorization = incoming.headers.authorization ?? '';
      const user = options.userOf(authorization);
      if (user !== null && kit !== 'cron') throw onlyCron(user);
      if (address.guessable && user === null && !options.isOwnAuthorization(authorization))
        throw tokenNeeded();
      const socketPath = options.socketOf(address.container);
      if (socketPath === null) throw noSuchContainer();
      if (kit === 'pipe') refuseOldReceiver(incoming, path);
      forward({incoming, outgoing, socketPath, path, kit, user}, options);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      refuse(outgoing, error);
    }
    return true;
  };
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

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly socketPath: string;
  readonly path: string;
  readonly kit: Kit;
  /** Whose token came with the request. */
  readonly user: string | null;
}

function forward({incoming, outgoing, socketPath, path, kit, user}: Exchange, options: GatewayOptions): void {
  relay({
    incoming,
    outgoing,
    socketPath,
    path,
    headers: [
      ...requestHeaders(incoming, options),
      KIT_HEADER,
      kit,
      ...(user === null ? [] : [USER_HEADER, user]),
      'X-Forwarded-For',
      incoming.socket.remoteAddress ?? '',
    ],
    responseHeaders,
    answersEarly: kit === 'pipe',
    onUnreachable(error) {
      options.log.warn('a container did not answer', {error});
      refuse(
        outgoing,
        new AppError(
          'CONTAINER_UNAVAILABLE',
          'The container does not answer right now; it may be starting. Try again in a second',
        ),
        {'Retry-After': '1'},
      );
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
  {isOwnAuthorization, userOf, ownCookie}: GatewayOptions,
): string[] {
  return headerPairs(incoming.rawHeaders).flatMap(([name, value]) => {
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
}

function responseHeaders(answer: IncomingMessage): string[] {
  const kept = headerPairs(answer.rawHeaders).filter(([name]) => {
    const lower = name.toLowerCase();
    return !hopByHopHeaders.has(lower) && lower !== 'set-cookie' && lower !== 'content-security-policy';
  });
  return [...kept.flat(), 'Content-Security-Policy', sandboxPolicy];
}
