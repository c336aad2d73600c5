import {type IncomingMessage, ServerResponse} from 'node:http';
import type {Duplex} from 'node:stream';
import type {AppError} from '../../schemas/errors.ts';

/** A connection whose client asks for websockets, taken out of its HTTP server. */
export interface UpgradeSocket {
  /** Writes `head` to the client and joins it with a connection that has changed its protocol already. */
  joinWith(other: Duplex, head: Uint8Array): Promise<void>;
  /** The client has left. */
  onLeave(listener: () => void): void;
  /** For an answer as to a plain request; the connection ends with it. */
  plainly(): ServerResponse;
  /** Answers with an error and closes. */
  refuse(error: AppError): void;
}

/** `early` has come behind the request. */
export function createUpgradeSocket(incoming: IncomingMessage, client: Duplex, early: Buffer): UpgradeSocket {
  // A client that is cut off is seen by `close`.
  client.on('error', () => {});

  function joinWith(other: Duplex, head: Uint8Array): Promise<void> {
    client.write(head);
    return new Promise<void>((resolve) => {
      other.on('error', () => endSoon(client));
      for (const [one, its] of [
        [client, other],
        [other, client],
      ] as const) {
        one.on('close', () => {
          endSoon(its);
          resolve();
        });
      }
      if (client.destroyed) {
        endSoon(other);
        resolve();
        return;
      }
      if (early.length > 0) other.write(early);
      forward(client, other);
      forward(other, client);
    });
  }

  const plainly = () => plainResponse(incoming, client);
  return {
    joinWith,
    onLeave: (listener) => void client.on('close', listener),
    plainly,
    refuse(error) {
      const body = JSON.stringify(error.toBody());
      plainly().writeHead(error.status, {'Content-Type': 'application/json'}).end(body);
    },
  };
}

/** An answer to a request whose connection an `upgrade` event has taken away; the connection ends with it. */
export function plainResponse(incoming: IncomingMessage, client: Duplex): ServerResponse {
  const response = new ServerResponse(incoming);
  response.shouldKeepAlive = false;
  // What Node calls a socket here is any stream.
  response.assignSocket(client as Parameters<ServerResponse['assignSocket']>[0]);
  response.once('finish', () => endSoon(client));
  return response;
}

/** What was written goes out before. */
function endSoon(socket: Duplex): void {
  socket.end(() => void socket.destroy());
}

/** Reads only as fast as the other side takes it. A side that ends ends the other one. */
function forward(from: Duplex, to: Duplex): void {
  from.on('data', (bytes: Buffer) => {
    if (!to.write(bytes)) from.pause();
  });
  from.on('end', () => void to.end());
  to.on('drain', () => void from.resume());
}
