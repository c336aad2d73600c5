import {once} from 'node:events';
import {successStatus} from '../../schemas/errors.ts';
import type {ServerResponse} from '../platform/call-server.ts';
import {notAwaited} from './run-script.ts';
import {sendBytes, sendJson, setTypeIfNone} from './script-request.ts';

/**
 * Writes what a script returned, unless it wrote the answer itself: object -> JSON, string -> text, bytes ->
 * bytes, stream or async iterable -> streamed text, `Response` -> itself, nothing -> 204; not waited for -> 202.
 */
export async function sendAnswer(response: ServerResponse, value: unknown): Promise<void> {
  if (response.headersSent || response.writableEnded) return;
  if (value === notAwaited) {
    response.statusCode = successStatus.accepted;
    response.end();
  } else if (value === undefined || value === null) {
    if (response.statusCode === successStatus.ok) response.statusCode = successStatus.noContent;
    response.end();
  } else if (value instanceof Response) {
    await sendWebResponse(response, value);
  } else if (typeof value === 'string' || value instanceof Uint8Array) {
    sendBytes(response, value);
  } else if (value instanceof ArrayBuffer) {
    sendBytes(response, new Uint8Array(value));
  } else if (value instanceof Blob) {
    await sendWebResponse(response, new Response(value));
  } else if (value instanceof ReadableStream || isAsyncIterable(value)) {
    setTypeIfNone(response, 'text/plain; charset=utf-8');
    await sendStream(response, value instanceof ReadableStream ? value : streamFrom(value));
  } else {
    sendJson(response, value);
  }
}

/** True where code of the script makes the answer while it is sent. */
export function runsOn(value: unknown): boolean {
  return value instanceof Response || value instanceof ReadableStream || isAsyncIterable(value);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<string | Uint8Array> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

function streamFrom(values: AsyncIterable<string | Uint8Array>): ReadableStream<string | Uint8Array> {
  const iterator = values[Symbol.asyncIterator]();
  return new ReadableStream(
    {
      async pull(stream) {
        const {value, done} = await iterator.next();
        if (done === true) stream.close();
        else stream.enqueue(value);
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    {highWaterMark: 0},
  );
}

async function sendWebResponse(response: ServerResponse, answer: Response): Promise<void> {
  response.statusCode = answer.status;
  for (const [name, value] of answer.headers) if (name !== 'set-cookie') response.setHeader(name, value);
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) response.setHeader('set-cookie', cookies);
  if (answer.body === null) response.end();
  else await sendStream(response, answer.body);
}

async function sendStream(response: ServerResponse, stream: ReadableStream): Promise<void> {
  const reader = stream.getReader();
  response.once('close', () => {
    // The caller has gone; a source that fails on cancel has nobody to tell.
    reader.cancel().catch(() => {});
  });
  response.flushHeaders();
  for (;;) {
    const {done, value} = await reader.read();
    if (done) break;
    if (!response.write(value)) await room(response);
  }
  response.end();
}

/** Resolves when more may be written, or nobody reads any more. */
async function room(response: ServerResponse): Promise<void> {
  const settled = new AbortController();
  const event = (name: string) => once(response, name, {signal: settled.signal});
  await Promise.race([event('drain'), event('close')]).finally(() => settled.abort());
}
