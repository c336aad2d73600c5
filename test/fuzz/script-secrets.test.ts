import test from 'ava';
import fc from 'fast-check';
import {isSecretComment, listMagicComments} from '../../runtime/exec/magic-comments.ts';
import {redactSecrets, restoreSecrets} from '../../runtime/exec/script-secrets.ts';
import {fuzz} from '../helpers/fuzz.ts';

const line = fc.oneof(
  fc
    .tuple(fc.constantFrom('token', 'ai-key', 'label', 'Token'), fc.constantFrom(' ', '\t ', '  '))
    .chain(([name, gap]) =>
      fc
        .string({unit: fc.constantFrom('s', '@', '/', ' ', '$', '&', '\r', 'é', '\u2028'), maxLength: 8})
        .map((value) => `//${gap}@${name}${gap}${value}`),
    ),
  fc.constantFrom('', '#!/usr/bin/env bun', '// words', 'return 1;', '  // @token indented', '//@token'),
);
const script = fc
  .tuple(fc.array(line, {maxLength: 8}), fc.constantFrom('\n', '\r\n'))
  .map(([lines, newline]) => lines.join(newline));

test('a text that is read with its tokens hidden and written back says what it said', async (t) => {
  await fuzz(
    t,
    fc.property(script, (text) => {
      const shown = redactSecrets(text);
      const hidden = listMagicComments(shown).filter(({name}) => isSecretComment(name));
      if (hidden.some(({value}) => value !== '[REDACTED]')) return false;
      const restored = restoreSecrets('a.ts', shown, text);
      const said = (of: string) => listMagicComments(of).map(({name, value, line: at}) => [at, name, value]);
      const code = (of: string) => of.split('\n').filter((row) => !row.includes('@'));
      return JSON.stringify([said(restored), code(restored)]) === JSON.stringify([said(text), code(text)]);
    }),
    {runs: 1000},
  );
});
