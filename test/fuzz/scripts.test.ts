import test from 'ava';
import fc from 'fast-check';
import {compileScript} from '../../runtime/exec/compile.ts';
import {createRouteTable} from '../../runtime/exec/routes.ts';
import {createResponseParser} from '../../runtime/platform/response-parser.ts';
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

test('an answer is read the same in whatever pieces it comes', async (t) => {
  const answer = fc.constantFrom(
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello',
    'HTTP/1.1 204 No Content\r\nx: y\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nt: u\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\nuntil the end',
    'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokand more',
    'HTTP/1.0 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  );
  const read = (chunks: readonly Buffer[]) => {
    const seen: string[] = [];
    let body = '';
    const parser = createResponseParser('GET', {
      head: (status, headers) => seen.push(`${status} ${headers.join('|')}`),
      body: (chunk) => {
        body += Buffer.from(chunk).toString();
      },
      end: () => seen.push('end'),
    });
    try {
      for (const chunk of chunks) parser.feed(chunk);
      parser.close();
    } catch (error) {
      seen.push(String(error));
    }
    return JSON.stringify([seen, body, parser.isReusable]);
  };
  await fuzz(
    t,
    fc.property(answer, fc.array(fc.nat({max: 120}), {maxLength: 6}), (text, cuts) => {
      const bytes = Buffer.from(text);
      const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
      const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
      const [whole, parts] = [read([bytes]), read(pieces)];
      if (whole !== parts) throw new Error(`${whole} and ${parts}`);
    }),
    {runs: 3000},
  );
});
