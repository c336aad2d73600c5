import {STATUS_CODES} from 'node:http';
import {AppError} from '../../schemas/errors.ts';
import type {ByteSink, ByteSource, Frame} from './byte-flow.ts';
import {type ByteServer, type ByteSocket, type ByteSocketEvents, serveByteSockets} from './byte-socket.ts';
import type {ListenAddress} from './http-server.ts';
import {RequestBody} from './request-body.ts';
import {maxHeadBytes, parseRequestHead, type RequestHead} from './request-head.ts';

export interface ResponseHead {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Bytes of the body, null for a body of unknown length. */
  readonly lengthBytes: number | null;
}

/** One request and its answer on a connection that serves nothing else. */
export interface Exchange {
  readonly head: RequestHead;
  readonly peer: {readonly ip: string; readonly port: number};
  readonly body: ByteSource;
  /** Once; the head goes out at once. Ending the sink ends the exchange. */
  respond(head: ResponseHead): ByteSink;
  /** Called at most once, if the client has gone before its answer was complete. */
  onLeft(listener: () => void): void;
}

export interface ExchangeHandler {
  handle(exchange: Exchange): void;
  /** Of a request that cannot be understood only the answer is left. */
  refuse(error: AppError, respond: Exchange['respond']): void;
}

/** A head that is not complete by then is given up. */
const headTimeoutMs = 30_000;
/** How long a client may take to close after its answer. */
const lingerMs = 30_000;

/**
 * HTTP/1.1 for bodies that are larger than memory: what `node:http` on this engine buffers without bound, or ends as if
 * it were complete, goes straight to the socket here. Throws as `serveByteSockets` does.
 */
export function serveExchanges(
  address: ListenAddress,
  handler: ExchangeHandler,
  options: {headTimeoutMs?: number} = {},
): Promise<ByteServer> {
  const timeoutMs = options.headTimeoutMs ?? headTimeoutMs;
  return serveByteSockets(address, (socket) => new ExchangeConnection(socket, handler, timeoutMs));
}

