import test from 'ava';
import fc from 'fast-check';
import {readServerSentEvents} from '../../api/server-sent-events.ts';
import {fuzz} from '../helpers/fuzz.ts';

async function readAll(bytes: Uint8Array, cuts: readonly number[]): Promise<{event: string; data: string}[]> {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const body = new ReadableStream<Uint8Array>({
    start(stream) {
      let from = 0;
      for (const end of [...ends, bytes.length]) {
        if (end > from) stream.enqueue(bytes.slice(from, end));
        from = end;
      }
      stream.close();
    },
  });
  const events: {event: string; data: string}[] = [];
  for await (const event of readServerSentEvents(new Response(body))) events.push(event);
  return events;
}

const cuts = fc.array(fc.nat({max: 4000}), {maxLength: 12});

test('any bytes are read, and cut anywhere they are the same events', async (t) => {
  const piece = fc.oneof(
    fc.constantFrom(
      'data:',
      'event:',
      'data: {"key":"ä"}',
      '\n',
      '\n\n',
      '\r\n',
      ':',
      'id: 1',
      'retry: x',
      '日本',
    ),
    fc.string({unit: 'binary', maxLength: 8}),
  );
  await fuzz(
    t,
    fc.asyncProperty(fc.array(piece, {maxLength: 25}), cuts, async (pieces, at) => {
      const bytes = new TextEncoder().encode(pieces.join(''));
      return JSON.stringify(await readAll(bytes, at)) === JSON.stringify(await readAll(bytes, []));
    }),
    {runs: 500},
  );
});

test('events that were written are read, comments between them left out', async (t) => {
  const word = fc
    .string({unit: 'grapheme', maxLength: 20})
    .map((text) => text.replace(/[\r\n]/g, '').replace(/^\s+/, ''));
  const event = fc.record({
    event: word,
    data: fc.array(word, {minLength: 1, maxLength: 3}).map((lines) => lines.join('\n')),
  });
  await fuzz(
    t,
    fc.asyncProperty(fc.array(event, {maxLength: 8}), cuts, fc.boolean(), async (events, at, comments) => {
      const text = events
        .map(
          ({event: name, data}) =>
            `${comments ? ': still here\n\n' : ''}event: ${name}\n${data
              .split('\n')
              .map((line) => `data: ${line}\n`)
              .join('')}\n`,
        )
        .join('');
      return JSON.stringify(await readAll(new TextEncoder().encode(text), at)) === JSON.stringify(events);
    }),
    {runs: 300},
  );
});
