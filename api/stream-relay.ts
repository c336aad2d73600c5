import {type ClientRequest, type IncomingMessage, request, type ServerResponse} from 'node:http';
import {pipeline} from 'node:stream';
import type {UpgradeSocket} from '../runtime/platform/upgrade-socket.ts';

/** A request on its way to a unix socket, and its answer on the way back. */
export interface Relayed {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly socketPath: string;
  /** Request target. */
  readonly path: string;
  /** Names and values in turns, without those that delimit the body. */
  readonly headers: readonly string[];
  readonly responseHeaders: (answer: IncomingMessage) => string[];
  /** The other side may answer before there is a body, and goes on reading it; others close when they have answered. */
  readonly answersEarly: boolean;
  /** The connection to the socket is made, or has failed. */
  readonly onConnected?: () => void;
  /** Nobody answered; nothing has been sent to the client yet. */
  readonly onUnreachable: (error: Error) => void;
}

/** Streams bodies both ways with back-pressure. An answer that breaks off, and a client that leaves, break the other side off. */
export function relay(relayed: Relayed): void {
  const {incoming, outgoing, socketPath, path, responseHeaders} = relayed;
  const framing = bodyFraming(incoming);
  // A connection of its own: what one request leaves on it never meets another.
  const upstream = request({
    agent: false,
    socketPath,
    path,
    method: incoming.method ?? 'GET',
    headers: [...relayed.headers, ...framing],
  });
  const {onConnected = () => {}} = relayed;
  upstream.once('socket', (socket) => socket.once('connect', onConnected).once('close', onConnected));
  upstream.on('response', (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, responseHeaders(answer));
    // A cut answer must not look complete to the client.
    const cut = () => void outgoing.destroy();
    if (relayed.answersEarly) {
      answer.pipe(outgoing, {end: false});
      answer.once('end', () => endAfterBody(incoming, outgoing));
      answer.once('error', cut);
      answer.once('close', () => {
        if (!answer.complete) cut();
      });
    } else {
      pipeline(answer, outgoing, (error) => {
        if (error) cut();
      });
    }
  });
  upstream.on('error', (error) => onUpstreamError(error, upstream, relayed));
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) upstream.destroy();
  });
  if (framing.length === 0) {
    // Without a body nothing is passed on: what follows on the connection is the client's next request.
    incoming.resume();
    upstream.end();
    return;
  }
  // A body without a length may begin late, and whoever reads it wants to know that it comes.
  if (relayed.answersEarly || framing[0] === 'Transfer-Encoding') upstream.flushHeaders();
  if (relayed.answersEarly) passOn(incoming, upstream);
  else
    pipeline(incoming, upstream, () => {
      // Either side's end is handled by the listeners above.
    });
}

const longestWaitMs = 2000;

/**
 * The engine closes a connection whose answer ends before its request, and a client that is still sending would lose
 * what it has not read yet.
 */
function endAfterBody(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const end = () => void outgoing.end();
  if (incoming.complete || incoming.destroyed) {
    end();
    return;
  }
  incoming.once('close', end);
  incoming.once('end', end);
  AbortSignal.timeout(longestWaitMs).addEventListener('abort', end);
}

/** As much as the pipe kit reads behind its answer. */
const mostDiscardedBytes = 64 * 1024 * 1024;

/**
 * The answer may be over before the body is. What still comes is read and thrown away then: closing while something is
 * unread would take the answer away from the client.
 */
function passOn(incoming: IncomingMessage, upstream: ClientRequest): void {
  incoming.pipe(upstream);
  incoming.on('error', () => upstream.destroy());
  incoming.once('close', () => {
    if (!incoming.complete) upstream.destroy();
  });
  upstream.once('close', () => {
    incoming.unpipe(upstream);
    let bytes = 0;
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > mostDiscardedBytes) incoming.destroy();
    });
    incoming.resume();
  });
}

/** A request for a websocket on its way to a unix socket. */
export interface RelayedUpgrade extends Pick<Relayed, 'socketPath' | 'path' | 'headers' | 'responseHeaders'> {
  readonly socket: UpgradeSocket;
  /** Nobody answered; nothing has been sent to the client yet. */
  readonly onUnreachable: (error: Error) => void;
}

/**
 * Joins a client with the websocket that the other side opens for it. Before that nothing but the request reaches
 * the other side: what a client sends at once could be read as another request there. An answer without a
 * websocket is passed on, and the connection ends with it.
 */
export function relayUpgrade(relayed: RelayedUpgrade): void {
  const {socket, socketPath, path, headers, responseHeaders} = relayed;
  let isAnswered = false;
  const upstream = request({
    agent: false,
    socketPath,
    path,
    method: 'GET',
    headers: [...headers, 'Connection', 'Upgrade', 'Upgrade', 'websocket'],
  });
  upstream.on('upgrade', (answer, other, early) => {
    isAnswered = true;
    const lines = headerPairs(responseHeaders(answer)).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${lines.join('')}\r\n`;
    void socket.joinWith(other, Buffer.concat([Buffer.from(head, 'latin1'), early]));
  });
  upstream.on('response', (answer) => {
    isAnswered = true;
    const outgoing = socket.plainly();
    outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, responseHeaders(answer));
    pipeline(answer, outgoing, (error) => {
      // A cut answer must not look complete to the client.
      if (error) outgoing.destroy();
    });
  });
  upstream.on('error', (error) => {
    if (!isAnswered) relayed.onUnreachable(error);
  });
  socket.onLeave(() => {
    if (!isAnswered) upstream.destroy();
  });
  upstream.end();
}

/** How the body is delimited, said anew whatever the method is: bytes that no header announces would be read as a second request. */
function bodyFraming(incoming: IncomingMessage): string[] {
  if (incoming.headers['transfer-encoding'] !== undefined) return ['Transfer-Encoding', 'chunked'];
  const length = incoming.headers['content-length'];
  return length === undefined ? [] : ['Content-Length', length];
}

function onUpstreamError(error: Error, upstream: ClientRequest, {outgoing, onUnreachable}: Relayed): void {
  upstream.destroy();
  if (outgoing.headersSent) outgoing.destroy();
  else onUnreachable(error);
}

export function headerPairs(raw: readonly string[]): [name: string, value: string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2)
    pairs.push([raw[index] ?? '', raw[index + 1] ?? '']);
  return pairs;
}
