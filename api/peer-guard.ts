import type {IncomingMessage, ServerResponse} from 'node:http';
import {AppError} from '../schemas/errors.ts';

/**
 * Containers that share the host's network can reach each other's addresses. This refuses every connection that
 * does not come from a process of the container itself; others go through the controller. True where it answered.
 */
export function createPeerGuard(isOwn: (peer: {ip: string; port: number}) => boolean) {
  /** Asked once for each connection: it cannot change hands unseen, and the answer costs a walk through procfs. */
  const own = new WeakSet<object>();
  return (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const {socket} = incoming;
    if (own.has(socket)) return false;
    if (isOwn({ip: socket.remoteAddress ?? '', port: socket.remotePort ?? 0})) {
      own.add(socket);
      return false;
    }
    const error = new AppError(
      'FORBIDDEN',
      "This address is for the container's own processes. From outside use the container's address at the controller: `branchtab containers list` shows it.",
    );
    outgoing.writeHead(error.status, {'Content-Type': 'application/json', Connection: 'close'});
    outgoing.end(JSON.stringify(error.toBody()));
    return true;
  };
}
