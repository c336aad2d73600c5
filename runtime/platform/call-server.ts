import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import {Readable} from 'node:stream';

export type {IncomingMessage, ServerResponse} from 'node:http';

/** Serves plain Node requests on a unix socket; resolves when it listens. Time limits are the caller's business. */
export function serveCalls(
  socketPath: string,
  onCall: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<void> {
  const server = createServer({keepAliveTimeout: 0, headersTimeout: 0}, onCall);
  server.requestTimeout = 0;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
}

/** The body of a request as a stream of the web. */
export function streamOf(request: IncomingMessage): ReadableStream<Uint8Array> {
  return Readable.toWeb(request) as unknown as ReadableStream<Uint8Array>;
}
