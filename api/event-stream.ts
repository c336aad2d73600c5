/**
 * An answer of server-sent events, read on only as fast as the client does. When the client leaves, `left` is aborted
 * and `events` ended. `greeting` is sent before the first event, so that the client knows it is heard.
 */
export function eventStream<T>(
  events: AsyncIterable<T>,
  {left, print, greeting = ''}: {left: AbortController; print: (event: T) => string; greeting?: string},
): Response {
  const iterator = events[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(stream) {
      if (greeting !== '') stream.enqueue(encoder.encode(greeting));
    },
    async pull(stream) {
      const {value, done} = await iterator.next();
      if (done === true) stream.close();
      else stream.enqueue(encoder.encode(print(value)));
    },
    async cancel() {
      left.abort();
      // A source that waits for a slow client, and not for news, does not see the signal.
      await iterator.return?.();
    },
  });
  return new Response(body, {
    headers: {'content-type': 'text/event-stream', 'cache-control': 'no-store'},
  });
}
