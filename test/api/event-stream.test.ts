import test from 'ava';
import {eventStream} from '../../api/event-stream.ts';

test('a client that leaves while the source waits for it ends the source', async (t) => {
  const {promise: ended, resolve} = Promise.withResolvers<number>();
  async function* numbers() {
    let number = 0;
    try {
      for (;;) {
        number += 1;
        yield number;
      }
    } finally {
      resolve(number);
    }
  }
  const left = new AbortController();
  const print = (number: number) => `data: ${number}\n\n`;
  const reader = eventStream(numbers(), {left, print}).body?.getReader();
  t.is(new TextDecoder().decode((await reader?.read())?.value), 'data: 1\n\n');
  await reader?.cancel();
  t.true((await ended) <= 3, 'it is not read far ahead');
});

test('a client that leaves while the source waits for news ends the source', async (t) => {
  const waiting = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  async function* silence(signal: AbortSignal): AsyncGenerator<number> {
    yield 0;
    await new Promise<void>((wake) => {
      signal.addEventListener('abort', () => wake());
      waiting.resolve();
    });
    ended.resolve();
  }
  const left = new AbortController();
  const events = silence(left.signal);
  const reader = eventStream(events, {left, print: String, greeting: ': hello\n\n'}).body?.getReader();
  t.is(new TextDecoder().decode((await reader?.read())?.value), ': hello\n\n');
  t.is(new TextDecoder().decode((await reader?.read())?.value), '0');
  await waiting.promise;
  await reader?.cancel();
  await ended.promise;
});
