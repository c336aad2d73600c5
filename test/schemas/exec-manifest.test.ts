import {parseEnv} from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import {environmentFileText, manifestSchema, parseManifest} from '../../schemas/exec-manifest.ts';

test('a manifest is version 1 and names scripts', (t) => {
  const {value, issues} = parseManifest('version: 1\nscripts:\n  - path: a\n    timeout: 90s\n', 'm.yaml');
  t.deepEqual(issues, []);
  t.deepEqual(value, {version: 1, scripts: [{path: 'a', timeout: 90_000}]});
});

test('another version is an issue at its value', (t) => {
  const {value, issues} = parseManifest('# first\nversion: 2\n', 'm.yaml');
  t.is(value, null);
  t.like(issues, {0: {file: 'm.yaml', line: 2, column: 10, code: 'value_invalid'}, length: 1});
});

test('an empty file lacks the version', (t) => {
  t.is(parseManifest('', 'm.yaml').issues.length, 1);
});

test('variables come back from their file as they were written', (t) => {
  const value = fc
    .oneof(
      fc.string({unit: 'grapheme', maxLength: 30}),
      fc.string({unit: fc.constantFrom(...'\\n\'"`# \n=$a'), maxLength: 8}),
    )
    .filter((text) => manifestSchema.safeParse({version: 1, scripts: [{path: 'a', env: {A: text}}]}).success)
    // Files are text: a lone carriage return is a line end to their reader.
    .filter((text) => !text.includes('\r'));
  const name = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/);
  fc.assert(
    fc.property(fc.dictionary(name, value, {noNullPrototype: true}), (variables) => {
      t.deepEqual({...parseEnv(environmentFileText(variables))}, variables);
    }),
    {numRuns: 300},
  );
  t.pass();
});
