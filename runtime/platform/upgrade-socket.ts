import {type IncomingMessage, ServerResponse} from 'node:http';
import {connect} from 'node:net';
import type {Duplex} from 'node:stream';
import type {AppError} from '../../schemas/errors.ts';

/** A connection whose client asks for websockets, taken out of its HTTP server. */
export interface UpgradeSocket {
  /** Joins the connection with that of a unix socket, after `head` was written there; resolves when either ends. */
  join(socketPath: string, head: string): Promise<void>;
  /** Writes `head` to the client and joins it with a connection that has changed its protocol already. */
  joinWith(other: Duplex, head: Uint8Array): Promise<void>;
  /** The client has left. */
  onLeave(listener: () => void): void;
  /** For an answer as to a plain request; the connection ends with it. */
  plainly(): ServerResponse;
  /** Takes the websocket and closes it at once. The reason has at most 123 bytes. */
  close(code: number, reason: string): void;
  /** Answers with an error and closes. */
  refuse(error: AppError): void;
}

/** `early` has come behind the request. */
export function createUpgradeSocket(incoming: IncomingMessage, client: Duplex, early: Buffer): UpgradeSocket {
  // A client that is cut off is seen by `close`.
  client.on('error', () => {});

  function joinBoth(other: Duplex): Promise<void> {
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
    join(socketPath, head) {
      const host = connect(socketPath);
      host.write(head, 'latin1');
      return joinBoth(host);
    },
    joinWith(other, head) {
      client.write(head);
      return joinBoth(other);
    },
    onLeave: (listener) => void client.on('close', listener),
    plainly,
    close(code, reason) {
      const accept = new Bun.CryptoHasher('sha1')
        .update(`${incoming.headers['sec-websocket-key'] ?? ''}${acceptedKeySuffix}`)
        .digest('base64');
      client.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      client.end(closeFrame(code, reason));
      // What the client says to it is read and thrown away.
      client.resume();
    },
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

/** RFC 6455 section 1.3. */
const acceptedKeySuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const finalClose = 0x88;

/** Of a server, so without a mask. */
function closeFrame(code: number, reason: string): Buffer {
  const text = Buffer.from(reason);
  const frame = Buffer.alloc(4 + text.length);
  frame.writeUInt8(finalClose, 0);
  frame.writeUInt8(2 + text.length, 1);
  frame.writeUInt16BE(code, 2);
  text.copy(frame, 4);
  return frame;
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
