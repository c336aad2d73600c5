import test from 'ava';
import * as z from 'zod';
import {execHttp} from '../helpers/exec-http.ts';

/** What the public client's types promise of the management of scripts, written anew: every field, with its kind. */
const text = z.string();
const count = z.int();
const time = z.iso.datetime();
const lines = z.array(text);
const comments = z.record(text, text);
const issues = z.array(z.looseObject({line: count, column: count, message: text}));
const metrics = z.looseObject({calls: count});
const route = z.looseObject({
  matched: z.boolean(),
  path: text,
  hostname: text.nullable(),
  execId: text,
  triedDirectories: lines,
});

type Call = readonly [method: string, path: string, body: unknown, answer: z.ZodType];

const calls: readonly Call[] = [
  [
    'POST',
    'scripts/write',
    {
      path: 'tick.ts',
      content: '// @schedule @daily\nconsole.log("tick"); return 1',
      createDirs: true,
      validate: true,
    },
    z.looseObject({
      path: z.literal('tick.ts'),
      resolvedPath: text,
      created: z.literal(true),
      updated: z.literal(false),
      size: count,
      modified: time,
      validated: z.literal(true),
      schedule: z.looseObject({action: z.literal('registered')}),
    }),
  ],
  [
    'GET',
    'scripts/read?path=tick.ts&execId=1&subdomain=default',
    undefined,
    z.looseObject({
      path: text,
      resolvedPath: text,
      content: text,
      magicComments: comments.nullable(),
      metadata: z.looseObject({
        size: count,
        created: time,
        modified: time,
        isDirectory: z.literal(false),
        extension: z.literal('.ts'),
      }),
    }),
  ],
  [
    'GET',
    'scripts/list?dir=&filter=t&metadata=true&mode=serverless&enabled=true&websocket=false&recursive=true&include_comments=true&exhaustive=true&remote=false',
    undefined,
    z.looseObject({
      directory: text,
      count: z.literal(1),
      recursive: z.literal(true),
      filters: z.looseObject({filter: text}),
      scripts: z.tuple([z.looseObject({name: text, path: text, isDirectory: z.boolean()})]),
    }),
  ],
  [
    'POST',
    'scripts/tree',
    {includeMetadata: true},
    z.looseObject({baseDir: z.literal(''), tree: z.array(z.looseObject({path: text}))}),
  ],
  [
    'POST',
    'scripts/move',
    {from: 'tick.ts', to: 'tock.ts', overwrite: false},
    z.looseObject({
      moved: z.literal(true),
      from: text,
      to: text,
      resolvedFrom: text,
      resolvedTo: text,
      size: count,
    }),
  ],
  ['GET', '../../../tock', undefined, z.literal(1)],
  [
    'GET',
    'logs/list?limit=10',
    undefined,
    z.looseObject({logs: z.array(z.looseObject({name: text, size: count, modified: time})), count}),
  ],
  [
    'POST',
    'logs/read',
    {file: 'access/access.log', lines: 5, tail: true, search: 'tock'},
    z.looseObject({
      file: text,
      totalLines: count,
      filteredLines: count,
      returnedLines: count,
      lines,
      size: count,
      modified: time,
    }),
  ],
  [
    'POST',
    'logs/search',
    {query: 'tick', limit: 10, caseSensitive: false},
    z.looseObject({count: z.int().min(1)}),
  ],
  ['DELETE', 'logs/clear?type=cron&confirm=true', undefined, z.looseObject({cleared: count})],
  [
    'GET',
    'monitor/stats',
    undefined,
    z.looseObject({
      uptime: z.number(),
      memory: z.looseObject({rss: count}),
      cache: z.looseObject({}),
      requests: z.looseObject({
        total: z.literal(1),
        success: z.literal(1),
        errors: z.literal(0),
        activeHttp: z.literal(0),
      }),
      websocket: z.looseObject({}),
      cron: z.looseObject({}),
    }),
  ],
  [
    'GET',
    'monitor/active-requests',
    undefined,
    z.looseObject({count: z.literal(0), active: z.array(z.never())}),
  ],
  ['GET', 'monitor/scripts?limit=500&sort=errors', undefined, z.looseObject({scripts: z.array(metrics)})],
  ['POST', 'monitor/script-performance', {scriptPath: 'tock.ts'}, z.looseObject({metrics})],
  ['POST', 'monitor/script-performance', {}, z.strictObject({metrics: z.strictObject({})})],
  [
    'GET',
    'schedules/list',
    undefined,
    z.looseObject({schedules: z.tuple([z.looseObject({scriptPath: text, nextRun: time})])}),
  ],
  ['POST', 'schedules/reload', {dry_run: true}, z.looseObject({added: lines, kept: lines, removed: lines})],
  [
    'POST',
    'schedules/trigger',
    {scriptPath: 'tock.ts', force: false},
    z.looseObject({
      triggered: z.literal(true),
      scriptPath: text,
      runId: text,
      status: z.literal('success'),
      durationMs: z.number(),
    }),
  ],
  [
    'GET',
    'schedules/history?scriptPath=tock.ts&since=2020-01-01T00:00:00Z&limit=1000&includeRotated=true',
    undefined,
    z.looseObject({runs: z.array(z.looseObject({runId: text}))}),
  ],
  [
    'POST',
    'validate/script',
    {code: '// @label x\nreturn {ok: true}'},
    z.looseObject({
      valid: z.literal(true),
      results: z.looseObject({
        syntax: z.looseObject({valid: z.literal(true), errors: issues}),
        typescript: z.looseObject({valid: z.literal(true), errors: issues, typesChecked: z.literal(false)}),
        dependencies: z.looseObject({valid: z.literal(true), missing: lines}),
        magicComments: comments,
        magicCommentWarnings: lines,
        normalized: text,
        transformations: lines,
      }),
      message: text,
    }),
  ],
  ...['syntax', 'typescript', 'dependencies', 'magic-comments', 'return-type'].map(
    (what): Call => ['POST', `validate/${what}`, {code: 'return 1'}, z.looseObject({valid: z.literal(true)})],
  ),
  [
    'GET',
    'magic-comments/schema',
    undefined,
    z.looseObject({comments: z.array(z.looseObject({name: text}))}),
  ],
  [
    'GET',
    'magic-comments/read?path=tock.ts',
    undefined,
    z.looseObject({path: text, magicComments: comments}),
  ],
  [
    'PUT',
    'magic-comments/update',
    {path: 'tock.ts', comments: {label: 'a'}, dry_run: true},
    z.looseObject({path: text, magicComments: comments}),
  ],
  [
    'POST',
    'magic-comments/bulk-update',
    {paths: ['tock.ts'], comments: {label: 'b'}},
    z.looseObject({updated: z.literal(1)}),
  ],
  [
    'POST',
    'route/resolve',
    {path: '/tock', hostname: 'x', execId: '1'},
    route.extend({matched: z.literal(true)}),
  ],
  [
    'POST',
    'route/discover',
    {baseDir: '', includeMetadata: true},
    z.looseObject({routes: z.array(z.looseObject({path: text}))}),
  ],
  ['POST', 'route/test', {paths: ['/tock', '/none']}, z.looseObject({results: z.tuple([route, route])})],
  [
    'POST',
    'shared-state/set',
    {hostname: 'x', path: 'a', value: {b: 1}, merge: false},
    z.looseObject({value: z.looseObject({b: z.literal(1)})}),
  ],
  ['POST', 'shared-state/get', {hostname: 'x', path: 'a.b'}, z.looseObject({value: z.literal(1)})],
  ['POST', 'shared-state/clear', {hostname: 'x', clearAll: true}, z.looseObject({})],
  [
    'POST',
    'cache/clear',
    {clearAll: true, clearVm: true, clearState: false},
    z.looseObject({cleared: z.literal(true)}),
  ],
  [
    'POST',
    'system/restart',
    {graceful: true, drainTimeoutMs: 5000, reason: 'deploy'},
    z.looseObject({restarting: z.boolean()}),
  ],
  [
    'GET',
    'system/restart-status',
    undefined,
    z.looseObject({lastRestart: z.looseObject({reason: z.literal('deploy')})}),
  ],
  [
    'GET',
    'health',
    undefined,
    z.strictObject({
      status: z.literal('ok'),
      service: z.literal('exec'),
      started: text,
      pid: count,
      ip: text,
      fds: count.nullable(),
      built: text.nullable(),
      userAgent: text.nullable(),
      memory: z.looseObject({}).nullable(),
    }),
  ],
  ['GET', 'list', undefined, z.looseObject({execIds: z.tuple([z.literal('1')])})],
  ['GET', 'openapi.json', undefined, z.looseObject({openapi: text})],
  ['GET', 'dependencies/bundled', undefined, z.looseObject({modules: lines})],
  [
    'POST',
    'dependencies/check',
    {code: 'import "none"'},
    z.looseObject({missing: z.tuple([z.literal('none')])}),
  ],
  ['GET', 'package/read', undefined, z.looseObject({packageJson: z.null()})],
  [
    'DELETE',
    'scripts/delete?path=tock.ts&confirm=true',
    undefined,
    z.looseObject({deleted: z.literal(true), path: text, resolvedPath: text, size: count}),
  ],
];

