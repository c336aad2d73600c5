import {mkdirSync, readdirSync, symlinkSync, writeFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import test from 'ava';
import {type ExecHttp, execHttp} from '../helpers/exec-http.ts';
import {deploymentOf} from '../helpers/exec-world.ts';

const api = '/api/v1/exec';
const write = `${api}/scripts/write`;

/** Puts packages into reach of the present scripts, as an installation does. */
function installPackages(scripts: string, packages: Readonly<Record<string, string>>): void {
  for (const [name, source] of Object.entries(packages)) {
    mkdirSync(dirname(join(scripts, 'node_modules', name)), {recursive: true});
    symlinkSync(source, join(scripts, 'node_modules', name));
  }
}

async function withCompiler(t: Parameters<typeof execHttp>[0], texts: Record<string, string> = {}) {
  const world = await execHttp(t);
  await world.exec.deploy(deploymentOf({'lib/day.ts': 'export const day: number = 1;', ...texts}));
  const {resolvedPath} = await world.exec.read('lib/day.ts');
  const scripts = resolve(resolvedPath, '../..');
  installPackages(scripts, {typescript: resolve('node_modules/typescript')});
  return {...world, scripts};
}

const typescript = (world: Pick<ExecHttp, 'json'>, code: string, path = 'api/a.ts') =>
  world.json('POST', `${api}/validate/typescript`, {code, path});

test('without a compiler nothing is said of types but that they were not checked', async (t) => {
  const {json} = await execHttp(t);
  const wrong = 'const n: number = "text";\nreturn n;';
  const {body} = await typescript({json}, wrong);
  t.like(body, {valid: true, typesChecked: false, errors: {length: 0}});
  t.regex((body as {reason: string}).reason, /^Types were not checked\..*package\.json/);
  const written = await json('POST', write, {path: 'a.ts', content: wrong, typecheck: true});
  t.like(written, {status: 200, body: {validated: true, typecheck: {checked: false}}});
  t.regex(JSON.stringify(written.body), /Types were not checked/);
  t.like((await typescript({json}, 'return {')).body, {valid: false, typesChecked: false});
});

test('with the compiler of its packages a script with wrong types is not written', async (t) => {
  const world = await withCompiler(t);
  const content = [
    "import {day, none} from '../lib/day.ts';",
    "import {Database} from 'bun:sqlite';",
    'const text: string = day;',
    'const answer = await fetch("http://x");',
    'const db = new Database("events.db");',
    'return answer.nope + metadata.query.x + db.anything;',
  ].join('\n');
  const refused = await world.json('POST', write, {path: 'api/a.ts', content, typecheck: true});
  t.is(refused.status, 400);
  t.like(refused.body, {
    code: 'SCRIPT_INVALID',
    message: 'Script validation failed',
    details: {
      validation: {
        length: 3,
        0: {file: 'api/a.ts', line: 1, column: 14, code: 'ts2305'},
        1: {line: 3, column: 7, code: 'ts2322'},
        2: {line: 6, column: 15, code: 'ts2339'},
      },
    },
  });
  t.is((await world.json('GET', `${api}/scripts/read?path=api/a.ts`)).status, 404);
  const right = "import {day} from '../lib/day.ts';\nreturn day + 1;";
  const written = await world.json('POST', `${write}?typecheck=1`, {path: 'api/a.ts', content: right});
  t.like(written, {status: 200, body: {typecheck: {checked: true, reason: null, errors: {length: 0}}}});
});

test('modules, first lines and settings of the branch are checked in their places', async (t) => {
  const strict = JSON.stringify({compilerOptions: {noUncheckedIndexedAccess: true}});
  const world = await withCompiler(t, {'tsconfig.json': strict});
  const module = 'export default (request: Request): number => request.nope;';
  t.like((await typescript(world, module)).body, {
    valid: false,
    typesChecked: true,
    errors: {length: 1, 0: {line: 1, column: 54, code: 'ts2339'}},
  });
  t.like((await typescript(world, 'const n: number = "a"; return n.toFixed().x;')).body, {
    errors: {length: 2, 0: {line: 1, column: 7}, 1: {line: 1, column: 43}},
  });
  t.like((await typescript(world, 'const list = [1];\nreturn list[3].toFixed();')).body, {
    errors: {length: 1, 0: {line: 2, column: 8}},
  });
  t.like((await typescript(world, 'return 1', 'a.js')).body, {valid: true, typesChecked: false});
  const whole = (typecheck: boolean) =>
    world.json('POST', `${api}/validate/script`, {code: module, path: 'a.ts', typecheck});
  t.like((await whole(false)).body, {valid: true, results: {typescript: {typesChecked: false}}});
  t.like((await whole(true)).body, {
    valid: false,
    message: 'Script validation failed',
    results: {syntax: {valid: true}, typescript: {typesChecked: true}},
  });
});

test('a compiler that fails or says nothing sensible has checked nothing', async (t) => {
  const world = await execHttp(t);
  await world.exec.deploy(
    deploymentOf({'a.ts': 'return 1', 'tsconfig.json': '{"compilerOptions": {"target": "ES1"}}'}),
  );
  const scripts = dirname((await world.exec.read('a.ts')).resolvedPath);
  const compiler = join(world.directory, 'typescript');
  mkdirSync(join(compiler, 'bin'), {recursive: true});
  writeFileSync(join(compiler, 'package.json'), '{"name":"typescript"}');
  installPackages(scripts, {typescript: compiler});
  for (const program of [
    'process.exit(7)',
    'console.log("broken"); process.exit(2)',
    'process.kill(process.pid, 9)',
  ]) {
    writeFileSync(join(compiler, 'bin/tsc'), program);
    t.like((await typescript(world, 'return 1')).body, {valid: true, typesChecked: false}, program);
  }
  t.deepEqual(readdirSync(join(world.directory, 'exec/packages')), []);
});

test('what is no reason to refuse a script stands in the answer to writing it', async (t) => {
  const {json, exec} = await execHttp(t);
  await exec.deploy(deploymentOf({'lib/day.ts': ''}));
  const content = [
    '// @timeout soon',
    "import {Database} from 'bun:sqlite';",
    "import {day} from './lib/day.ts';",
    "import missing from '@scope/none/part';",
    "const later = await import('./next.ts');",
    'return new Database("events.db").query("SELECT * FROM t WHERE at >= \'today\'").all();',
  ].join('\n');
  const {status, body} = await json('POST', write, {path: 'a.ts', content});
  t.is(status, 200);
  const {warnings} = body as {warnings: {line: number; column: number; code: string; message: string}[]};
  t.deepEqual(
    warnings.map(({line, code}) => [line, code]),
    [
      [1, 'comment_value'],
      [4, 'dependency_missing'],
      [5, 'dependency_missing'],
      [6, 'postgres_date_literal'],
    ],
  );
  t.regex(warnings[1]?.message ?? '', /package @scope\/none is not installed/);
  t.like((await json('POST', write, {path: 'b.ts', content: 'return 1'})).body, {warnings: {length: 0}});
  t.like((await json('POST', `${write}?validate=false`, {path: 'c.ts', content})).body, {
    validated: false,
    warnings: {length: 0},
  });
});

test('ids of the public API are taken, and refused where they could be none', async (t) => {
  const {json} = await execHttp(t);
  const script = {path: 'a.ts', content: 'return 1'};
  t.is((await json('POST', write, {...script, execId: '1', subdomain: 'default'})).status, 200);
  for (const body of [{execId: 'a-b'}, {exec_id: 'A'}, {execId: ''}]) {
    t.is((await json('POST', write, {...script, ...body})).status, 400);
    t.is((await json('POST', `${api}/scripts/tree`, body)).status, 400);
    t.is((await json('POST', `${api}/scripts/move`, {from: 'a.ts', to: 'b.ts', ...body})).status, 400);
  }
  t.is((await json('POST', `${write}?execId=a-b`, script)).status, 400);
  t.is((await json('POST', `${write}?validate=perhaps`, script)).status, 400);
});

const tokens =
  '// @token first-secret\r\n//@token   second-secret\n// @label x\nreturn "in"; // @token in code';

test('tokens are hidden where a script is read, and kept where it is written back', async (t) => {
  const {json, request} = await execHttp(t);
  t.is((await json('POST', write, {path: 'a.ts', content: tokens})).status, 200);
  const {body} = await json('GET', `${api}/scripts/read?path=a.ts`);
  const {content} = body as {content: string};
  t.is(content, '// @token [REDACTED]\r\n//@token [REDACTED]\n// @label x\nreturn "in"; // @token in code');
  t.like(body, {magicComments: {token: '[REDACTED]', label: 'x'}});
  const changed = content.replace('"in"', '"changed"');
  t.is((await json('POST', write, {path: 'a.ts', content: changed})).status, 200);
  for (const token of ['first-secret', 'second-secret'])
    t.is(await (await request('GET', '/a', undefined, {'x-token': token})).text(), 'changed');
  t.is((await request('GET', '/a', undefined, {'x-token': '[REDACTED]'})).status, 401);
  const update = {path: 'a.ts', comments: {label: 'y'}};
  t.is((await json('PUT', `${api}/magic-comments/update`, update)).status, 200);
  t.is(await (await request('GET', '/a', undefined, {'x-token': 'first-secret'})).text(), 'changed');
});

test('a hidden token is never stored as the token itself', async (t) => {
  const {json} = await execHttp(t);
  await json('POST', write, {path: 'a.ts', content: tokens});
  const placeholder = '// @token [REDACTED]\nreturn 1';
  for (const script of [
    {path: 'new.ts', content: placeholder},
    {path: 'a.ts', content: placeholder},
    {path: 'a.ts', content: placeholder, validate: false},
    {path: 'a.ts', content: `// @token [REDACTED]\n// @token [REDACTED]\n${placeholder}`},
    {path: 'a.ts', content: '// @ai-key [REDACTED]\nreturn 1'},
  ]) {
    t.like(await json('POST', write, script), {
      status: 400,
      body: {code: 'SCRIPT_INVALID', details: {validation: {0: {code: 'secret_unknown', column: 4}}}},
    });
  }
  const update = {path: 'a.ts', comments: {token: '[REDACTED]'}};
  t.is((await json('PUT', `${api}/magic-comments/update`, update)).status, 400);
  const both = '// @token [REDACTED]\n// @token third\n// @token [REDACTED]\nreturn 1';
  t.is((await json('POST', write, {path: 'a.ts', content: both})).status, 200);
  t.is((await json('POST', write, {path: 'notes.md', content: placeholder})).status, 200);
});
