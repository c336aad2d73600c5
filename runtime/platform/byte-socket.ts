import {chmod, rm} from 'node:fs/promises';
import type {Socket, TCPSocketListener, UnixSocketListener} from 'bun';
import type {Certificate} from './certificate.ts';
import {isErrno} from './durable-file.ts';
import type {Handshakes} from './handshakes.ts';
import {lazily} from './lazily.ts';
import type {ListenAddress} from './listen-address.ts';
import {listenProblem} from './listen-problem.ts';

/** One accepted connection. After `closed` all its functions do nothing. */
export interface ByteSocket {
  /** Empty on a unix socket and of a connection that is closed. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Our end. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly pendingBytes: number;
  /** Only for what is done with it at once; negative when it is closed, and where what it carries is encrypted. */
  readonly descriptor: number;
  readonly isUnix: boolean;
  /** What the kernel does not take at once is kept; false where something is kept. */
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** FIN after all that was written. Reading goes on. */
  finish(): void;
  /** Drops what is kept, lets the kernel deliver what it has, and closes both ways. */
  close(): void;
  /** Closes so that the other side sees an error. */
  reset(): void;
}

export interface ByteSocketEvents {
  /** The bytes belong to the receiver. */
  data(bytes: Uint8Array): void;
  /** Nothing that was written is kept any more. */
  drained(): void;
  /** The other side writes no more. */
  ended(): void;
  closed(): void;
}

export interface ByteServer {
  /** `http://host:port`, or `https://`, with the port that was bound, or `unix:<path>`. */
  readonly url: string;
  /** Takes no more connections; those that are open go on. */
  stopListening(): void;
  /** Cuts what is still open. */
  close(): void;
}

/** Asked at each connection: until the first one TLS takes no room. */
export type LateCertificate = () => Promise<Certificate>;

/**
 * Serves raw connections. A unix socket is made with mode 0600. Throws AppError ADDRESS_IN_USE, and CONFIG_INVALID
 * where this host has no such address or does not allow it.
 */
export async function serveByteSockets(
  address: ListenAddress,
  accept: (socket: ByteSocket) => ByteSocketEvents,
  {
    fallbackPort = false,
    isUnpaced = false,
    certificate,
  }: {fallbackPort?: boolean; isUnpaced?: boolean; certificate?: Certificate | LateCertificate} = {},
): Promise<ByteServer> {
  const late = typeof certificate === 'function' ? secureLater(certificate, accept) : null;
  const tls =
    certificate === undefined || typeof certificate === 'function'
      ? null
      : {cert: certificate.certificate, key: certificate.key};
  const socket =
    late?.socket ?? handlersFor(accept, {isUnix: address.kind === 'unix', isEncrypted: tls !== null});
  if (address.kind === 'unix') {
    await rm(address.path, {force: true});
    const listener = listen(address, () => Bun.listen({unix: address.path, allowHalfOpen: true, socket}));
    await chmod(address.path, 0o600);
    return serverOf(listener, `unix:${address.path}`);
  }
  const {host} = address;
  const bind = (port: number): TCPSocketListener<Connection> & {readonly fd?: number} =>
    listen({...address, port}, () =>
      Bun.listen({hostname: host, port, allowHalfOpen: true, socket, ...(tls === null ? {} : {tls})}),
    );
  const listener = fallbackPort ? bindOr(bind, address.port) : bind(address.port);
  if (isUnpaced && listener.fd !== undefined && isLoopback(host)) {
    const {sendUnpaced} = await import('./unpaced-listener.ts');
    sendUnpaced(listener.fd);
  }
  const scheme = certificate === undefined ? 'http' : 'https';
  const server = serverOf(
    listener,
    `${scheme}://${host.includes(':') ? `[${host}]` : host}:${listener.port}`,
  );
  if (late === null) return server;
  return {
    ...server,
    close() {
      server.close();
      late.close();
    },
  };
}

/** Connects with a unix socket. Rejects where nobody listens there. */
export async function connectBytes(
  socketPath: string,
  accept: (socket: ByteSocket) => ByteSocketEvents,
): Promise<void> {
  const socket = handlersFor(accept, {isUnix: true, isEncrypted: false});
  await Bun.connect<Connection>({unix: socketPath, allowHalfOpen: true, socket});
}

/** A server that is known by its certificate, and asks for ours. */
export interface SecureServer {
  readonly host: string;
  readonly port: number;
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
  /** Who may have signed the server's certificate, as PEM; those of this host where it is undefined. */
  readonly authority: string | undefined;
  /** Null where the server is the wanted one. `problem` is what the engine holds against its certificate. */
  readonly judge: (problem: Error | null, fingerprint256: string) => Error | null;
}

