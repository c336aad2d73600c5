import test from 'ava';
import fc from 'fast-check';
import {linesIn} from '../../runtime/storage/line-range.ts';
import {fuzz} from '../helpers/fuzz.ts';

test('lines are those of the text, however it is cut into reads', async (t) => {
  const text = fc.string({unit: fc.constantFrom('a', 'é', '\n', '\r', ' '), maxLength: 40});
  const range = fc.tuple(fc.integer({min: 1, max: 12}), fc.integer({min: 0, max: 12}));
  await fuzz(
    t,
    fc.asyncProperty(text, range, fc.integer({min: 1, max: 7}), async (whole, [first, more], readBytes) => {
      const bytes = new TextEncoder().encode(whole);
      let at = 0;
      let isCancelled = false;
      const body = new ReadableStream<Uint8Array>(
        {
          pull(stream) {
            if (at < bytes.length) stream.enqueue(bytes.subarray(at, at + readBytes));
            at += readBytes;
            if (at >= bytes.length) stream.close();
          },
          cancel() {
            isCancelled = true;
          },
        },
        {highWaterMark: 0},
      );
      const wanted = (whole.match(/[^\n]*\n|[^\n]+$/g) ?? []).slice(first - 1, first + more).join('');
      const found = await new Response(linesIn(body, {first, last: first + more})).text();
      // A byte order mark would be dropped by `text`; none is generated.
      if (found !== wanted) throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
      return at >= bytes.length || isCancelled;
    }),
    {runs: 500},
  );
});
