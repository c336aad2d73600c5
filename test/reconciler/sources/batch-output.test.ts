import test from 'ava';
import fc from 'fast-check';
import {
  type BatchMode,
  createBatchParser,
  type ObjectReply,
} from '../../../reconciler/sources/batch-output.ts';

const id = 'a'.repeat(40);

function parseAll(chunks: readonly Uint8Array[], limits: readonly number[], mode: BatchMode = 'contents') {
  const replies: ObjectReply[] = [];
  let abandoned = 0;
  const feed = createBatchParser({
    mode,
    maxBytes: () => limits[replies.length] ?? null,
    onReply: (reply) => replies.push(reply),
    onAbandon: () => {
      abandoned += 1;
    },
  });
  for (const chunk of chunks) feed(chunk);
  return {replies, abandoned};
}

test('answers come out the same however the bytes are cut', (t) => {
  const property = fc.property(
    fc.array(fc.uint8Array({maxLength: 40}), {maxLength: 6}),
    fc.array(fc.integer({min: 1, max: 30}), {minLength: 1, maxLength: 50}),
    (objects, cuts) => {
      const stream = Buffer.concat(
        objects.flatMap((bytes) => [
          Buffer.from(`${id} blob ${bytes.length}\n`),
          bytes,
          Buffer.from('\nx:y missing\n'),
        ]),
      );
      const chunks: Uint8Array[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn += 1) {
        const size = cuts[turn % cuts.length] ?? 1;
        chunks.push(stream.subarray(at, at + size));
        at += size;
      }
      const {replies} = parseAll(chunks, Array(objects.length * 2).fill(100));
      t.deepEqual(
        replies,
        objects.flatMap((bytes): ObjectReply[] => [
          {found: true, id, type: 'blob', sizeBytes: bytes.length, bytes: new Uint8Array(bytes)},
          {found: false},
        ]),
      );
    },
  );
  t.notThrows(() => fc.assert(property));
});

test('an object above the limit is read past and the next one is right', (t) => {
  const stream = Buffer.from(`${id} blob 5\n12345\n${id} blob 2\nok\n`);
  const {replies, abandoned} = parseAll([stream], [4, 4]);
  t.deepEqual(replies[0], {found: true, id, type: 'blob', sizeBytes: 5, bytes: null});
  t.like(replies[1], {found: true, bytes: new Uint8Array(Buffer.from('ok'))});
  t.is(abandoned, 0);
});

test('sizes come without contents', (t) => {
  const {replies} = parseAll([Buffer.from(`${id} blob 5\nx missing\n${id} tree 2\n`)], [0, 0, 0], 'sizes');
  t.deepEqual(replies, [
    {found: true, id, type: 'blob', sizeBytes: 5, bytes: null},
    {found: false},
    {found: true, id, type: 'tree', sizeBytes: 2, bytes: null},
  ]);
});

test('a huge object is answered from its header and the process given up', (t) => {
  const {replies, abandoned} = parseAll([Buffer.from(`${id} blob 5000000000\nxxxx`)], [4]);
  t.deepEqual(replies, [{found: true, id, type: 'blob', sizeBytes: 5_000_000_000, bytes: null}]);
  t.is(abandoned, 1);
});

for (const [title, text] of [
  ['an unknown line', 'hello\n'],
  ['a negative size', `${id} blob -1\n`],
  ['a header without end', 'x'.repeat(9000)],
  ['an answer nobody asked for', `${id} blob 0\n\n${id} blob 0\n\n`],
] as const) {
  test(`${title} is an error`, (t) => {
    t.throws(() => parseAll([Buffer.from(text)], [10]), {message: /git cat-file/});
  });
}
