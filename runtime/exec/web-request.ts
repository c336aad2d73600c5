import type {HostedExchange} from './call-server.ts';
import {joinHeaders} from './node-request.ts';
import {streamFrom} from './script-answer.ts';
import type {ParsedBody} from './script-request.ts';

/** The web's view of a request. Its signal aborts when the caller leaves before the answer is complete. */
export function webRequest(exchange: HostedExchange, parsed: ParsedBody | null): Request {
  const {call, method, headers, reply} = exchange;
  const left = new AbortController();
  reply.onOver(() => {
    if (!reply.isComplete) left.abort();
  });
  const joined = joinHeaders(headers);
  return new Request(`http://${joined.host ?? 'localhost'}${call.target}`, {
    method,
    headers: Object.entries(joined).map(([name, value]) => [name, [value].flat().join(', ')]),
    signal: left.signal,
    ...(method === 'GET' || method === 'HEAD' ? {} : bodyOf(exchange, parsed)),
  });
}

/** The bytes where they have been read, else the stream. */
function bodyOf({body}: HostedExchange, parsed: ParsedBody | null): RequestInit {
  if (parsed !== null) return {body: new Uint8Array(parsed.rawBody)};
  return body === null ? {} : ({body: streamFrom(body), duplex: 'half'} as RequestInit);
}
