import test from 'ava';
import {execHttp} from '../helpers/exec-http.ts';
import {deploymentOf} from '../helpers/exec-world.ts';

const api = '/api/v1/exec';

test('S8: a script is validated as a whole without being run', async (t) => {
  const {json} = await execHttp(t);
  const code = [
    '// @timeout soon',
    "import {Database} from 'bun:sqlite';",
    "import missing from 'no-such-package';",
    "import type {Shape} from './shape.ts';",
    'process.exit(3);',
    'new Database("a.db").run("DELETE FROM t WHERE at < \'yesterday\'");',
    'return {ok: true};',
  ].join('\n');
  const {status, body} = await json('POST', `${api}/validate/script`, {code, path: 'a.ts'});
  t.is(status, 200);
  t.like(body, {
    valid: true,
    message: 'Script is valid',
    results: {
      syntax: {valid: true, errors: {length: 0}},
      dependencies: {valid: true, missing: {length: 1, 0: 'no-such-package'}},
      magicComments: {timeout: 'soon'},
      warnings: {
        length: 3,
        0: {line: 1, code: 'comment_value'},
        1: {line: 3, code: 'dependency_missing'},
        2: {line: 6, code: 'postgres_date_literal'},
      },
      transformations: {length: 2, 0: 'imports_hoisted', 1: 'body_wrapped'},
    },
  });
  t.regex(JSON.stringify(body), /@timeout \\"soon\\" is not understood; write milliseconds/);
});

test('a syntax error has its position', async (t) => {
  const {json} = await execHttp(t);
  for (const path of ['syntax', 'typescript']) {
    t.like(await json('POST', `${api}/validate/${path}`, {code: 'const a = 1;\nreturn {'}), {
      body: {valid: false, errors: {0: {line: 2, column: 9, code: 'script_syntax'}}},
    });
  }
  t.like(await json('POST', `${api}/validate/script`, {code: 'return {'}), {
    status: 200,
    body: {valid: false, message: 'Script validation failed'},
  });
});

test('dependencies are told by what they are and whether they are here', async (t) => {
  const {json, exec} = await execHttp(t);
  await exec.deploy(deploymentOf({'lib/day.ts': 'export const day = 1'}));
  const code = [
    "import {day} from '../lib/day.ts';",
    "import {none} from '../lib/none';",
    "const fs = require('node:fs');",
    "const later = await import('@scope/name/part');",
    "// import 'comment';",
    'return `import "text"`',
  ].join('\n');
  const {body} = await json('POST', `${api}/validate/dependencies`, {code, path: 'api/a.ts'});
  t.deepEqual(body, {
    valid: true,
    dependencies: [
      {module: '../lib/day.ts', kind: 'import', line: 1, source: 'file', available: true},
      {module: '../lib/none', kind: 'import', line: 2, source: 'file', available: false},
      {module: 'node:fs', kind: 'require', line: 3, source: 'builtin', available: true},
      {module: '@scope/name/part', kind: 'dynamic', line: 4, source: 'package', available: false},
    ],
    missing: ['../lib/none', '@scope/name/part'],
  });
});

const returning = test.macro(async (t, {code, expect}: {code: string; expect: Record<string, unknown>}) => {
  const {json} = await execHttp(t);
  t.like((await json('POST', `${api}/validate/return-type`, {code})).body, {valid: true, ...expect});
});
test('the type of an object is told', returning, {
  code: 'return {ok: true}',
  expect: {form: 'body', returnType: 'object'},
});
test('every top-level return counts, one in a function does not', returning, {
  code: 'const f = () => { return 1 };\nif (f()) return [1];\nreturn `x`;',
  expect: {
    returnType: 'array | string',
    returns: [
      {line: 2, type: 'array'},
      {line: 3, type: 'string'},
    ],
  },
});
test('a script without return answers nothing', returning, {
  code: 'console.log(1)',
  expect: {form: 'body', returnType: 'undefined'},
});
test('exports by method are handlers', returning, {
  code: 'export const GET = () => new Response("x")',
  expect: {form: 'method_exports', returnType: 'handler'},
});
test('module.exports is a handler', returning, {
  code: 'module.exports = (req, res) => res.json({})',
  expect: {form: 'module_exports', returnType: 'handler'},
});

