import {AppError, bodylessStatuses} from '../../schemas/errors.ts';
import {reasonPhrases} from '../../schemas/reason-phrases.ts';
import {type ByteSink, type ByteSource, emptySource, type Frame, type SinkShortcut} from './byte-flow.ts';
import {
  type ByteServer,
  type ByteSocket,
  type ByteSocketEvents,
  type LateCertificate,
  serveByteSockets,
} from './byte-socket.ts';
import type {Certificate} from './certificate.ts';
import type {ListenAddress} from './listen-address.ts';
import {MessageBody} from './message-body.ts';
import type {Peer} from './peer-process.ts';
import {fieldName, maxHeadBytes, notInValue, parseRequestHead, type RequestHead} from './request-head.ts';

export interface ResponseHead {
  readonly status: number;
  /** Names and values in turn, without those that delimit the body or speak of the connection. */
  readonly fields: readonly string[];
  /** Bytes of the body, null for a body of unknown length. */
  readonly lengthBytes: number | null;
  /** The connection may serve the client's next request; without it the client is told that it ends. */
  readonly keepsConnection?: boolean;
}

/** One request and its answer. */
export interface Exchange {
  readonly head: RequestHead;
  readonly peer: Peer;
  /** The same for all requests of a connection, and for no others. */
  readonly connection: object;
  readonly body: ByteSource;
  /**
   * The head goes out at once; ending the sink ends the exchange. A second answer only breaks the first one off.
   * Throws TypeError for fields that are none.
   */
  readonly respond: (head: ResponseHead) => ByteSink;
  /** Called if the client has gone before its answer was complete. The last listener counts. */
  readonly onLeft: (listener: () => void) => void;
  /** Instead of an answer: the connection speaks another protocol from here on, with what has come behind the head. */
  readonly takeOver: (accept: (socket: ByteSocket) => ByteSocketEvents) => void;
}

export interface ExchangeHandler {
  handle(exchange: Exchange): void;
  /** Of a request that cannot be understood only the answer is left. */
  refuse(error: AppError, respond: Exchange['respond']): void;
}

export interface ExchangeOptions {
  /** A head that is not complete by then is given up. */
  readonly headTimeoutMs?: number;
  /** Where the port may not be bound, take another one of the same host. */
  readonly fallbackPort?: boolean;
  /** On a loopback address: packets go out as they come, whatever the host does for those of its network. */
  readonly isUnpaced?: boolean;
  /** Serves HTTPS with it. */
  readonly certificate?: Certificate | LateCertificate;
}

const defaultHeadTimeoutMs = 30_000;
/** How long a client may take to close after its answer. */
const lingerMs = 30_000;
/** Connections that wait for a head are looked at so often within its time. */
const looksPerTimeout = 4;
/** A kept connection may wait so much longer for its next request. */
const idleTimeouts = 2.5;
/** Of requests that came before their turn. */
const maxEarlyBytes = 64 * 1024;
/** A longer head is not kept for comparison with the next. */
const maxRepeatedBytes = 1024;

/** Serves until it is closed. */
export interface HttpServer {
  /** `http://host:port`, or `https://`, with the port that was bound, or `unix:<path>`. */
  readonly url: string;
  /** Takes no more connections; requests in flight have `graceMs` to end, then their connections are cut. */
  close(options: {graceMs: number}): Promise<void>;
}

/**
 * HTTP/1.1 with bodies that may be larger than memory: what `node:http` on this engine buffers without bound, or ends
 * as if it were complete, goes straight to the socket here. Throws as `serveByteSockets` does.
 */
export async function serveExchanges(
  address: ListenAddress,
  handler: ExchangeHandler,
  {headTimeoutMs = defaultHeadTimeoutMs, ...listening}: ExchangeOptions = {},
): Promise<HttpServer> {
  const connections = new Connections(headTimeoutMs);
  const server = await serveByteSockets(
    address,
    (socket) => new ExchangeConnection(socket, handler, connections),
    listening,
  );
  return {url: server.url, close: ({graceMs}) => connections.close(server, graceMs)};
}

/** What the connections of one server share. */
class Connections {
  readonly #timeoutMs: number;
  readonly #open = new Set<ExchangeConnection>();
  /** Of answers that began in this turn; most are gone with their bodies when it is their turn. */
  readonly #unsentHeads: ResponseSink[] = [];
  #looking: ReturnType<typeof setInterval> | null = null;
  #onEmpty: () => void = () => {};
  #second = 0;
  #date = '';
  isClosing = false;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  sendLater(sink: ResponseSink): void {
    if (this.#unsentHeads.push(sink) === 1) queueMicrotask(() => this.#sendHeads());
  }

  #sendHeads(): void {
    for (const sink of this.#unsentHeads.splice(0)) sink.sendHead();
  }

  /** Made once for all answers of a second. */
  date(): string {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = new Date(second * 1000).toUTCString();
    }
    return this.#date;
  }

