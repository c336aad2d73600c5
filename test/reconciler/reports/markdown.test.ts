import test from 'ava';
import fc from 'fast-check';
import {code, linesWithin, plainLine} from '../../../reconciler/reports/markdown.ts';

const fences = fc.array(
  fc.oneof(
    fc.constantFrom('`', '``', '```', '\n', ' ', '@team', '<b>', '|', '\\', '\u202e', '\u200b'),
    fc.string({unit: 'binary'}),
  ),
  {maxLength: 20},
);

/** CommonMark: a span ends at the first run of backticks that is as long as the one it begins with. */
function closesAt(span: string): number {
  const [fence = ''] = /^`+/.exec(span) ?? [];
  for (const {index, 0: run} of span.slice(fence.length).matchAll(/`+/g))
    if (run.length === fence.length) return fence.length + index + run.length;
  return -1;
}

test('whatever the text, it is one code span on one line that ends where it should', (t) => {
  fc.assert(
    fc.property(fences, (parts) => {
      const span = code(parts.join(''));
      t.true(span.startsWith('`'));
      t.is(closesAt(span), span.length, JSON.stringify(span));
      t.notRegex(span, /[\r\n\u202e\u200b]/);
    }),
    {numRuns: 500},
  );
});

test('long texts are cut, and never in the middle of a character', (t) => {
  t.is(code('a'.repeat(300)).length, 202);
  t.true(plainLine(`${'a'.repeat(138)}😀😀`, 140).isWellFormed());
  t.is(plainLine('a\nb\u202e', 140), 'a b\ufffd');
});

test('what does not fit is counted', (t) => {
  t.deepEqual(linesWithin(['- aaaa', '- bbbb', '- cccc'], 15), ['- aaaa', '- bbbb', '- and 1 more']);
  t.deepEqual(linesWithin(['- aaaa'], 15), ['- aaaa']);
});
