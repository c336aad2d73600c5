import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Log} from '../runtime/platform/log.ts';
import {KIT_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {hopByHopHeaders} from '../schemas/hop-by-hop.ts';
import {refuseMisdirected} from './host-guard.ts';
import {selectKit} from './kit-selection.ts';
import {refuseOldReceiver} from './pipe-old-receiver.ts';
import {headerPairs, relay} from './stream-relay.ts';

/**
 * Takes the requests for the pipe kit out of a listener of all kits and passes them to the kit's own socket, where
 * bodies do not go through `node:http`. `socketPath` starts the kit with its first request. True where it answers.
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
}) {
  const inTurn = createTurns(mostConnecting);
  return (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const {headers, url: target = '/'} = incoming;
    const host = headers.host ?? '';
    const kitHeader = trusted ? headers[KIT_HEADER] : undefined;
    const {part} = selectKit({
      host,
      kitHeader: typeof kitHeader === 'string' ? kitHeader : null,
      path: target.split('?', 1)[0] ?? '/',
    });
    if (part !== 'pipe') return false;
    try {
      if (!trusted) refuseMisdirected(host, allowedHosts);
      refuseOldReceiver(incoming, target);
    } catch (error) {
      refuse(outgoing, error, log);
      return true;
    }
    inTurn(async (onConnected) => {
      relay({
        incoming,
        outgoing,
        socketPath: await socketPath(),
        path: target,
        headers: ownHeaders(incoming),
        responseHeaders: (answer) =>
          headerPairs(answer.rawHeaders)
            .filter(([name]) => !hopByHopHeaders.has(name.toLowerCase()))
            .flat(),
        answersEarly: true,
        onConnected,
        onUnreachable: (error) => refuse(outgoing, error, log),
      });
    }).catch((error: unknown) => refuse(outgoing, error, log));
    return true;
  };
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

function refuse(outgoing: ServerResponse, error: unknown, log: Log): void {
  if (!(error instanceof AppError)) log.error('the pipe kit does not answer', {error});
  const known =
    error instanceof AppError
      ? error
      : new AppError('BACKEND_ERROR', 'The pipe kit does not answer. Try again.');
  outgoing.writeHead(known.status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
  });
  outgoing.end(`[ERROR] ${known.message}\n`);
}
