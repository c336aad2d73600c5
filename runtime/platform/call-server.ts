import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';

export type {IncomingMessage, ServerResponse} from 'node:http';

/** Serves plain Node requests on a unix socket; resolves when it listens. Time limits are the caller's business. */
export function serveCalls(
  socketPath: string,
  onCall: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<void> {
  const server = createServer(onCall);
  server.requestTimeout = 0;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
}
