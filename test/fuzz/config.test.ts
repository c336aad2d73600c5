import test from 'ava';
import fc from 'fast-check';
import {parseConfig} from '../../schemas/config.ts';
import {fuzz} from '../helpers/fuzz.ts';

const scalar = fc.oneof(
  fc.constantFrom(
    '5s',
    '0',
    '-1',
    '.inf',
    '.nan',
    'null',
    '~',
    'true',
    '!!binary AAAA',
    '!!js/function x',
    '*a',
    '&a x',
    '<<',
    '"',
    '|',
    '>-',
    '{',
    ']',
    '2026-01-01',
    '0x10',
    '1e999',
  ),
  fc.string({unit: 'binary', maxLength: 12}),
);
const key = fc.oneof(
  fc.constantFrom(
    'repositories',
    'branches',
    'listen',
    'public_url',
    'undo_window',
    'drift',
    'concurrency',
    'timezone',
    'stop_grace',
    'environments',
    'previews',
    'idle',
    'pause_after',
    'remove_after',
    'lease',
    'owner_ref',
    '__proto__',
    'constructor',
    '? [a]',
    '<<',
    '&a branches',
  ),
  fc.string({maxLength: 8}),
);
const entry = fc
  .tuple(fc.constantFrom('', '  ', '    ', '- ', '  - ', '\t'), key, scalar)
  .map(([indent, name, value]) => `${indent}${name}: ${value}`);
const item = fc.tuple(fc.constantFrom('- ', '  - ', '- - '), scalar).map(([indent, value]) => indent + value);
const text = fc.array(fc.oneof(entry, item, scalar), {maxLength: 12}).map((lines) => lines.join('\n'));

test('any text is a configuration or a list of issues that point into it', async (t) => {
  await fuzz(
    t,
    fc.property(text, (written) => {
      const {config, issues} = parseConfig(written, 'branchtab.yaml');
      if (config !== null) return issues.length === 0 && config.concurrency >= 1;
      const lines = written.split('\n');
      return (
        issues.length > 0 &&
        issues.every(
          ({line, column, message}) => line >= 1 && line <= lines.length && column >= 1 && message !== '',
        )
      );
    }),
    {runs: 1500},
  );
});

test('aliases that multiply are refused and take no time', (t) => {
  const levels = Array.from(
    {length: 12},
    (_, index) =>
      `l${index}: &l${index} [${Array(10)
        .fill(index === 0 ? 'x' : `*l${index - 1}`)
        .join(', ')}]`,
  );
  const {config, issues} = parseConfig(levels.join('\n'), 'branchtab.yaml');
  t.is(config, null);
  t.true(issues.length > 0);
});