test('magic comments are read, changed and removed, and the rest of the text stays', async (t) => {
  const {json, exec} = await execHttp(t);
  const text =
    '#!/usr/bin/env bun\n// Copyright\n// @label old\n// @token secret\n\nreturn "// @label none"\n';
  await exec.deploy(deploymentOf({'a.ts': text}));
  t.like((await json('GET', `${api}/magic-comments/read?path=a.ts`)).body, {
    magicComments: {label: 'old', token: '[REDACTED]'},
  });
  const change = {path: 'a.ts', comments: {label: 'new', token: null, timeout: 5000}};
  t.like((await json('PUT', `${api}/magic-comments/update`, {...change, dry_run: true})).body, {
    updated: false,
    dryRun: true,
    magicComments: {label: 'new', timeout: '5000'},
  });
  t.is(await exec.source('a.ts'), text);
  t.like((await json('PUT', `${api}/magic-comments/update`, change)).body, {updated: true});
  t.is(
    await exec.source('a.ts'),
    '#!/usr/bin/env bun\n// @timeout 5000\n// Copyright\n// @label new\n\nreturn "// @label none"\n',
  );
});

test('a value cannot smuggle code into a script', async (t) => {
  const {json, exec} = await execHttp(t);
  await exec.deploy(deploymentOf({'a.ts': 'return 1'}));
  for (const label of ['x\nprocess.exit()', 'x\rreturn 2', 'x\u2028return 2']) {
    const answer = await json('PUT', `${api}/magic-comments/update`, {path: 'a.ts', comments: {label}});
    t.is(answer.status, 400);
  }
  const named = {path: 'a.ts', comments: {'label x\nreturn 2': 'y'}};
  t.is((await json('PUT', `${api}/magic-comments/update`, named)).status, 400);
  t.is(await exec.source('a.ts'), 'return 1');
});

test('many scripts are changed at once or not at all', async (t) => {
  const {json, exec} = await execHttp(t);
  await exec.deploy(deploymentOf({'a.ts': 'return 1', 'b.ts': '// @label x\nreturn 1', 'c.md': 'x'}));
  const bulk = (paths: string[]) =>
    json('POST', `${api}/magic-comments/bulk-update`, {paths, comments: {label: 'x'}});
  const digest = exec.digest();
  t.is((await bulk(['a.ts', 'none.ts'])).status, 404);
  t.is((await bulk(['a.ts', 'c.md'])).status, 400);
  t.is(exec.digest(), digest);
  t.like((await bulk(['a.ts', 'b.ts'])).body, {updated: 1});
  t.is(await exec.source('a.ts'), '// @label x\nreturn 1');
});

test('the catalogue says of every comment how it is written', async (t) => {
  const {json} = await execHttp(t);
  const {body} = await json('GET', `${api}/magic-comments/schema`);
  const {comments} = body as {comments: {name: string; description: string}[]};
  t.true(comments.length > 20 && comments.every(({description}) => description !== ''));
  t.like(
    comments.find(({name}) => name === 'timeout'),
    {kind: 'milliseconds', default: '1800000'},
  );
});

test('routes are resolved, tested and discovered', async (t) => {
  const {json, exec} = await execHttp(t);
  await exec.deploy(
    deploymentOf(
      {'index.ts': '', 'api/users/[id].ts': '// @label user\n', 'api/pre.ts': '', 'jobs/daily.ts': ''},
      {
        mounts: [
          {
            path: 'reports/daily',
            file: 'jobs/daily.ts',
            settings: {methods: ['GET'], description: 'One day.'},
          },
        ],
      },
    ),
  );
  t.deepEqual((await json('POST', `${api}/route/resolve`, {path: '/api/users/7', hostname: 'x.y'})).body, {
    matched: true,
    path: '/api/users/7',
    file: 'api/users/[id].ts',
    parameters: {id: '7'},
    hostname: 'x.y',
    execId: '1',
    triedDirectories: ['/api/users', '/api', '/'],
  });
  t.like((await json('POST', `${api}/route/resolve`, {path: 'none'})).body, {matched: false, file: null});
  t.like((await json('POST', `${api}/route/test`, {paths: ['/', '/reports/daily', '/.git/x', '/%']})).body, {
    results: {
      0: {file: 'index.ts'},
      1: {file: 'jobs/daily.ts'},
      2: {matched: false, code: 'PATH_EXCLUDED'},
      3: {matched: false, code: 'INVALID_QUERY'},
    },
  });
  t.deepEqual((await json('POST', `${api}/route/discover`, {includeMetadata: true})).body, {
    baseDir: '',
    count: 4,
    routes: [
      {
        path: '/api/users/[id]',
        file: 'api/users/[id].ts',
        dynamic: true,
        parameters: ['id'],
        magicComments: {label: 'user'},
      },
      {path: '/', file: 'index.ts', dynamic: false, parameters: [], magicComments: {}},
      {path: '/jobs/daily', file: 'jobs/daily.ts', dynamic: false, parameters: [], magicComments: {}},
      {
        path: '/reports/daily',
        file: 'jobs/daily.ts',
        dynamic: false,
        parameters: [],
        settings: {methods: ['GET'], description: 'One day.'},
        magicComments: {},
      },
    ],
  });
});