/** Connects with a server over TLS; nothing is sent before it is judged. Rejects where nobody answers, or with the judgement. */
export async function connectSecureBytes(
  server: SecureServer,
  accept: (socket: ByteSocket) => ByteSocketEvents,
): Promise<void> {
  const {host: hostname, port, certificate: cert, key, authority: ca, judge} = server;
  const judged = Promise.withResolvers<void>();
  judged.promise.catch(() => {
    // Nobody waits for it where there is no connection.
  });
  const {open, ...handlers} = handlersFor(accept, {isUnix: false, isEncrypted: true});
  const events = onceOpen(handlers);
  const refused = new Error('the connection was closed before the server had said who it is');
  await Bun.connect<Connection | undefined>({
    hostname,
    port,
    // It is judged below, since a certificate that is known as such may be for other names.
    tls: {cert, key, ...(ca === undefined ? {} : {ca}), rejectUnauthorized: false},
    socket: {
      ...events,
      open: (raw) => raw.timeout(handshakeSeconds),
      timeout(raw) {
        judged.reject(new Error(`it did not say who it is within ${handshakeSeconds} s`));
        raw.terminate();
      },
      handshake(raw, _isGood, problem) {
        raw.timeout(0);
        const error = judge(problem, fingerprintOf(raw.getPeerCertificate()));
        if (error === null) {
          open(raw as RawSocket);
          judged.resolve();
          return;
        }
        judged.reject(error);
        raw.end();
      },
      close(raw) {
        judged.reject(refused);
        events.close(raw);
      },
      error(raw, error) {
        judged.reject(error);
        events.error(raw);
      },
    },
  });
  await judged.promise;
}

/** A connection whose two sides may still have to find out who they are. */
type EarlySocket = Socket<Connection | undefined>;

function isOpen(raw: EarlySocket): raw is Socket<Connection> {
  return raw.data !== undefined;
}

/** The same for a connection that is opened after its handshake: before that there is nobody to tell. */
function onceOpen({data, drain, end, close, error}: Omit<ReturnType<typeof handlersFor>, 'open'>) {
  return {
    data(raw: EarlySocket, bytes: Buffer) {
      if (isOpen(raw)) data(raw, bytes);
    },
    drain(raw: EarlySocket) {
      if (isOpen(raw)) drain(raw);
    },
    end(raw: EarlySocket) {
      if (isOpen(raw)) end(raw);
      else raw.end();
    },
    close(raw: EarlySocket) {
      if (isOpen(raw)) close(raw);
    },
    error(raw: EarlySocket) {
      if (isOpen(raw)) error(raw);
    },
  };
}

/** Connections that shake hands with a certificate that is asked for then. `accept` gets those that have done so. */
function secureLater(certificateOf: LateCertificate, accept: (socket: ByteSocket) => ByteSocketEvents) {
  const {open, ...handlers} = handlersFor(accept, {isUnix: false, isEncrypted: true});
  let made: Handshakes<Connection | undefined> | null = null;
  const handshakes = lazily(async () => {
    const {createHandshakes} = await import('./handshakes.ts');
    made = createHandshakes({
      events: onceOpen(handlers),
      opened: (raw: EarlySocket) => open(raw as RawSocket),
      timeoutSeconds: handshakeSeconds,
    });
    return made;
  });
  const secure = async (raw: EarlySocket) => {
    const [{begin}, certificate] = await Promise.all([handshakes(), certificateOf()]);
    begin(raw, certificate);
  };
  return {
    socket: {
      open(raw: Socket<Connection>) {
        // What comes is for the one that takes over.
        raw.pause();
        secure(raw).catch(() => raw.terminate());
      },
      // The engine asks for one of these.
      drain() {},
    },
    /** Ends them all; those of the listener itself are no longer its own. */
    close: () => made?.close(),
  };
}

function fingerprintOf(certificate: unknown): string {
  const {fingerprint256} = (certificate ?? {}) as {readonly fingerprint256?: unknown};
  return typeof fingerprint256 === 'string' ? fingerprint256 : '';
}

interface Carrier {
  readonly isUnix: boolean;
  readonly isEncrypted: boolean;
}

