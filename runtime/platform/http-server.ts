import {chmod, rm} from 'node:fs/promises';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {createServer as createTlsServer} from 'node:https';
import {getRequestListener} from '@hono/node-server';
import type {Certificate} from './certificate.ts';
import {isErrno} from './durable-file.ts';
import type {ListenAddress} from './listen-address.ts';
import {listenProblem} from './listen-problem.ts';
import {createUpgradeSocket, plainResponse, type UpgradeSocket} from './upgrade-socket.ts';

export interface HttpServer {
  /** `http://host:port`, or `https://`, with the port that was bound, or `unix:<path>`. */
  readonly url: string;
  /** Takes no more connections; requests in flight have `graceMs` to end, then their connections are cut. */
  close(options: {graceMs: number}): Promise<void>;
}

/** `clientIp` is empty on a unix socket; `target` is the request target as it came over the wire. */
export type Fetch = (request: Request, from: {clientIp: string; target: string}) => Promise<Response>;

export interface ServeOptions {
  /** Where the port may not be bound, take another one of the same host. */
  readonly fallbackPort?: boolean;
  /** Sees every request first, untouched; true means that it answers. */
  readonly intercept?: (incoming: IncomingMessage, outgoing: ServerResponse) => boolean;
  /** Serves HTTPS with it. */
  readonly certificate?: Certificate;
  /** Takes over a connection whose client asks for websockets; any other protocol is not taken, and the request a plain one. */
  readonly upgrade?: (incoming: IncomingMessage, socket: UpgradeSocket) => void;
}

/**
 * Serves `fetch` until closed. A unix socket is made with mode 0600. Throws AppError ADDRESS_IN_USE, and
 * CONFIG_INVALID where this host has no such address or does not allow it.
 */
export async function serveHttp(
  address: ListenAddress,
  fetch: Fetch,
  {fallbackPort = false, intercept = () => false, certificate, upgrade}: ServeOptions = {},
): Promise<HttpServer> {
  const answer = getRequestListener(
    (request, {incoming}) =>
      fetch(request, {clientIp: incoming.socket.remoteAddress ?? '', target: incoming.url ?? '/'}),
    {overrideGlobalObjects: false},
  );
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (!intercept(incoming, outgoing)) void answer(incoming, outgoing);
  };
  const settings = {keepAlive: true, headersTimeout: 60_000};
  const server =
    certificate === undefined
      ? createServer(settings, listener)
      : createTlsServer({...settings, cert: certificate.certificate, key: certificate.key}, listener);
  if (upgrade !== undefined) {
    server.on('upgrade', (incoming, socket, head) => {
      if (asksForWebsocket(incoming)) upgrade(incoming, createUpgradeSocket(incoming, socket, head));
      else server.emit('request', incoming, plainResponse(incoming, socket));
    });
  }
  // A request body may arrive as slowly as its sender likes.
  server.requestTimeout = 0;
  if (address.kind === 'unix') {
    // A socket file outlives its process; whether another runtime is alive is decided by the data directory's lock.
    await rm(address.path, {force: true});
    await listen(server, {path: address.path});
    await chmod(address.path, 0o600);
  } else {
    await listenTcp(server, address, fallbackPort);
  }
  return {
    url: urlOf(server, address, certificate === undefined ? 'http' : 'https'),
    close: ({graceMs}) => close(server, graceMs),
  };
}

/** RFC 6455 section 4.2.1. */
function asksForWebsocket({method, headers}: IncomingMessage): boolean {
  const isAsked = method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';
  return isAsked && headers['sec-websocket-key'] !== undefined && headers['sec-websocket-version'] === '13';
}

async function listenTcp(
  server: Server,
  {host, port}: {host: string; port: number},
  fallbackPort: boolean,
): Promise<void> {
  try {
    await listen(server, {host, port});
  } catch (error) {
    if (fallbackPort && (isErrno(error, 'EACCES') || isErrno(error, 'EADDRINUSE'))) {
      await listen(server, {host, port: 0});
      return;
    }
    throw listenProblem({kind: 'tcp', host, port}, error);
  }
}

function listen(server: Server, options: {path: string} | {host: string; port: number}): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function urlOf(server: Server, address: ListenAddress, scheme: 'http' | 'https'): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : address.port;
  return `${scheme}://${address.host.includes(':') ? `[${address.host}]` : address.host}:${port}`;
}

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      server.closeAllConnections();
      // Bun may take seconds to report connections that were kept open as closed.
      resolve();
    }, graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
