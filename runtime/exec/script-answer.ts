import {successStatus} from '../../schemas/errors.ts';
import type {Reply} from './reply.ts';

/** Given by a script that was not waited for. */
export const notAwaited = Symbol('not awaited');

/**
 * Writes what a script returned, unless it wrote the answer itself: object -> JSON, string -> text, bytes ->
 * bytes, stream or async iterable -> streamed text, `Response` -> itself, nothing -> 204; not waited for -> 202.
 */
export async function sendAnswer(reply: Reply, value: unknown): Promise<void> {
  if (reply.isHeadSent) return;
  if (value === notAwaited) {
    reply.status = successStatus.accepted;
    reply.end();
  } else if (value === undefined || value === null) {
    if (reply.status === successStatus.ok) reply.status = successStatus.noContent;
    reply.end();
  } else if (typeof value === 'string' || value instanceof Uint8Array) {
    sendBytes(reply, value);
  } else if (value instanceof Response) {
    await sendWebResponse(reply, value);
  } else if (value instanceof ArrayBuffer) {
    sendBytes(reply, new Uint8Array(value));
  } else if (value instanceof Blob) {
    await sendWebResponse(reply, new Response(value));
  } else if (value instanceof ReadableStream || isAsyncIterable(value)) {
    setTypeIfNone(reply, 'text/plain; charset=utf-8');
    await sendStream(reply, value instanceof ReadableStream ? value : streamFrom(value));
  } else {
    sendJson(reply, value);
  }
}

/** True where code of the script makes the answer while it is sent. */
export function runsOn(value: unknown): boolean {
  return value instanceof Response || value instanceof ReadableStream || isAsyncIterable(value);
}

export function sendJson(reply: Reply, value: unknown): void {
  // Before the header, so that a value that is not JSON leaves the answer unwritten.
  const text = JSON.stringify(value) ?? 'null';
  setTypeIfNone(reply, 'application/json');
  reply.sendWhole(text);
}

export function sendBytes(reply: Reply, value: string | Uint8Array): void {
  setTypeIfNone(reply, typeof value === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream');
  reply.sendWhole(value);
}

function setTypeIfNone(reply: Reply, type: string): void {
  if (reply.header('content-type') === undefined) reply.setHeader('content-type', type);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<string | Uint8Array> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Asked for as it is read, so that nothing is made that nobody waits for. */
export function streamFrom<T>(values: AsyncIterable<T>): ReadableStream<T> {
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

async function sendWebResponse(reply: Reply, answer: Response): Promise<void> {
  reply.status = answer.status;
  for (const [name, value] of answer.headers) if (name !== 'set-cookie') reply.setHeader(name, value);
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) reply.setHeader('set-cookie', cookies);
  if (answer.body === null) reply.end();
  else await sendStream(reply, answer.body);
}

async function sendStream(reply: Reply, stream: ReadableStream): Promise<void> {
  const reader = stream.getReader();
  reply.onOver(() => {
    // The caller has gone; a source that fails on cancel has nobody to tell.
    reader.cancel().catch(() => {});
  });
  reply.sendHead();
  for (;;) {
    const {done, value} = await reader.read();
    if (done) break;
    if (!reply.write(value)) await new Promise<void>((resolve) => reply.onDrain(resolve));
  }
  reply.end();
}
