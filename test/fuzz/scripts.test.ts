import test from 'ava';
import fc from 'fast-check';
import {compileScript} from '../../runtime/exec/compile.ts';
import {createRouteTable} from '../../runtime/exec/routes.ts';
import {parseScript} from '../../runtime/platform/script-parser.ts';
import {AppError} from '../../schemas/errors.ts';
import {fuzz} from '../helpers/fuzz.ts';

const piece = fc.constantFrom(
  '#!/usr/bin/env bun\n',
  '// @timeout 5\n',
  '// @token \n',
  '// @mode worker\n',
  'globalThis.x = 1;',
  'const self = global;',
  "import * as globalThis from 'g'\n",
  "import a from 'a';",
  "import {\n  b, // one\n  c as d,\n} from 'b'\n",
  "import type {T} from './t';",
  "import 'side' with {type: 'json'};",
  "import * as req from 'req'\n",
  'return',
  ' 1;',
  '\n',
  ' ',
  '/* import x from "y" */',
  '// import x from "y"',
  `\`import $\{"z"} from "q"\``,
  '"use strict";',
  'await 1;',
  'const x: number = 1;',
  'function f<T>(t: T) { return t; }',
  'class A { @dec m() {} #p = 1; }',
  'enum E { A }',
  'export const y = 1;',
  'export default () => {};',
  'export {};',
  'export = 1;',
  'module.exports = 1;',
  '/[/]`/.test("");',
  '}',
  '{',
  '})(',
  '<!-- html',
  '"\\u{110000}"',
  '𝄞',
  '\u2028',
  '\r\n',
  '\0',
  'using r = null;',
  'label: for (;;) break label;',
  'yield',
  'new.target',
  'import.meta.url;',
  'await using s = null;',
);
const scripts = fc.oneof(
  {weight: 4, arbitrary: fc.array(piece, {maxLength: 12}).map((pieces) => pieces.join(''))},
  {weight: 1, arbitrary: fc.string({unit: 'binary', maxLength: 60})},
);

test('a script that parses still parses when it is wrapped, with every line where it was', async (t) => {
  let wrapped = 0;
  await fuzz(
    t,
    fc.asyncProperty(scripts, fc.constantFrom('a.ts', 'a.js'), async (text, path) => {
      const compiled = await compileScript(path, text);
      if (compiled.text === null) return;
      wrapped += 1;
      const {errors} = await parseScript(path, compiled.text);
      if (errors.length > 0) throw new Error(`${errors[0]?.message} in ${JSON.stringify(compiled.text)}`);
      const lines = text.split('\n');
      const now = compiled.text.split('\n');
      if (now.length !== lines.length + 1) throw new Error(`${lines.length} lines became ${now.length}`);
      if (now[0]?.length !== compiled.firstLineShift + (lines[0]?.length ?? 0))
        throw new Error('line 1 moved by another length than is said');
    }),
    {runs: 3000},
  );
  t.true(wrapped > 0);
});

const segment = fc.constantFrom(
  'a',
  'b',
  'index',
  '[id]',
  '[...rest]',
  '[[...rest]]',
  '[',
  '..',
  '%2f',
  'pre',
  'é',
);
test('a route table finds the same script whatever the order of the files', async (t) => {
  const path = fc.array(segment, {minLength: 1, maxLength: 4}).map((names) => names.join('/'));
  await fuzz(
    t,
    fc.property(
      fc.uniqueArray(
        path.map((each) => `${each}.ts`),
        {maxLength: 8},
      ),
      fc.oneof(path, fc.string({maxLength: 20})),
      (files, asked) => {
        const find = (list: readonly string[]) => {
          try {
            return JSON.stringify(createRouteTable(list).find(`/${asked}`)?.file ?? null);
          } catch (error) {
            if (error instanceof AppError) return error.code;
            throw error;
          }
        };
        const [one, other] = [find(files), find(files.toReversed())];
        if (one !== other) throw new Error(`${one} and ${other}`);
      },
    ),
    {runs: 3000},
  );
});
