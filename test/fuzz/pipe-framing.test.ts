import test from 'ava';
import fc from 'fast-check';
import {openPart} from '../../runtime/pipe/multipart.ts';
import {createChunkedDecoder} from '../../runtime/platform/body-decoder.ts';
import type {SourceReader} from '../../runtime/platform/byte-flow.ts';
import {parseRequestHead} from '../../runtime/platform/request-head.ts';
import {AppError} from '../../schemas/errors.ts';
import {fuzz} from '../helpers/fuzz.ts';

interface Decoded {
  readonly content: string;
  readonly isEnded: boolean;
  readonly isBroken: boolean;
}

/** Feeds a body in pieces of these sizes, one after the other and again. */
function decode(bytes: Buffer, sizes: readonly number[]): Decoded {
  let content = '';
  let ends = 0;
  const feed = createChunkedDecoder({
    content: (part) => {
      if (ends > 0 || part.length === 0) throw new Error('content after the end, or none');
      content += Buffer.from(part).toString('latin1');
    },
    end: () => {
      ends += 1;
    },
  });
  let isBroken = false;
  for (const piece of pieces(bytes, sizes)) if (!feed(piece)) isBroken = true;
  if (ends > 1 || (ends === 1 && isBroken)) throw new Error(`${ends} ends, broken: ${isBroken}`);
  return {content, isEnded: ends === 1, isBroken};
}

function* pieces(bytes: Buffer, sizes: readonly number[]): Iterable<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield Buffer.from(bytes.subarray(at, at + size));
    at += size;
  }
}

const sizes = fc.array(fc.integer({min: 1, max: 9}), {minLength: 1, maxLength: 5});
const text = fc.stringMatching(/^[\x20-\x7e\r\n]{1,40}$/);
const chunk = fc.record({
  text,
  extension: fc.constantFrom('', ';a', ';a=b', ' ;a="b c"'),
  zeros: fc.constantFrom('', '0', '000'),
});

test('a chunked body is the same however it is cut into pieces', async (t) => {
  await fuzz(
    t,
    fc.property(
      fc.array(chunk, {maxLength: 5}),
      fc.constantFrom('', 'A: b\r\n'),
      sizes,
      (chunks, trailer, cut) => {
        const body = chunks
          .map(
            ({text: part, extension, zeros}) =>
              `${zeros}${part.length.toString(16)}${extension}\r\n${part}\r\n`,
          )
          .join('');
        const whole = Buffer.from(`${body}0\r\n${trailer}\r\n`, 'latin1');
        const {content, isEnded, isBroken} = decode(whole, cut);
        if (!isEnded || isBroken || content !== chunks.map((part) => part.text).join(''))
          throw new Error(JSON.stringify({content, isEnded, isBroken}));
        const short = decode(whole.subarray(0, -1), cut);
        if (short.isEnded) throw new Error('an end that was not sent');
      },
    ),
    {runs: 2000},
  );
});

test('hostile framing says the same in pieces as in one, and never grows', async (t) => {
  const hostile = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          '0\r\n\r\n',
          '1\r\na\r\n',
          '1\na\n',
          '-1\r\n',
          '+1\r\n',
          '0x1\r\n',
          'fffffffffffff\r\n',
          'ffffffffffffff\r\n',
          '1;\0\r\n',
          '\r\n',
          '1 \r\na\r\n',
          '1\r\nab\r\n',
          `${'0'.repeat(5000)}1\r\n`,
          '0\r\nA b\r\n\r\n',
          ' 1\r\na\r\n',
        ),
        fc.string({maxLength: 6}),
      ),
      {maxLength: 6},
    )
    .map((parts) => Buffer.from(parts.join(''), 'latin1'));
  await fuzz(
    t,
    fc.property(hostile, sizes, (bytes, cut) => {
      const whole = decode(bytes, [Math.max(1, bytes.length)]);
      const inPieces = decode(bytes, cut);
      if (JSON.stringify(whole) !== JSON.stringify(inPieces))
        throw new Error(`${JSON.stringify(whole)} ${JSON.stringify(inPieces)}`);
    }),
    {runs: 3000},
  );
});

test('a head is refused or read, and what was read holds no line break', async (t) => {
  const line = fc.oneof(
    fc.constantFrom('Host: h', 'Content-Length: 3', 'Transfer-Encoding: chunked', 'Expect: 100-continue', ''),
    fc.string({maxLength: 20, unit: 'binary'}),
  );
  await fuzz(
    t,
    fc.property(
      fc.constantFrom('GET / HTTP/1.1', 'PUT /a HTTP/1.0', 'x'),
      fc.array(line, {maxLength: 6}),
      (first, rest) => {
        try {
          const {fields, framing} = parseRequestHead([first, ...rest].join('\r\n'));
          if (fields.has('content-length') && fields.has('transfer-encoding'))
            throw new Error('two framings');
          if (framing.kind === 'length' && framing.bytes < 0) throw new Error('negative');
          for (const [name, value] of fields)
            if (/[\r\n\0]/.test(name + value)) throw new Error('a line break');
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
        }
      },
    ),
    {runs: 3000},
  );
});

test('the first file of a form comes out byte for byte, however the form is cut into pieces', async (t) => {
  const content = fc
    .array(fc.constantFrom('--b', '\r\n--', '\r\n', '\r', '\n--', 'text', '-', '--boundar'), {maxLength: 12})
    .map((parts) => parts.join(''));
  await fuzz(
    t,
    fc.property(content, content, fc.boolean(), sizes, (field, file, isWhole, cut) => {
      const form = [
        '--boundary\r\nContent-Disposition: form-data; name="note"\r\n\r\n',
        field,
        '\r\n--boundary\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\nContent-Type: text/csv\r\n\r\n',
        file,
        isWhole ? '\r\n--boundary--\r\n' : '',
      ].join('');
      const result = readForm(Buffer.from(form, 'latin1'), cut);
      const expected = isWhole ? `file text/csv ${file} end` : null;
      if (expected === null ? !result.endsWith(' cut') : result !== expected) throw new Error(result);
    }),
    {runs: 2000},
  );
});

function readForm(form: Buffer, cut: readonly number[]): string {
  let reader: SourceReader | null = null;
  let result = '';
  openPart(
    {
      start(to) {
        reader = to;
      },
      pause() {},
      resume() {},
    },
    'boundary',
    {
      found(head, source) {
        result += `file ${head.contentType} `;
        source.start({
          chunk: (bytes) => {
            result += Buffer.from(bytes).toString('latin1');
          },
          end: () => {
            result += ' end';
          },
          cut: () => {
            result += ' cut';
          },
        });
      },
      missing() {
        result += 'missing';
      },
    },
  );
  const to = reader as SourceReader | null;
  for (const piece of pieces(form, cut)) to?.chunk(piece);
  to?.end();
  return result;
}
