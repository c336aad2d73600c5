import type {IncomingMessage, ServerResponse} from '../platform/call-server.ts';
import {streamOf} from '../platform/call-server.ts';

/** The web's view of a request. Its signal aborts when the caller leaves before the answer is complete. */
export function webRequest(request: IncomingMessage, response: ServerResponse): Request {
  const method = request.method ?? 'GET';
  const left = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) left.abort();
  });
  return new Request(`http://${request.headers.host ?? 'localhost'}${request.url ?? '/'}`, {
    method,
    headers: headerPairs(request),
    signal: left.signal,
    ...(method === 'GET' || method === 'HEAD' ? {} : bodyOf(request)),
  });
}

function headerPairs({headers}: IncomingMessage): [string, string][] {
  return Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]);
}

/** The bytes where they have been read, else the stream. */
function bodyOf(request: IncomingMessage): RequestInit {
  if ('rawBody' in request && request.rawBody instanceof Buffer)
    return {body: new Uint8Array(request.rawBody)};
  return {body: streamOf(request), duplex: 'half'} as RequestInit;
}
