import type {AppError} from '../../schemas/errors.ts';
import {Frame} from './byte-flow.ts';
import {type ByteSocket, type ByteSocketEvents, connectBytes} from './byte-socket.ts';
import type {Exchange} from './http-exchange.ts';

/** A client that asks for a websocket. */
export interface ClientWebsocket {
  /** Joins the connection with that of a unix socket, after `head` was written there; resolves when either ends. */
  join(socketPath: string, head: string): Promise<void>;
  /** Takes the websocket and closes it at once. The reason has at most 123 bytes. */
  close(code: number, reason: string): void;
  /** Answers with an error instead. */
  refuse(error: AppError): void;
  /** The client has left before it was joined. */
  onLeave(listener: () => void): void;
}

export function createClientWebsocket(exchange: Exchange): ClientWebsocket {
  return {
    async join(socketPath, head) {
      const over = Promise.withResolvers<void>();
      await connectBytes(socketPath, (host) => {
        host.write(Buffer.from(head, 'latin1'));
        const {near, far} = joined(host, over.resolve);
        exchange.takeOver(near);
        return far;
      });
      await over.promise;
    },
    close(code, reason) {
      const key = exchange.head.fields.get('sec-websocket-key') ?? '';
      const accept = new Bun.CryptoHasher('sha1').update(`${key}${acceptedKeySuffix}`).digest('base64');
      exchange.takeOver((socket) => {
        socket.write(
          Buffer.from(
            `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
          ),
        );
        socket.write(closeFrame(code, reason));
        socket.finish();
        // What the client says to it is read and thrown away.
        return {data() {}, drained() {}, ended: () => socket.close(), closed() {}};
      });
    },
    refuse(error) {
      const bytes = Buffer.from(JSON.stringify(error.toBody()));
      const fields = ['Content-Type', 'application/json'];
      exchange.respond({status: error.status, fields, lengthBytes: bytes.length}).end(new Frame(bytes));
    },
    onLeave: (listener) => exchange.onLeft(listener),
  };
}

/** Passes bytes both ways, each only as fast as the other side takes them. A side that ends ends the other one. */
function joined(
  host: ByteSocket,
  onOver: () => void,
): {near: (client: ByteSocket) => ByteSocketEvents; far: ByteSocketEvents} {
  let client: ByteSocket | null = null;
  return {
    near(socket) {
      client = socket;
      return halfOf(socket, () => host, onOver);
    },
    far: halfOf(host, () => client, onOver),
  };
}

function halfOf(own: ByteSocket, other: () => ByteSocket | null, onOver: () => void): ByteSocketEvents {
  return {
    data(bytes) {
      if (other()?.write(bytes) === false) own.pause();
    },
    drained: () => other()?.resume(),
    ended: () => other()?.finish(),
    closed() {
      const left = other();
      // What it has still to get goes out before.
      if (left !== null && left.pendingBytes > 0) left.finish();
      else left?.close();
      onOver();
    },
  };
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