class ExchangeConnection implements ByteSocketEvents {
  readonly #socket: ByteSocket;
  readonly #handler: ExchangeHandler;
  readonly #headTimer: ReturnType<typeof setTimeout>;
  #received: Uint8Array = new Uint8Array(0);
  #body: RequestBody | null = null;
  #head: RequestHead | null = null;
  #sink: ResponseSink | null = null;
  #leave: () => void = () => {};
  #left = false;
  #lingerTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(socket: ByteSocket, handler: ExchangeHandler, timeoutMs: number) {
    this.#socket = socket;
    this.#handler = handler;
    this.#headTimer = setTimeout(() => {
      this.#refuse(new AppError('REQUEST_TIMED_OUT', 'The head of the request did not come in time.'));
    }, timeoutMs);
  }

  data(bytes: Uint8Array): void {
    if (this.#body !== null) this.#feedBody(this.#body, bytes);
    else if (this.#sink === null) this.#readHead(bytes);
  }

  drained(): void {
    this.#sink?.drained();
  }

  ended(): void {
    // Who has sent a whole body may still read; who sent none and ends has gone.
    const isSender = this.#head !== null && this.#head.framing.kind !== 'none';
    if (isSender && this.#body?.isComplete) return;
    this.#body?.cut();
    this.#noteLeft();
    // Whoever was told may have ended the answer in its own way; otherwise nobody would ever close.
    if (!this.#sink?.isOver) this.#socket.close();
  }

  closed(): void {
    clearTimeout(this.#headTimer);
    if (this.#lingerTimer !== null) clearTimeout(this.#lingerTimer);
    this.#body?.cut();
    this.#noteLeft();
  }

  #noteLeft(): void {
    if (this.#left || this.#sink?.isOver) return;
    this.#left = true;
    this.#leave();
  }

  #readHead(bytes: Uint8Array): void {
    const received =
      this.#received.length === 0
        ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
        : Buffer.concat([this.#received, bytes]);
    const end = received.indexOf('\r\n\r\n');
    if (end > maxHeadBytes || (end === -1 && received.length > maxHeadBytes)) {
      this.#refuse(new AppError('HEAD_TOO_LARGE', `The head is larger than ${maxHeadBytes} bytes.`));
      return;
    }
    this.#received = received;
    if (end === -1) return;
    clearTimeout(this.#headTimer);
    let head: RequestHead;
    try {
      head = parseRequestHead(received.toString('latin1', 0, end));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#refuse(error);
      return;
    }
    this.#received = new Uint8Array(0);
    this.#open(head, received.subarray(end + 4));
  }

  #open(head: RequestHead, rest: Uint8Array): void {
    this.#head = head;
    const body = new RequestBody(this.#socket, head.framing);
    this.#body = body;
    // Also where nothing is left, since a body of length 0 is complete already.
    if (!body.feed(rest)) this.#refuse(new AppError('MALFORMED_REQUEST', brokenBody));
    else this.#handler.handle(this.#exchange(head, body));
  }

  #exchange(head: RequestHead, body: RequestBody): Exchange {
    const socket = this.#socket;
    return {
      head,
      body,
      get peer() {
        return {ip: socket.remoteAddress, port: socket.remotePort};
      },
      respond: (response) => this.#respond(response),
      onLeft: (listener) => {
        this.#leave = listener;
      },
    };
  }

  #feedBody(body: RequestBody, bytes: Uint8Array): void {
    // A request that follows on the same connection is not served: every answer says `Connection: close`.
    if (body.isComplete || body.feed(bytes)) return;
    if (this.#sink === null) {
      this.#noteLeft();
      this.#refuse(new AppError('MALFORMED_REQUEST', brokenBody));
    } else if (this.#sink.isOver) this.#socket.close();
  }

  #refuse(error: AppError): void {
    clearTimeout(this.#headTimer);
    this.#handler.refuse(error, (response) => this.#respond(response));
  }

  #respond(response: ResponseHead): ByteSink {
    const version = this.#head?.isHttp10 ? '1.0' : '1.1';
    const isStream = response.lengthBytes === null;
    const framing = !isStream ? 'plain' : version === '1.1' ? 'chunked' : 'until-close';
    const lines = response.fields.map(([name, value]) => `${name}: ${value}\r\n`);
    if (framing === 'chunked') lines.push('Transfer-Encoding: chunked\r\n');
    if (response.lengthBytes !== null) lines.push(`Content-Length: ${response.lengthBytes}\r\n`);
    const goOn = this.#head?.expectsContinue && response.status < firstErrorStatus ? continueLine : '';
    const statusLine = `HTTP/${version} ${response.status} ${STATUS_CODES[response.status] ?? ''}\r\n`;
    const text = `${goOn}${statusLine}Date: ${new Date().toUTCString()}\r\n${lines.join('')}Connection: close\r\n\r\n`;
    const head = Buffer.from(text, 'latin1');
    this.#sink = new ResponseSink({socket: this.#socket, framing, head, onEnd: () => this.#linger()});
    return this.#sink;
  }

  /** Closing while something is unread would make the kernel throw the answer away. */
  #linger(): void {
    this.#body?.discard();
    this.#lingerTimer = setTimeout(() => this.#socket.close(), lingerMs);
  }
}

const firstErrorStatus = 400;
const lastChunk = Buffer.from('0\r\n\r\n', 'latin1');
const continueLine = 'HTTP/1.1 100 Continue\r\n\r\n';
const brokenBody = 'The body does not have the framing that its head announces.';
/** A longer piece is not worth copying. */
const maxJoinedBytes = 16 * 1024;

type ResponseFraming = 'plain' | 'chunked' | 'until-close';

class ResponseSink implements ByteSink {
  readonly #socket: ByteSocket;
  readonly #framing: ResponseFraming;
  readonly #onEnd: () => void;
  /** Goes out with the first bytes of the body if those are there at once: that is one packet less to wait for. */
  #head: Uint8Array | null;
  #onDrained: () => void = () => {};
  isOver = false;

  constructor(options: {
    socket: ByteSocket;
    framing: ResponseFraming;
    head: Uint8Array;
    onEnd: () => void;
  }) {
    this.#socket = options.socket;
    this.#framing = options.framing;
    this.#onEnd = options.onEnd;
    this.#head = options.head;
    queueMicrotask(() => this.#sendHead());
  }

  get pendingBytes(): number {
    return this.#socket.pendingBytes;
  }

  write(frame: Frame): boolean {
    if (this.isOver) return true;
    return this.#send(this.#framing === 'chunked' ? frame.chunk : frame.payload);
  }

  #send(bytes: Uint8Array): boolean {
    if (this.#head === null || bytes.length > maxJoinedBytes) {
      this.#sendHead();
      return this.#socket.write(bytes);
    }
    const joined = Buffer.concat([this.#head, bytes]);
    this.#head = null;
    return this.#socket.write(joined);
  }

  end(last: Frame | null = null): void {
    if (this.isOver) return;
    // A chunk without bytes is the last one.
    if (this.#framing === 'chunked')
      this.#send(last === null ? lastChunk : Buffer.concat([last.chunk, lastChunk]));
    else if (last !== null) this.#send(last.payload);
    this.#sendHead();
    this.isOver = true;
    this.#socket.finish();
    this.#onEnd();
  }

  cut(): void {
    if (this.isOver) return;
    this.#sendHead();
    this.isOver = true;
    // Where the end of the connection is the end of the body, only an error tells the difference.
    if (this.#framing === 'until-close') this.#socket.reset();
    else this.#socket.close();
  }

  #sendHead(): void {
    if (this.#head === null) return;
    const head = this.#head;
    this.#head = null;
    this.#socket.write(head);
  }

  onDrained(listener: () => void): void {
    this.#onDrained = listener;
  }

  drained(): void {
    this.#onDrained();
  }

  shortcut(): number | null {
    const isPlain = this.#framing !== 'chunked' && this.#head === null && !this.isOver;
    const {descriptor, pendingBytes} = this.#socket;
    return isPlain && pendingBytes === 0 && descriptor >= 0 ? descriptor : null;
  }
}
