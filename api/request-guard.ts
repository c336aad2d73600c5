import type {IncomingMessage, ServerResponse} from 'node:http';
import type {UpgradeSocket} from '../runtime/platform/upgrade-socket.ts';
import type {AppError} from '../schemas/errors.ts';

/** A check before all others. Both are true where the request was refused and answered. */
export interface RequestGuard {
  intercept(incoming: IncomingMessage, outgoing: ServerResponse): boolean;
  upgrade(incoming: IncomingMessage, socket: UpgradeSocket): boolean;
}

/** `refusal`: why a request goes no further; null lets it pass. */
export function createRequestGuard(refusal: (incoming: IncomingMessage) => AppError | null): RequestGuard {
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
