import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {compileScript} from '../../../runtime/exec/compile.ts';
import {scheduleIssues} from '../../../runtime/exec/schedule-comment.ts';
import {readScriptOptions} from '../../../runtime/exec/script-options.ts';
import type {Execution} from '../../../schemas/execution.ts';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';

const compiles = test.macro(
  async (t, {text, expect}: {text: string; expect: Partial<Awaited<ReturnType<typeof compileScript>>>}) => {
    t.like(await compileScript('a.ts', text), expect);
  },
);

test('a module is left as it is', compiles, {
  text: 'export default () => 1;\n',
  expect: {text: null, firstLineShift: 0, issue: null},
});
test('an import parts the statements around it without semicolons', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({'a.ts': "const a = Math\nimport {sep} from 'node:path'\n(1, 2);\nreturn typeof a + sep;"}),
  );
  t.is(await (await call('/a')).text(), 'object/');
});
test('a syntax error has its place', compiles, {
  text: 'const a = 1;\nconst b = ;\n',
  expect: {
    text: null,
    issue: {
      line: 2,
      column: 11,
      code: 'script_syntax',
      message: "Unexpected token. Correct the script's syntax.",
    },
  },
});
test('return beside export is told', compiles, {
  text: 'export const a = 1;\nreturn a;\n',
  expect: {
    text: null,
    issue: {
      line: 2,
      column: 1,
      code: 'script_return_and_export',
      message:
        'A script either returns its answer or exports a handler. Remove the `return` or the `export`.',
    },
  },
});

const warns = test.macro(async (t, {text, codes}: {text: string; codes: readonly [string, number][]}) => {
  const {warnings} = await compileScript('a.ts', text);
  t.deepEqual(
    warnings.map(({code, line}) => [code, line]),
    codes.map((each) => [...each]),
  );
});

test("S8: WHERE created_at >= 'today' is warned about at its line", warns, {
  text: "const db = new Database('events.db');\nreturn db.query(`SELECT 1\nFROM events WHERE created_at >= 'today'`).all();",
  codes: [['postgres_date_literal', 3]],
});
test("date('now') is fine", warns, {
  text: "return new Database('x').query(\"SELECT date('now'), date('now', '-1 day') FROM a WHERE d >= date('now')\").all();",
  codes: [],
});
test('now(), interval and casts are warned about', warns, {
  text: "import {Database} from 'bun:sqlite';\nnew Database('x').run(`DELETE FROM a WHERE d < now() - interval '1 day' AND b = c::date`);",
  codes: [
    ['postgres_now', 2],
    ['postgres_interval', 2],
    ['postgres_cast', 2],
  ],
});
test('a script without SQLite may say today', warns, {
  text: "return fetch(`https://x.example/?q=select * from a where d = 'today'`)",
  codes: [],
});
test('a comment with a bad value is warned about and left out of account', warns, {
  text: '// @timeout soon\n// @cors sometimes\n// @unknown x\nreturn 1',
  codes: [
    ['comment_value', 1],
    ['comment_value', 2],
  ],
});

test('comments count up to the first code only', (t) => {
  const options = readScriptOptions('#!/usr/bin/env bun\n// @timeout 5\n\n// words\nlet a;\n// @timeout 7\n');
  t.is(options.timeoutMs, 5);
  t.is(readScriptOptions('// @timeout unlimited').timeoutMs, null);
  t.is(readScriptOptions('// @timeout soon').timeoutMs, 30 * 60_000);
  t.deepEqual(readScriptOptions('// @token a\n// @token b').tokens, ['a', 'b']);
});

test('@schedule in a branch is an issue with the line for the crontab', (t) => {
  const text = '// @schedule 0 1 * * *\nreturn 1';
  const [issue] = scheduleIssues({path: '.hoody/exec/jobs/index.ts', text});
  t.like(issue, {file: '.hoody/exec/jobs/index.ts', line: 1, column: 4, code: 'schedule_in_script'});
  t.true(issue?.message.endsWith('0 1 * * * curl -fsS "$HOODY_EXEC_URL/jobs"'));
});

test('a warning stands in the record of a call', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'a.ts':
        "const d = new Database(':memory:');\nreturn d.query(\"SELECT 1 WHERE '2026' > 'today'\").all();",
    }),
  );
  const {warnings} = recordOf(await call('/a'), await exec.executions());
  t.like(warnings[0], {line: 2, code: 'postgres_date_literal'});
});

test('the place of an error is that of the file, in a record with its stack', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'a.ts': "import {\n  fail,\n} from './lib/fail';\nconsole.log('before');\nfail();\n",
      'lib/fail.ts': 'interface A {}\nexport const fail = () => {\n  throw new RangeError("deep");\n};\n',
    }),
  );
  const response = await call('/a');
  t.like(await response.clone().json(), {
    message: 'RangeError: deep',
    details: {file: 'lib/fail.ts', line: 3, column: 13},
  });
  // Output comes on a way of its own, and may be behind the answer.
  let record = recordOf(response, await exec.executions());
  while (record.stdout === '') {
    await Bun.sleep(5);
    record = recordOf(response, await exec.executions());
  }
  const {error, stdout, status} = record;
  t.is(status, 'failed');
  t.is(stdout, 'before\n');
  t.regex(error?.stack ?? '', /^RangeError: deep\n {4}at lib\/fail\.ts:3:\d+\n {4}at a\.ts:5:\d+$/);
});

test('what only Bun finds wrong has its place too', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf({'a.ts': 'const a = 1;\nconst a = 2;\nreturn a;\n'}));
  t.like(await (await call('/a')).json(), {code: 'SCRIPT_FAILED', details: {file: 'a.ts', line: 2}});
});

test('a text that brings the parser down is one failed call, and the next script is parsed', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf({'deep.ts': `return ${'`${'.repeat(100_000)}`, 'b.ts': 'return 2'}));
  const [deep, b] = await Promise.all([call('/deep'), call('/b')]);
  t.is(deep.status, 500);
  t.like(await deep.json(), {code: 'SCRIPT_FAILED', details: {file: 'deep.ts'}});
  t.is(await b.text(), '2');
});

test('a script is parsed once for its text, whatever it is called', async (t) => {
  const {exec, call, directory} = await execWorld(t);
  await exec.deploy(deploymentOf({'a.ts': 'return 1', 'b.ts': 'return 1', 'c.ts': 'return 3'}));
  for (const path of ['/a', '/b', '/a', '/c']) await call(path);
  t.is((await readdir(join(directory, 'exec/scripts/.cache'))).length, 2);
});

test('a script among ten thousand is found, and a script of 5 MB runs', async (t) => {
  const {exec, call} = await execWorld(t);
  const scripts = Object.fromEntries(
    Array.from({length: 9999}, (_, index) => [`d${index % 100}/s${index}.ts`, 'return metadata.path']),
  );
  const large = `const data = '${'x'.repeat(5_000_000)}';\nreturn data.length;`;
  await exec.deploy(deploymentOf({...scripts, 'large.ts': large}));
  t.is(await (await call('/d7/s5507')).text(), '/d7/s5507');
  t.is(await (await call('/large')).text(), '5000000');
});

function recordOf(response: Response, executions: {get(id: string): Execution}): Execution {
  return executions.get(response.headers.get('x-execution-id') ?? '');
}