function handlersFor(accept: (socket: ByteSocket) => ByteSocketEvents, carrier: Carrier) {
  return {
    open(raw: RawSocket) {
      raw.data = new Connection(raw, accept, carrier);
    },
    data: (raw: Socket<Connection>, bytes: Buffer) => raw.data.events.data(bytes),
    drain: (raw: Socket<Connection>) => raw.data.flush(),
    end: (raw: Socket<Connection>) => raw.data.events.ended(),
    close: (raw: Socket<Connection>) => raw.data.onClosed(),
    error: (raw: Socket<Connection>) => raw.data.close(),
  };
}

/** Where the port is taken, or not for us, another one. */
function bindOr<T>(bind: (port: number) => T, port: number): T {
  try {
    return bind(port);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : null;
    if (isErrno(cause, 'EACCES') || isErrno(cause, 'EADDRINUSE')) return bind(0);
    throw error;
  }
}

function listen<T>(address: ListenAddress, start: () => T): T {
  try {
    return start();
  } catch (error) {
    throw listenProblem(address, error);
  }
}

type Listener = Pick<TCPSocketListener<Connection> | UnixSocketListener<Connection>, 'stop'>;

function serverOf(listener: Listener, url: string): ByteServer {
  return {url, stopListening: () => listener.stop(), close: () => listener.stop(true)};
}

/** The types of the engine do not know it yet. */
type RawSocket = Socket<Connection> & {readonly fd: number};

class Connection implements ByteSocket {
  readonly events: ByteSocketEvents;
  readonly #raw: RawSocket;
  readonly #carrier: Carrier;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #finishing = false;
  #paused = false;
  #closed = false;

  constructor(raw: RawSocket, accept: (socket: ByteSocket) => ByteSocketEvents, carrier: Carrier) {
    this.#raw = raw;
    this.#carrier = carrier;
    // Without it the kernel never tells of a peer that vanished while nothing is read from it.
    raw.setKeepAlive(true, keepAliveMs);
    this.events = accept(this);
  }

  get remoteAddress(): string {
    return this.#raw.remoteAddress ?? '';
  }

  get remotePort(): number {
    return this.#raw.remotePort ?? 0;
  }

  get localAddress(): string {
    return this.#raw.localAddress ?? '';
  }

  get localPort(): number {
    return this.#raw.localPort ?? 0;
  }

  get pendingBytes(): number {
    return this.#keptBytes;
  }

  get descriptor(): number {
    return this.#closed || this.#carrier.isEncrypted ? -1 : this.#raw.fd;
  }

  get isUnix(): boolean {
    return this.#carrier.isUnix;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    if (this.#keptBytes > 0) {
      this.#keep(bytes);
      return false;
    }
    const taken = this.#raw.write(bytes);
    if (taken < 0) this.#breakDown();
    if (taken < 0 || taken >= bytes.length) return true;
    this.#keep(bytes.subarray(taken));
    return false;
  }

  /** Of a unix socket that is paused the engine does not tell that the other side has closed; only writing shows it. */
  #breakDown(): void {
    // Later, for whoever writes is in the middle of something.
    queueMicrotask(() => this.reset());
  }

  #keep(bytes: Uint8Array): void {
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
  }

  flush(): void {
    for (let next = this.#kept[0]; next !== undefined && !this.#closed; next = this.#kept[0]) {
      const taken = this.#raw.write(next);
      if (taken < 0) {
        this.#breakDown();
        return;
      }
      this.#keptBytes -= taken;
      if (taken < next.length) {
        this.#kept[0] = next.subarray(taken);
        return;
      }
      this.#kept.shift();
    }
    if (this.#closed) return;
    if (this.#finishing) this.#raw.shutdown();
    this.events.drained();
  }

  pause(): void {
    if (this.#closed || this.#paused) return;
    this.#paused = true;
    this.#raw.pause();
  }

  resume(): void {
    if (this.#closed || !this.#paused) return;
    this.#paused = false;
    this.#raw.resume();
  }

  finish(): void {
    if (this.#closed || this.#finishing) return;
    this.#finishing = true;
    if (this.#keptBytes === 0) this.#raw.shutdown();
  }

  close(): void {
    this.#end(() => this.#raw.end());
  }

  reset(): void {
    this.#end(() => this.#raw.terminate());
  }

  #end(how: () => void): void {
    if (this.#closed) return;
    this.#kept = [];
    this.#keptBytes = 0;
    how();
  }

  onClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#kept = [];
    this.#keptBytes = 0;
    this.events.closed();
  }
}

const keepAliveMs = 15_000;
const handshakeSeconds = 30;

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.[\d.]+$/.test(host);
}
