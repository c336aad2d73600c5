import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Log} from '../runtime/platform/log.ts';
import type {UpgradeSocket} from '../runtime/platform/upgrade-socket.ts';
import {KIT_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {hopByHopHeaders} from '../schemas/hop-by-hop.ts';
import {refuseMisdirected} from './host-guard.ts';
import {selectKit} from './kit-selection.ts';
import {refuseOldReceiver} from './pipe-old-receiver.ts';
import {headerPairs, relay} from './stream-relay.ts';

export interface PipeFront {
  /** True where it answers. */
  intercept(incoming: IncomingMessage, outgoing: ServerResponse): boolean;
  /** The same for a request that wants another protocol as well: the kit ignores that wish, as HTTP allows. */
  upgrade(incoming: IncomingMessage, socket: UpgradeSocket): boolean;
}

/**
 * Takes the requests for the pipe kit out of a listener of all kits and passes them to the kit's own socket, where
 * bodies do not go through `node:http`. `socketPath` starts the kit with its first request.
 */
export function createPipeFront({
  socketPath,
  trusted,
  allowedHosts,
  log,
}: {
  socketPath: () => Promise<string>;
  trusted: boolean;
  allowedHosts: readonly string[];
  log: Log;
}): PipeFront {
  const inTurn = createTurns(mostConnecting);

  function isForPipe({headers, url: target = '/'}: IncomingMessage): boolean {
    const kitHeader = trusted ? headers[KIT_HEADER] : undefined;
    const {part} = selectKit({
      host: headers.host ?? '',
      kitHeader: typeof kitHeader === 'string' ? kitHeader : null,
      path: target.split('?', 1)[0] ?? '/',
    });
    return part === 'pipe';
  }

  /** Throws AppError. */
  function admit(incoming: IncomingMessage): void {
    const {headers, url: target = '/'} = incoming;
    if (!trusted) refuseMisdirected(headers.host ?? null, allowedHosts);
    refuseOldReceiver(incoming, target);
    // The end of a body behind such a head is not told by `node:http` on this engine.
    const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
    if (hasBody && headers.upgrade !== undefined) {
      throw new AppError(
        'PIPE_REQUEST_REFUSED',
        'A body together with Upgrade is not taken here. Send it with HTTP/1.1 alone (curl --http1.1).',
      );
    }
  }

  return {
    intercept(incoming, outgoing) {
      if (!isForPipe(incoming)) return false;
      try {
        admit(incoming);
      } catch (error) {
        refuse(incoming, outgoing, error, log);
        return true;
      }
      inTurn(async (onConnected) => {
        relay({
          incoming,
          outgoing,
          socketPath: await socketPath(),
          path: incoming.url ?? '/',
          headers: ownHeaders(incoming),
          responseHeaders: (answer) =>
            headerPairs(answer.rawHeaders)
              .filter(([name]) => !hopByHopHeaders.has(name.toLowerCase()))
              .flat(),
          answersEarly: true,
          onConnected,
          onUnreachable: (error) => refuse(incoming, outgoing, error, log),
        });
      }).catch((error: unknown) => refuse(incoming, outgoing, error, log));
      return true;
    },
    upgrade(incoming, socket) {
      if (!isForPipe(incoming)) return false;
      upgraded(incoming, socket).catch((error: unknown) => socket.refuse(knownError(error, log)));
      return true;
    },
  };

  async function upgraded(incoming: IncomingMessage, socket: UpgradeSocket): Promise<void> {
    admit(incoming);
    const {method = 'GET', url: target = '/', headers} = incoming;
    const fields = [...headerPairs(ownHeaders(incoming)), ['Upgrade', headers.upgrade ?? '']];
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    await socket.join(await socketPath(), `${method} ${target} HTTP/1.1\r\n${lines}\r\n`);
  }
}

/** The kit accepts connections in the same process: more at once than its backlog holds would be refused. */
const mostConnecting = 100;

/** Lets so many at a time go, each until it calls back. */
function createTurns(most: number) {
  let going = 0;
  const waiting: (() => void)[] = [];
  return async (go: (done: () => void) => Promise<void>): Promise<void> => {
    if (going >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    going += 1;
    let isDone = false;
    const done = () => {
      if (isDone) return;
      isDone = true;
      going -= 1;
      waiting.shift()?.();
    };
    await go(done).catch((error: unknown) => {
      done();
      throw error;
    });
  };
}

/** `Expect` was met by the listener. */
function ownHeaders({rawHeaders}: IncomingMessage): string[] {
  return headerPairs(rawHeaders)
    .filter(([name]) => {
      const lower = name.toLowerCase();
      return (
        !hopByHopHeaders.has(lower) &&
        lower !== 'content-length' &&
        lower !== 'expect' &&
        lower !== KIT_HEADER
      );
    })
    .flat();
}

function knownError(error: unknown, log: Log): AppError {
  if (error instanceof AppError) return error;
  log.error('the pipe kit does not answer', {error});
  return new AppError('BACKEND_ERROR', 'The pipe kit does not answer. Try again.');
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, error: unknown, log: Log): void {
  const {status, message} = knownError(error, log);
  const {origin} = incoming.headers;
  // Loaded with the first refusal: a runtime that waits has no memory to spare.
  import('./pipe-cors.ts').then(
    ({corsFields}) => {
      const cors = corsFields(new Map(origin === undefined ? [] : [['origin', origin]]));
      outgoing.writeHead(status, [
        ...cors.flat(),
        'Content-Type',
        'text/plain; charset=utf-8',
        'X-Content-Type-Options',
        'nosniff',
      ]);
      outgoing.end(`[ERROR] ${message}\n`);
    },
    () => outgoing.destroy(),
  );
}