  add(connection: ExchangeConnection): void {
    this.#open.add(connection);
    this.awaitHead(connection);
  }

  delete(connection: ExchangeConnection): void {
    this.#open.delete(connection);
    if (this.#open.size === 0) this.#onEmpty();
  }

  awaitHead(connection: ExchangeConnection): void {
    // Every byte of a head would otherwise give it the whole time again.
    connection.looksLeft = Math.min(connection.looksLeft ?? looksPerTimeout, looksPerTimeout);
    this.#look();
  }

  awaitNext(connection: ExchangeConnection): void {
    connection.looksLeft = looksPerTimeout * (1 + idleTimeouts);
    this.#look();
  }

  /** Only while somebody waits: a process that has nothing to do is not woken. */
  #look(): void {
    this.#looking ??= setInterval(() => {
      let isAwaited = false;
      for (const connection of this.#open) {
        if (connection.looksLeft === null) continue;
        isAwaited = true;
        if (connection.looksLeft > 0) connection.looksLeft -= 1;
        else connection.giveUp();
      }
      if (isAwaited || this.#looking === null) return;
      clearInterval(this.#looking);
      this.#looking = null;
    }, this.#timeoutMs / looksPerTimeout);
  }

  async close(server: ByteServer, graceMs: number): Promise<void> {
    this.isClosing = true;
    server.stopListening();
    for (const connection of this.#open) connection.closeIfIdle();
    if (this.#open.size > 0 && graceMs > 0) {
      const over = Promise.withResolvers<void>();
      this.#onEmpty = over.resolve;
      const timer = setTimeout(over.resolve, graceMs);
      await over.promise;
      clearTimeout(timer);
    }
    server.close();
    if (this.#looking !== null) clearInterval(this.#looking);
  }
}

class ExchangeConnection implements ByteSocketEvents {
  readonly socket: ByteSocket;
  /** While it waits for a head: after so many more looks it is given up. */
  looksLeft: number | null = null;
  readonly #handler: ExchangeHandler;
  readonly #connections: Connections;
  /** The beginning of a head, or what came before its turn. */
  #received: Buffer = noBytes;
  #current: CurrentExchange | null = null;
  #taken: ByteSocketEvents | null = null;
  #isReading = false;
  #peer: Peer | null = null;
  /** Clients repeat themselves: a head that comes again, byte for byte, is not parsed again. */
  #lastHead: {readonly bytes: Buffer; readonly head: RequestHead} | null = null;
  #hasServed = false;
  #isClosed = false;
  #lingerTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(socket: ByteSocket, handler: ExchangeHandler, connections: Connections) {
    this.socket = socket;
    this.#handler = handler;
    this.#connections = connections;
    connections.add(this);
  }

  /** Asked of the kernel once for each connection. */
  get peer(): Peer {
    this.#peer ??= peerOf(this.socket);
    return this.#peer;
  }

  /** The head of an answer whose body is not there at once. */
  sendLater(sink: ResponseSink): void {
    this.#connections.sendLater(sink);
  }

  get isKept(): boolean {
    return !this.#connections.isClosing;
  }

  date(): string {
    return this.#connections.date();
  }

  data(bytes: Uint8Array): void {
    if (this.#taken !== null) this.#taken.data(bytes);
    else if (this.#current === null) {
      this.#keep(bytes);
      this.#readHeads();
    } else if (!this.#current.body.isComplete) this.#feedBody(this.#current, bytes);
    else if (!this.#current.isLast) this.#keep(bytes);
  }

  drained(): void {
    if (this.#taken !== null) this.#taken.drained();
    else this.#current?.sink?.drained();
  }

  ended(): void {
    if (this.#taken !== null) {
      this.#taken.ended();
      return;
    }
    const current = this.#current;
    // Who has sent a whole body may still read; who sent none and ends has gone.
    if (current?.isSender && current.body.isComplete) {
      current.isLast = true;
      return;
    }
    current?.body.cut();
    current?.noteLeft();
    // Whoever was told may have ended the answer in its own way; otherwise nobody would ever close.
    if (!current?.sink?.isOver) this.socket.close();
  }

  closed(): void {
    this.#isClosed = true;
    this.#connections.delete(this);
    if (this.#lingerTimer !== null) clearTimeout(this.#lingerTimer);
    this.#taken?.closed();
    this.#current?.body.cut();
    this.#current?.noteLeft();
  }

  closeIfIdle(): void {
    if (this.#current === null && this.#taken === null) this.socket.close();
  }

  /** The time for a head is over. */
  giveUp(): void {
    if (this.#hasServed && this.#received.length === 0) this.socket.close();
    else this.#refuse(new AppError('REQUEST_TIMED_OUT', 'The head of the request did not come in time.'));
  }

  #keep(bytes: Uint8Array): void {
    const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#received = this.#received.length === 0 ? buffer : Buffer.concat([this.#received, buffer]);
    if (this.#current !== null && this.#received.length > maxEarlyBytes) this.socket.pause();
  }

  /** Begins with every request that is there and whose turn it is. */
  #readHeads(): void {
    // An answer that is given at once brings us here again; the loop below goes on with the next request then.
    if (this.#isReading) return;
    this.#isReading = true;
    while (this.#current === null && this.#taken === null && this.#received.length > 0) {
      if (this.#repeatsHead()) continue;
      const end = this.#received.indexOf(endOfHead);
      if (end > maxHeadBytes || (end === -1 && this.#received.length > maxHeadBytes)) {
        this.#refuse(new AppError('HEAD_TOO_LARGE', `The head is larger than ${maxHeadBytes} bytes.`));
        break;
      }
      if (end === -1) {
        if (this.#hasServed) this.#connections.awaitHead(this);
        break;
      }
      this.#readHead(end);
    }
    this.#isReading = false;
  }

  #repeatsHead(): boolean {
    const received = this.#received;
    const last = this.#lastHead;
    if (last === null || received.length < last.bytes.length) return false;
    const {length} = last.bytes;
    if (received.compare(last.bytes, 0, length, 0, length) !== 0) return false;
    this.#begins(last.head, length);
    return true;
  }

  #readHead(end: number): void {
    const received = this.#received;
    // RFC 9112 section 2.2: an empty line before a request is passed over.
    const start = received[0] === carriageReturn && received[1] === lineFeed ? 2 : 0;
    if (end < start) {
      this.#received = received.subarray(start);
      return;
    }
    let head: RequestHead;
    try {
      head = parseRequestHead(received.toString('latin1', start, end));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#refuse(error);
      return;
    }
    const length = end + endOfHead.length;
    // A copy, since what was received may be a part of something larger.
    if (start === 0 && length <= maxRepeatedBytes)
      this.#lastHead = {bytes: Buffer.from(received.subarray(0, length)), head};
    this.#begins(head, length);
  }

  /** What has come behind the head's `length` bytes is its body, or the next request. */
  #begins(head: RequestHead, length: number): void {
    const received = this.#received;
    this.looksLeft = null;
    this.#received = noBytes;
    this.#open(head, received.length === length ? noBytes : received.subarray(length));
  }

  #open(head: RequestHead, rest: Buffer): void {
    const isSender = head.framing.kind !== 'none';
    const body = isSender ? new MessageBody(this.socket, head.framing, () => current.goOn()) : noBody;
    const current = this.#begin(head, body);
    if (!isSender) this.#received = rest;
    // Also where nothing is left, since a body of length 0 is complete already.
    else if (!this.#feed(body, rest)) {
      this.#refuse(new AppError('MALFORMED_REQUEST', brokenBody));
      return;
    }
    this.#handler.handle(current);
  }

  #begin(head: RequestHead | null, body: IncomingBody): CurrentExchange {
    this.#hasServed = true;
    this.#current = new CurrentExchange(this, head ?? unreadHead, body);
    return this.#current;
  }

  /** False where the body is broken. */
  #feed(body: IncomingBody, bytes: Uint8Array): boolean {
    if (!body.feed(bytes)) return false;
    if (body.surplusBytes > 0 && !this.#current?.isLast)
      this.#keep(bytes.subarray(bytes.length - body.surplusBytes));
    return true;
  }

  #feedBody(current: CurrentExchange, bytes: Uint8Array): void {
    if (this.#feed(current.body, bytes)) {
      // The end of a body may have been the end of its exchange.
      if (this.#current === null) this.#readHeads();
    } else if (current.sink === null) {
      current.noteLeft();
      this.#refuse(new AppError('MALFORMED_REQUEST', brokenBody));
    } else if (current.sink.isOver) this.socket.close();
  }

  #refuse(error: AppError): void {
    this.looksLeft = null;
    const current = this.#current?.sink === null ? this.#current : this.#begin(null, noBody);
    current.isLast = true;
    this.#handler.refuse(error, current.respond);
  }

  /** The answer of the present exchange is out. */
  answered(isLast: boolean): void {
    if (isLast) {
      this.#linger();
      return;
    }
    this.#current = null;
    this.socket.resume();
    this.#connections.awaitNext(this);
    this.#readHeads();
  }

  /** Closing while something is unread would make the kernel throw the answer away. */
  #linger(): void {
    this.socket.finish();
    this.#current?.body.discard();
    this.#lingerTimer = setTimeout(() => this.socket.close(), lingerMs);
  }

  takeOver(accept: (socket: ByteSocket) => ByteSocketEvents): void {
    const early = this.#received;
    this.#received = noBytes;
    this.#taken = accept(this.socket);
    this.socket.resume();
    if (early.length > 0) this.#taken.data(early);
    // Who takes it over may have come too late.
    if (this.#isClosed) this.#taken.closed();
  }
}

function peerOf({remoteAddress, remotePort, localAddress, localPort}: ByteSocket): Peer {
  return {ip: remoteAddress, port: remotePort, server: {ip: localAddress, port: localPort}};
}

const noBytes = Buffer.alloc(0);
const endOfHead = Buffer.from('\r\n\r\n', 'latin1');
const carriageReturn = 0x0d;
const lineFeed = 0x0a;

type IncomingBody = Pick<MessageBody, 'isComplete' | 'surplusBytes' | 'feed' | 'discard' | 'cut'> &
  ByteSource;

const noBody: IncomingBody = {
  ...emptySource,
  isComplete: true,
  surplusBytes: 0,
  feed: () => true,
  discard() {},
  cut() {},
};

/** What stands for a head that could not be read. */
const unreadHead: RequestHead = {
  method: 'GET',
  target: '/',
  isHttp10: false,
  pairs: [],
  fields: new Map(),
  framing: {kind: 'none'},
  expectsContinue: false,
  isPersistent: false,
};

class CurrentExchange implements Exchange {
  readonly head: RequestHead;
  readonly body: IncomingBody;
  sink: ResponseSink | null = null;
  /** No other request is served behind it. */
  isLast = false;
  readonly #connection: ExchangeConnection;
  #hasGoneOn = false;
  #left = false;
  #leave: () => void = () => {};

  constructor(connection: ExchangeConnection, head: RequestHead, body: IncomingBody) {
    this.#connection = connection;
    this.head = head;
    this.body = body;
  }

  get peer(): Peer {
    return this.#connection.peer;
  }

  get connection(): object {
    return this.#connection;
  }

  get isSender(): boolean {
    return this.head.framing.kind !== 'none';
  }

  readonly respond = ({status, fields, lengthBytes, keepsConnection = false}: ResponseHead): ByteSink => {
    if (this.sink !== null) {
      this.sink.cut();
      return this.sink;
    }
    const {head, body} = this;
    const connection = this.#connection;
    const isBodyless = bodylessStatuses.includes(status);
    const goOn = status < firstErrorStatus ? this.#continueLine() : '';
    let text = `${goOn}HTTP/${head.isHttp10 ? '1.0' : '1.1'} ${status} ${reasonPhrases[status] ?? ''}\r\nDate: ${connection.date()}\r\n`;
    for (let at = 0; at + 1 < fields.length; at += 2)
      text += fieldLine(fields[at] ?? '', fields[at + 1] ?? '');
    const framing = framingOf(head, isBodyless, lengthBytes);
    if (framing === 'chunked') text += 'Transfer-Encoding: chunked\r\n';
    if (lengthBytes !== null && !isBodyless) text += `Content-Length: ${lengthBytes}\r\n`;
    // Of a body that is still coming nobody knows whether the rest of it will be read.
    this.isLast ||= !(keepsConnection && head.isPersistent && body.isComplete && connection.isKept);
    text += this.isLast ? 'Connection: close\r\n\r\n' : '\r\n';
    this.sink = new ResponseSink(this, {socket: connection.socket, framing, head: text});
    connection.sendLater(this.sink);
    return this.sink;
  };

  /** A client that waits with its body is told that it is wanted. */
  goOn(): void {
    const line = this.sink === null ? this.#continueLine() : '';
    if (line !== '') this.#connection.socket.write(Buffer.from(line, 'latin1'));
  }

  /** Empty after the first time. */
  #continueLine(): string {
    if (!this.head.expectsContinue || this.#hasGoneOn) return '';
    this.#hasGoneOn = true;
    return continueLine;
  }

  answered(): void {
    this.#connection.answered(this.isLast);
  }

  takeOver(accept: (socket: ByteSocket) => ByteSocketEvents): void {
    this.#connection.takeOver(accept);
  }

  noteLeft(): void {
    if (this.#left || this.sink?.isOver) return;
    this.#left = true;
    this.#leave();
  }

  readonly onLeft = (listener: () => void): void => {
    this.#leave = listener;
    // Gone before anybody asked.
    if (this.#left) queueMicrotask(listener);
  };
}

const firstErrorStatus = 400;
const continueLine = 'HTTP/1.1 100 Continue\r\n\r\n';
const brokenBody = 'The body does not have the framing that its head announces.';

/** They need no look at their letters. */
const usualNames: ReadonlySet<string> = new Set([
  'cache-control',
  'content-type',
  'Content-Type',
  'etag',
  'vary',
  'x-execution-id',
]);

/** Throws TypeError for what is no header. */
export function fieldLine(name: string, value: string): string {
  if (!(usualNames.has(name) || fieldName.test(name)) || notInValue.test(value))
    throw new TypeError(`${JSON.stringify(name.slice(0, 100))} is no header that can be sent.`);
  return `${name}: ${value}\r\n`;
}

function framingOf(head: RequestHead, isBodyless: boolean, lengthBytes: number | null): ResponseFraming {
  if (isBodyless || head.method === 'HEAD') return 'none';
  if (lengthBytes !== null) return 'plain';
  return head.isHttp10 ? 'until-close' : 'chunked';
}

/** Null while something waits to be written before. */
export function shortcutTo({descriptor, pendingBytes, isUnix}: ByteSocket): SinkShortcut | null {
  return pendingBytes === 0 && descriptor >= 0 ? {descriptor, isUnix} : null;
}

export const lastChunk = Buffer.from('0\r\n\r\n', 'latin1');
/** A longer piece is not worth copying. */
const maxJoinedBytes = 16 * 1024;

type ResponseFraming = 'none' | 'plain' | 'chunked' | 'until-close';

class ResponseSink implements ByteSink {
  readonly #socket: ByteSocket;
  readonly #framing: ResponseFraming;
  readonly #exchange: CurrentExchange;
  /** Goes out with the first bytes of the body if those are there at once: that is one packet less to wait for. */
  #head: string | null;
  #onDrained: () => void = () => {};
  isOver = false;

  constructor(
    exchange: CurrentExchange,
    {socket, framing, head}: {socket: ByteSocket; framing: ResponseFraming; head: string},
  ) {
    this.#exchange = exchange;
    this.#socket = socket;
    this.#framing = framing;
    this.#head = head;
  }

  get pendingBytes(): number {
    return this.#socket.pendingBytes;
  }

  write(frame: Frame): boolean {
    if (this.isOver || this.#framing === 'none') return true;
    return this.#send(this.#framing === 'chunked' ? frame.chunk : frame.payload);
  }

  #send(bytes: Uint8Array): boolean {
    const head = this.#head;
    if (head === null || bytes.length > maxJoinedBytes) {
      this.sendHead();
      return this.#socket.write(bytes);
    }
    this.#head = null;
    const joined = Buffer.allocUnsafe(head.length + bytes.length);
    joined.write(head, 'latin1');
    joined.set(bytes, head.length);
    return this.#socket.write(joined);
  }

  end(last: Frame | null = null): void {
    if (this.isOver) return;
    // A chunk without bytes is the last one.
    if (this.#framing === 'chunked')
      this.#send(last === null ? lastChunk : Buffer.concat([last.chunk, lastChunk]));
    else if (last !== null && this.#framing !== 'none') this.#send(last.payload);
    this.sendHead();
    this.isOver = true;
    this.#exchange.answered();
  }

  cut(): void {
    if (this.isOver) return;
    this.sendHead();
    this.isOver = true;
    // Where the end of the connection is the end of the body, only an error tells the difference.
    if (this.#framing === 'until-close') this.#socket.reset();
    else this.#socket.close();
  }

  sendHead(): void {
    if (this.#head === null) return;
    const head = Buffer.from(this.#head, 'latin1');
    this.#head = null;
    this.#socket.write(head);
  }

  onDrained(listener: () => void): void {
    this.#onDrained = listener;
  }

  drained(): void {
    this.#onDrained();
  }

  shortcut(): SinkShortcut | null {
    const isPlain = this.#framing !== 'chunked' && this.#head === null && !this.isOver;
    return isPlain ? shortcutTo(this.#socket) : null;
  }
}
