import type {IncomingMessage, ServerResponse} from 'node:http';
import type {UpgradeSocket} from '../runtime/platform/upgrade-socket.ts';
import {AppError} from '../schemas/errors.ts';

/** Both are true where it answered. */
export interface PeerGuard {
  intercept(incoming: IncomingMessage, outgoing: ServerResponse): boolean;
  upgrade(incoming: IncomingMessage, socket: UpgradeSocket): boolean;
}

/**
 * Containers that share the host's network can reach each other's addresses. This refuses every connection that
 * does not come from a process of the container itself; others go through the controller.
 */
export function createPeerGuard(isOwn: (peer: {ip: string; port: number}) => boolean): PeerGuard {
  /** Asked once for each connection: it cannot change hands unseen, and the answer costs a walk through procfs. */
  const own = new WeakSet<object>();

  function refusal({socket}: IncomingMessage): AppError | null {
    if (own.has(socket)) return null;
    if (isOwn({ip: socket.remoteAddress ?? '', port: socket.remotePort ?? 0})) {
      own.add(socket);
      return null;
    }
    return new AppError(
      'FORBIDDEN',
      "This address is for the container's own processes. From outside use the container's address at the controller: `branchtab containers list` shows it.",
    );
  }

  return {
    intercept(incoming, outgoing) {
      const error = refusal(incoming);
      if (error === null) return false;
      outgoing.writeHead(error.status, {'Content-Type': 'application/json', Connection: 'close'});
      outgoing.end(JSON.stringify(error.toBody()));
      return true;
    },
    upgrade(incoming, socket) {
      const error = refusal(incoming);
      if (error === null) return false;
      socket.refuse(error);
      return true;
    },
  };
}
