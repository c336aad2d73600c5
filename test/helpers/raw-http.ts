import {connect} from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/**
 * One request in exactly these bytes, which `fetch` would correct. Resolves with what came, as latin1, when the server
 * closes or has said nothing for `quietMs`; rejects where it has said nothing at all. `endAfterWrite` closes our side
 * at once, so that a server that waits for more does not wait long.
 */
export async function sendRaw(
  port: number,
  bytes: string | Uint8Array,
  {
    host = '127.0.0.1',
    endAfterWrite = false,
    quietMs = 20_000,
  }: {host?: string; endAfterWrite?: boolean; quietMs?: number} = {},
): Promise<string> {
  const socket = connect({port, host, allowHalfOpen: true});
  socket.setTimeout(quietMs, () => socket.destroy(new Error('the server did not close')));
  if (endAfterWrite) socket.end(bytes);
  else socket.write(bytes);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of socket) chunks.push(chunk as Buffer);
  } catch (error) {
    // A server that refuses may reset the connection; what it said before counts.
    if (chunks.length === 0) throw error;
  }
  return Buffer.concat(chunks).toString('latin1');
}

/** A request with exactly these headers and this target, on a connection of its own. */
export async function rawRequest(
  url: string,
  {
    method = 'GET',
    target,
    headers = {},
    body = '',
  }: {method?: string; target: string; headers?: Readonly<Record<string, string>>; body?: string},
): Promise<RawAnswer> {
  const {hostname, port, host} = new URL(url);
  const lines = Object.entries({Host: host, ...headers}).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = body === '' ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  const text = await sendRaw(
    Number(port || 80),
    `${method} ${target} HTTP/1.1\r\n${lines.join('')}${length}Connection: close\r\n\r\n${body}`,
    {host: hostname},
  );
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...headerLines] = text.slice(0, end).split('\r\n');
  return {
    status: Number(statusLine.split(' ')[1] ?? 0),
    headers: new Map(
      headerLines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]),
    ),
    body: text.slice(end + 4),
  };
}
