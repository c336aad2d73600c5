import {connect, type Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {AppError} from '../../schemas/errors.ts';

export interface UpgradeSocket {
  /** Joins the connection with that of a unix socket, after `head` was written there; resolves when either ends. */
  join(socketPath: string, head: string): Promise<void>;
  /** Answers with an error and closes. */
  refuse(error: AppError): void;
}

/** A connection that was taken out of its HTTP server. `early` has come behind the request. */
export function createUpgradeSocket(client: Duplex, early: Buffer): UpgradeSocket {
  // A client that is cut off is seen by `close`.
  client.on('error', () => {});
  return {
    join(socketPath, head) {
      const host = connect(socketPath);
      return new Promise<void>((resolve) => {
        const end = () => {
          client.destroy();
          host.destroy();
          resolve();
        };
        host.on('error', end);
        host.on('close', end);
        client.on('close', end);
        if (client.destroyed) {
          end();
          return;
        }
        host.write(head, 'latin1');
        if (early.length > 0) host.write(early);
        forward(client, host);
        forward(host, client);
      });
    },
    refuse(error) {
      const body = Buffer.from(JSON.stringify(error.toBody()));
      client.end(
        `HTTP/1.1 ${error.status} Refused\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
    },
  };
}

/** Reads only as fast as the other side takes it. */
function forward(from: Duplex | Socket, to: Duplex | Socket): void {
  from.on('data', (bytes: Buffer) => {
    if (!to.write(bytes)) from.pause();
  });
  to.on('drain', () => void from.resume());
}