test('every route of script management answers in the shape of the public client', async (t) => {
  const {json} = await execHttp(t);
  for (const [method, path, body, answer] of calls) {
    const {status, body: got} = await json(
      method,
      new URL(path, 'http://x/api/v1/exec/').href.slice(8),
      body,
    );
    t.true(status === 200 || status === 202, `${method} ${path}: ${status} ${JSON.stringify(got)}`);
    const parsed = answer.safeParse(got);
    t.true(parsed.success, `${method} ${path}: ${parsed.error?.message} in ${JSON.stringify(got)}`);
  }
});

const refusals: readonly (readonly [
  method: string,
  path: string,
  body: unknown,
  status: number,
  message: RegExp,
])[] = [
  ['POST', 'scripts/write', {path: 'a.ts', content: 'return {'}, 400, /^Script validation failed$/],
  ['POST', 'scripts/write', {path: 'a.json', content: '{'}, 400, /^Invalid JSON$/],
  ['POST', 'scripts/write', {path: 'here.ts', content: '', ifNotExists: true}, 409, /here\.ts exists/],
  ['POST', 'scripts/write', {path: 'node_modules/a.ts', content: ''}, 403, /^Path is excluded from access$/],
  ['POST', 'scripts/write?execId=a-b', {path: 'a.ts', content: ''}, 400, /no hyphen/],
  ['GET', 'scripts/read?path=none.ts', undefined, 404, /none\.ts/],
  ['DELETE', 'scripts/delete?path=here.ts', undefined, 400, /^confirm=true parameter required for safety$/],
  [
    'DELETE',
    'scripts/delete?path=here.ts&confirm=1',
    undefined,
    400,
    /^confirm=true parameter required for safety$/,
  ],
  ['DELETE', 'scripts/delete?path=none.ts&confirm=true', undefined, 404, /none\.ts/],
  ['POST', 'scripts/move', {from: 'none.ts', to: 'b.ts'}, 404, /none\.ts/],
  ['POST', 'scripts/move', {from: 'here.ts', to: 'there.ts'}, 409, /there\.ts exists/],
  ['POST', 'logs/read', {file: 'access/access.log', lines: 10_001}, 400, /lines/],
  ['POST', 'logs/search', {regex: 'x'.repeat(65)}, 400, /regex/],
  ['DELETE', 'logs/clear?type=access', undefined, 400, /^confirm=true parameter required for safety$/],
  ['DELETE', 'logs/clear?type=executions&confirm=true', undefined, 501, /records/],
  ['GET', 'monitor/scripts?limit=501', undefined, 400, /1 to 500/],
  ['GET', 'schedules/history?limit=1001', undefined, 400, /1 to 1000/],
  ['POST', 'schedules/trigger', {scriptPath: 'here.ts'}, 404, /no @schedule/],
  ['POST', 'cache/clear', {}, 400, /clearAll/],
  ['POST', 'cache/clear', {clearAll: true, scriptPath: 'here.ts'}, 400, /scriptPath/],
  ['POST', 'shared-state/get', {path: 'a'}, 400, /hostname/],
  ...['templates/list', 'user-openapi/spec?format=json', 'sdk/list', 'sdk-types'].map(
    (path) => ['GET', path, undefined, 501, /./] as const,
  ),
  ['POST', 'templates/generate', {}, 501, /repository/],
  ['DELETE', 'sdk/1', undefined, 501, /package/],
  ['POST', 'remote/call', {}, 501, /HTTP/],
];

test('every refusal of script management has the status and the words of the contract', async (t) => {
  const {json} = await execHttp(t);
  for (const path of ['here.ts', 'there.ts'])
    await json('POST', '/api/v1/exec/scripts/write', {path, content: 'return 1'});
  for (const [method, path, body, status, message] of refusals) {
    const answer = await json(method, `/api/v1/exec/${path}`, body);
    t.is(answer.status, status, `${method} ${path}`);
    t.regex((answer.body as {message: string}).message, message, `${method} ${path}`);
  }
});
