import test from 'ava';
import {checkScript} from '../../../runtime/platform/script-check.ts';

const path = '.hoody/exec/a.ts';

test('a script with imports, types, await and return is fine', async (t) => {
  const text = `import type {A} from './a';\nimport {b} from './b';\nconst a: A = await b();\nreturn {a};\n`;
  t.deepEqual(await checkScript({path, text}), []);
});

test('a syntax error has file, line and column', async (t) => {
  const [issue] = await checkScript({path, text: '// é𝄞\nconst a = ;\n'});
  t.like(issue, {file: path, line: 2, column: 11, code: 'script_syntax'});
});

test('return beside export is an issue at the return', async (t) => {
  const [issue] = await checkScript({path, text: 'export const a = 1;\n  return a;\n'});
  t.like(issue, {line: 2, column: 3, code: 'script_return_and_export'});
});
