import type {IncomingMessage} from 'node:http';
import type {Peer} from '../runtime/platform/peer-process.ts';
import {AppError} from '../schemas/errors.ts';
import {createRequestGuard, type RequestGuard} from './request-guard.ts';

/**
 * Containers that share the host's network can reach each other's addresses. This refuses every connection that
 * does not come from a process of the container itself; others go through the controller.
 */
export function createPeerGuard(isOwn: (peer: Peer) => boolean): RequestGuard {
  /** Asked once for each connection: it cannot change hands unseen, and the answer costs a walk through procfs. */
  const own = new WeakSet<object>();

  function refusal({socket}: IncomingMessage): AppError | null {
    if (own.has(socket)) return null;
    if (isOwn(peerOf(socket))) {
      own.add(socket);
      return null;
    }
    return new AppError(
      'FORBIDDEN',
      "This address is for the container's own processes. From outside use the container's address at the controller: `branchtab containers list` shows it.",
    );
  }

  return createRequestGuard(refusal);
}

/** Both ends of a connection; of a unix socket there is nothing to tell. */
export function peerOf(socket: IncomingMessage['socket']): Peer {
  const {remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0} = socket;
  return {ip: remoteAddress, port: remotePort, server: {ip: localAddress, port: localPort}};
}
