import type {Exchange} from '../runtime/platform/http-exchange.ts';
import type {Peer} from '../runtime/platform/peer-process.ts';
import {AppError} from '../schemas/errors.ts';

/**
 * Containers that share the host's network can reach each other's addresses. This refuses every connection that
 * does not come from a process of the container itself; others go through the controller.
 */
export function createPeerGuard(
  isOwn: (peer: Peer) => boolean,
): (exchange: Pick<Exchange, 'connection' | 'peer'>) => AppError | null {
  /** Asked once for each connection: it cannot change hands unseen, and the answer costs a walk through procfs. */
  const own = new WeakSet<object>();
  return ({connection, peer}) => {
    if (own.has(connection)) return null;
    if (isOwn(peer)) {
      own.add(connection);
      return null;
    }
    return new AppError(
      'FORBIDDEN',
      "This address is for the container's own processes. From outside use the container's address at the controller: `branchtab containers list` shows it.",
    );
  };
}
