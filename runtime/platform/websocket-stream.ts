import {randomBytes} from 'node:crypto';
import {AppError} from '../../schemas/errors.ts';
import {
  type ByteSocket,
  type ByteSocketEvents,
  connectBytes,
  connectSecureBytes,
  type SecureServer,
} from './byte-socket.ts';

/** Bytes both ways over a websocket of ours, each only as fast as the other side takes them. */
export interface WebsocketStream {
  /** False where something is kept that the connection did not take at once. */
  write(bytes: Uint8Array): boolean;
  /** Says with an empty text, as Incus does, that no more bytes follow. Reading goes on. */
  finish(): void;
  pause(): void;
  resume(): void;
  close(): void;
}

export interface WebsocketStreamEvents {
  data(bytes: Uint8Array): void;
  drained(): void;
  /** The other side said that no more bytes follow. */
  ended(): void;
  closed(): void;
}

/** Where a websocket is: a unix socket, or a server with a certificate. */
export type WebsocketPlace = {readonly socketPath: string} | {readonly server: SecureServer};

export type OpenWebsocket = (
  target: WebsocketPlace & {readonly path: string},
  events: WebsocketStreamEvents,
) => Promise<WebsocketStream>;

const maxHeadBytes = 16_384;
/** Of one frame of the other side; Incus sends pieces of some kilobytes. */
const maxFrameBytes = 16 * 1024 * 1024;
const opcodes = {text: 1, binary: 2, close: 8, ping: 9, pong: 10} as const;

/** Opens a websocket. Throws PROVIDER_UNAVAILABLE where the server refuses, and what its certificate was refused for. */
export const openWebsocket: OpenWebsocket = async ({path, ...place}, events) => {
  const open = Promise.withResolvers<WebsocketStream>();
  const where = 'server' in place ? `${place.server.host}:${place.server.port}` : place.socketPath;
  const refuse = (words: string) =>
    open.reject(new AppError('PROVIDER_UNAVAILABLE', `No websocket at ${where}: ${words}`));
  try {
    await connect(place, (socket) => {
      const reader = new FrameReader(socket, events);
      let head = Buffer.alloc(0);
      let isOpen = false;
      socket.write(
        Buffer.from(
          `GET ${path} HTTP/1.1\r\nHost: incus\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
        ),
      );
      return {
        data(bytes) {
          if (isOpen) {
            reader.read(bytes);
            return;
          }
          head = Buffer.concat([head, bytes]);
          const end = head.indexOf('\r\n\r\n');
          if (end === -1 && head.length <= maxHeadBytes) return;
          if (end === -1 || !head.subarray(0, 16).toString('latin1').startsWith('HTTP/1.1 101 ')) {
            refuse(head.subarray(0, 200).toString('latin1'));
            socket.close();
            return;
          }
          isOpen = true;
          open.resolve(streamOn(socket));
          reader.read(head.subarray(end + 4));
        },
        drained() {
          if (isOpen) events.drained();
        },
        ended: () => socket.close(),
        closed() {
          refuse('it was closed');
          if (isOpen) events.closed();
        },
      };
    });
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    refuse(cause instanceof Error ? cause.message : String(cause));
  }
  return await open.promise;
};

function connect(place: WebsocketPlace, accept: (socket: ByteSocket) => ByteSocketEvents): Promise<void> {
  return 'server' in place
    ? connectSecureBytes(place.server, accept)
    : connectBytes(place.socketPath, accept);
}

function streamOn(socket: ByteSocket): WebsocketStream {
  return {
    write(bytes) {
      socket.write(frameHead(opcodes.binary, bytes.length));
      return socket.write(bytes);
    },
    finish: () => void socket.write(frameHead(opcodes.text, 0)),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(),
  };
}

/** Of a client, so with a mask; that of zeros leaves the bytes as they are. */
function frameHead(opcode: number, length: number): Uint8Array {
  const isShort = length < 126;
  const isMiddle = length < 65_536;
  const head = Buffer.alloc((isShort ? 2 : isMiddle ? 4 : 10) + 4);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (isShort ? length : isMiddle ? 126 : 127);
  if (!isShort && isMiddle) head.writeUInt16BE(length, 2);
  else if (!isShort) head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

class FrameReader {
  readonly #socket: ByteSocket;
  readonly #events: WebsocketStreamEvents;
  #rest = Buffer.alloc(0);
  /** Of the frame whose bytes are passed on as they come. */
  #leftBytes = 0;

  constructor(socket: ByteSocket, events: WebsocketStreamEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  read(bytes: Uint8Array): void {
    let rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      if (this.#leftBytes > 0) {
        const piece = rest.subarray(0, this.#leftBytes);
        if (piece.length === 0) break;
        this.#leftBytes -= piece.length;
        rest = rest.subarray(piece.length);
        this.#events.data(piece);
        continue;
      }
      const head = readHead(rest);
      if (head === null) break;
      if (head.lengthBytes > maxFrameBytes) {
        this.#socket.close();
        return;
      }
      const isData = head.opcode === opcodes.binary || head.opcode === 0;
      if (isData) {
        rest = rest.subarray(head.headBytes);
        this.#leftBytes = head.lengthBytes;
        continue;
      }
      if (rest.length < head.headBytes + head.lengthBytes) break;
      const payload = rest.subarray(head.headBytes, head.headBytes + head.lengthBytes);
      rest = rest.subarray(head.headBytes + head.lengthBytes);
      if (!this.#control(head.opcode, payload)) return;
    }
    this.#rest = rest;
  }

  /** False where nothing more is to be read. */
  #control(opcode: number, payload: Buffer): boolean {
    if (opcode === opcodes.ping) {
      this.#socket.write(frameHead(opcodes.pong, payload.length));
      this.#socket.write(payload);
    } else if (opcode === opcodes.text) {
      if (payload.length === 0) this.#events.ended();
      else this.#events.data(payload);
    } else if (opcode === opcodes.close) {
      this.#socket.close();
      return false;
    }
    return true;
  }
}

function readHead(bytes: Buffer): {opcode: number; headBytes: number; lengthBytes: number} | null {
  if (bytes.length < 2) return null;
  const opcode = bytes.readUInt8(0) & 0x0f;
  const short = bytes.readUInt8(1) & 0x7f;
  const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < headBytes) return null;
  const lengthBytes =
    short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  return {opcode, headBytes, lengthBytes};
}
