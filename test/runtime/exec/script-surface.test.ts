import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';

interface Expected {
  readonly files: Readonly<Record<string, string>>;
  readonly target?: string;
  readonly init?: RequestInit;
  readonly status?: number;
  readonly type?: string | null;
  readonly json?: unknown;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string | null>>;
}

const answers = test.macro(async (t: ExecutionContext, expected: Expected) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf(expected.files));
  const response = await call(expected.target ?? '/a', expected.init);
  const text = await response.text();
  t.is(response.status, expected.status ?? 200, text);
  if (expected.json !== undefined) t.deepEqual(JSON.parse(text), expected.json);
  if (expected.text !== undefined) t.is(text, expected.text);
  if (expected.type !== undefined) t.is(response.headers.get('content-type'), expected.type);
  for (const [name, value] of Object.entries(expected.headers ?? {}))
    t.is(response.headers.get(name), value, name);
});

// Shapes.
test('an imported name, await, types and return stand in one script', answers, {
  files: {
    'a.ts': `import {
  join,
} from 'node:path';
import type {Row} from './rows.ts';
enum Kind {A = 'a'}
const row: Row = {kind: Kind.A, path: join('x', 'y')};
return await Promise.resolve(row);`,
    'rows.ts': 'export interface Row {kind: string; path: string}\n',
  },
  json: {kind: 'a', path: 'x/y'},
});
test('export default as an async function', answers, {
  files: {
    'a.ts':
      'export default async function handler(req, res, metadata, shared) { await 1; return [metadata.path, typeof shared]; }',
  },
  json: ['/a', 'object'],
});
test('module.exports as an async function', answers, {
  files: {'a.js': 'module.exports = async (req, res) => { await 1; res.json({url: req.url}); };'},
  target: '/a?b=1',
  json: {url: '/a?b=1'},
});
test('JavaScript is loaded as JavaScript', answers, {
  files: {'a.js': 'const generic = 3; return {a: generic < (4) > (5)};'},
  json: {a: false},
});
test('export default as a function', answers, {
  files: {'a.ts': 'export default function handler(req, res) { return {method: req.method}; }'},
  json: {method: 'GET'},
});
test('export default as an async arrow that uses res', answers, {
  files: {'a.ts': 'export default async (req, res) => { await 1; res.status(201).json({a: 1}); };'},
  status: 201,
  json: {a: 1},
});
test('export default with fetch, as Bun serves it', answers, {
  files: {'a.ts': 'export default {fetch: (request: Request) => new Response(new URL(request.url).search)};'},
  target: '/a?x=1',
  text: '?x=1',
});
test('module.exports as a function', answers, {
  files: {'a.js': 'module.exports = (req, res, metadata, shared) => ({query: metadata.query, shared})'},
  target: '/a?b=1',
  json: {query: {b: '1'}, shared: {}},
});
test('handlers by method get the parameters of the route', answers, {
  files: {
    'u/[id].ts':
      'export async function PUT(request: Request, {params}) { return Response.json({params, body: await request.json()}); }',
  },
  target: '/u/7',
  init: {method: 'PUT', body: '{"x":1}', headers: {'content-type': 'application/json'}},
  json: {params: {id: '7'}, body: {x: 1}},
});
test('HEAD falls back to GET', answers, {
  files: {'a.ts': 'export const GET = () => new Response("body", {headers: {"x-a": "1"}});'},
  init: {method: 'HEAD'},
  text: '',
  headers: {'x-a': '1'},
});
test('OPTIONS tells the methods', answers, {
  files: {'a.ts': 'export const POST = () => 1;'},
  init: {method: 'OPTIONS'},
  status: 204,
  headers: {allow: 'POST, OPTIONS'},
});
test('predefined names are there in a module too', answers, {
  files: {
    'a.ts':
      'export const GET = () => Response.json({q: metadata.query.b, types: [typeof Database, typeof $, typeof fs.readFileSync, typeof path.join, typeof shared]});',
  },
  target: '/a?b=2',
  json: {q: '2', types: ['function', 'function', 'function', 'function', 'object']},
});
test('predefined names can be declared by the author', answers, {
  files: {
    'a.ts': 'const req = 1, path = 2, crypto = 3, metadata = 4; return req + path + crypto + metadata;',
  },
  text: '10',
});
test('crypto of a body is that of Node', answers, {
  files: {'a.ts': 'return crypto.createHash("sha1").update("a").digest("hex");'},
  text: '86f7e437faa5a7fce15d1ddcb9eaeaea377667b8',
});

// Requiring each other.
test('a script that is a body can be required as the module that it is', answers, {
  files: {
    'a.ts':
      "const tools = require('./lib/tools.js'); const again = await import('./lib/esm.ts'); return {sum: tools.add(1, 2), esm: again.name, same: tools === require('./lib/tools.js')};",
    'lib/tools.js': 'module.exports = {add: (a, b) => a + b};',
    'lib/esm.ts': "import {three} from './three'; export const name: string = 'esm ' + three;",
    'lib/three.ts': 'export const three = 3;',
  },
  json: {sum: 3, esm: 'esm 3', same: true},
});
test('import.meta is that of the file', answers, {
  files: {'x/a.ts': 'return [import.meta.dirname.endsWith("/x"), import.meta.file, typeof __dirname];'},
  target: '/x/a',
  json: [true, 'a.ts', 'undefined'],
});

// Requests.
const whatCame =
  'return {body: req.body, raw: req.rawBody?.toString(), files: req.files?.map(({data, ...rest}) => ({...rest, text: data.toString()}))};';
test('a JSON body is parsed and kept as it came', answers, {
  files: {'a.ts': whatCame},
  init: {method: 'POST', body: '{"a":  1}', headers: {'content-type': 'application/json; charset=utf-8'}},
  json: {body: {a: 1}, raw: '{"a":  1}', files: []},
});
test('of a form field that is repeated the last value counts', answers, {
  files: {'a.ts': whatCame},
  init: {
    method: 'POST',
    body: 'a=1&b=x+y&a=2',
    headers: {'content-type': 'application/x-www-form-urlencoded'},
  },
  json: {body: {a: '2', b: 'x y'}, raw: 'a=1&b=x+y&a=2', files: []},
});
test('a multipart body has its fields in body and its files apart', answers, {
  files: {
    'a.ts':
      'return {body: req.body, files: req.files.map(({data, ...rest}) => ({...rest, text: data.toString()}))};',
  },
  init: {method: 'POST', body: form()},
  json: {
    body: {name: 'ada'},
    files: [{fieldName: 'notes', filename: 'n.txt', type: 'text/plain;charset=utf-8', size: 3, text: 'abc'}],
  },
});
test('a body of another type is bytes', answers, {
  files: {'a.ts': 'return {is: Buffer.isBuffer(req.body), text: req.body.toString()};'},
  init: {method: 'PUT', body: 'a,b', headers: {'content-type': 'text/csv'}},
  json: {is: true, text: 'a,b'},
});
test('the body of a GET is not read', answers, {
  files: {'a.ts': 'return [req.body ?? null, req.rawBody.length, req.files, req.query ?? null];'},
  target: '/a?x=1',
  json: [null, 0, [], null],
});
test('headers are in lower case, and the method and url are those of the client', answers, {
  files: {'a.ts': 'return [req.method, req.url, req.headers["x-own-name"]];'},
  target: '/a?b=%20c',
  init: {method: 'PATCH', headers: {'X-Own-Name': 'V'}},
  json: ['PATCH', '/a?b=%20c', 'V'],
});
test('with @rawBody the request is the stream itself', answers, {
  files: {
    'a.ts':
      '// @rawBody\nlet text = ""; for await (const chunk of req) text += chunk; return {text, body: req.body ?? null};',
  },
  init: {method: 'POST', body: '{"a":1}', headers: {'content-type': 'application/json'}},
  json: {text: '{"a":1}', body: null},
});
test('route parameters win over the query, of which the last value counts', answers, {
  files: {'[id].ts': 'return metadata.query;'},
  target: '/7?id=8&x=1&x=2%20y',
  json: {id: '7', x: '2 y'},
});
test('metadata tells the call', answers, {
  files: {
    'a.ts': 'const {executionId, ...rest} = metadata; return {...rest, id: executionId.length};',
  },
  target: '/a?b=1',
  json: {
    parameters: {},
    query: {b: '1'},
    method: 'GET',
    path: '/a',
    url: '/a?b=1',
    clientIp: '127.0.0.1',
    id: 36,
  },
});

// Answers.
test('a returned object with status and body is plain JSON', answers, {
  files: {'a.ts': 'return {status: 404, body: "x"};'},
  json: {status: 404, body: 'x'},
});
test('a promise is awaited', answers, {
  files: {'a.ts': 'return new Promise((resolve) => setTimeout(() => resolve({late: true}), 1));'},
  json: {late: true},
});
test('a value that is no JSON is the failure of the script', answers, {
  files: {'a.ts': 'const a = {}; a.a = a; return a;'},
  status: 500,
});
for (const [what, thrown] of [
  ['a proxy', 'new Proxy({}, {get() { throw 1; }, getPrototypeOf() { throw 1; }})'],
  ['an error', 'Object.defineProperty(new Error("x"), "message", {get() { throw 1; }})'],
] as const)
  test(`${what} that throws when it is looked at is a failure like others`, answers, {
    files: {'a.ts': `throw ${thrown};`},
    status: 500,
    json: {
      code: 'SCRIPT_FAILED',
      message: 'The script threw something that cannot be looked at.',
      details: {file: null, line: null, column: null},
    },
  });
test('res.send, headers and a status of the script’s own', answers, {
  files: {'a.ts': 'res.setHeader("x-own", "1"); res.statusCode = 299; res.send(Buffer.from("bytes"));'},
  status: 299,
  text: 'bytes',
  type: 'application/octet-stream',
  headers: {'x-own': '1'},
});
test('an async generator is streamed as text', answers, {
  files: {'a.ts': 'return (async function* () { yield "a"; await Bun.sleep(1); yield "b"; })();'},
  text: 'ab',
  type: 'text/plain; charset=utf-8',
});
test('a file is answered with its type', answers, {
  files: {'a.ts': 'await Bun.write("x.json", "{}"); return Bun.file("x.json");'},
  text: '{}',
  type: 'application/json;charset=utf-8',
});
test('a web answer keeps status and every cookie', answers, {
  files: {
    'a.ts':
      'const headers = new Headers(); headers.append("set-cookie", "a=1"); headers.append("set-cookie", "b=2"); return new Response("x", {status: 418, headers});',
  },
  status: 418,
  headers: {'set-cookie': 'a=1, b=2'},
});
test('what res was given stands whatever is returned', answers, {
  files: {
    'a.ts':
      'res.writeHead(203, {"content-type": "text/plain"}); res.write("a"); res.end("b"); return {no: 1};',
  },
  status: 203,
  text: 'ab',
});
test('@await-promises false answers at once', answers, {
  files: {'a.ts': '// @await-promises false\nawait new Promise(() => {}); return 1;'},
  status: 202,
});

// Markdown.
test('a Markdown file is served as it is', answers, {
  files: {'docs/read me.md': '# Grüße\n', 'docs/[...slug].ts': 'return metadata.parameters.slug;'},
  target: '/docs%2Fread%20me.md',
  text: '# Grüße\n',
  type: 'text/markdown; charset=utf-8',
});
test('what is no Markdown file goes to the scripts', answers, {
  files: {'docs/a.md': '#', 'docs/[...slug].ts': 'return metadata.parameters.slug;'},
  target: '/docs/b.md',
  json: ['b.md'],
});
test('a Markdown file takes no POST', answers, {
  files: {'a.md': '#'},
  target: '/a.md',
  init: {method: 'POST', body: 'x'},
  status: 404,
});
for (const target of [
  '/a.sh',
  '/a.py',
  '/a.env',
  '/a.json',
  '/../b.md',
  '/%2e%2e/b.md',
  '/x/..%2f..%2fhome%2Fb.md',
])
  test(`${target} is not served`, answers, {
    files: {'a.sh': 'echo', 'a.py': 'print()', 'a.env': 'A=1', 'a.json': '{}', 'a.ts': 'return 1'},
    target,
    status: 404,
  });
test('a Markdown file in a reserved directory is refused', answers, {
  files: {'node_modules/a/README.md': '#'},
  target: '/node_modules/a/README.md',
  status: 403,
});

// Middleware.
test('pre runs first and post has the last word, each in its own directory only', answers, {
  files: {
    'api/pre.js': 'shared.trace = ["pre"];',
    'api/a.ts': 'shared.trace.push("main"); return {n: 1};',
    'api/post.ts': 'return {...mainResult, trace: shared.trace, post: true};',
    'post.js': 'return "never";',
  },
  target: '/api/a',
  json: {n: 1, trace: ['pre', 'main'], post: true},
});
test('an answer of pre stops the script', answers, {
  files: {'pre.ts': 'res.status(403); return {no: true};', 'a.ts': 'throw new Error("ran");'},
  status: 403,
  json: {no: true},
});
test('nothing from post leaves the answer as it was', answers, {
  files: {'post.js': 'module.exports = () => null;', 'a.ts': 'return 5;'},
  text: '5',
});

// Environment.
test('.env files are read from the top down, and the nearest wins', answers, {
  files: {
    '_default.env': 'A=top\nB=top\nC=top\n',
    'x/_default.env': 'B=near\nC=near\n',
    'x/a.env': '# own\nC="own value"\n',
    'x/a.ts':
      'const {A, B, C, HOODY_BRANCH} = process.env; return {A, B, C, HOODY_BRANCH, shell: (await $`sh -c "echo $C"`.text()).trim()};',
  },
  target: '/x/a',
  json: {A: 'top', B: 'near', C: 'own value', HOODY_BRANCH: 'main', shell: 'own value'},
});
test('a script without .env files has the plain variables', answers, {
  files: {'x/_default.env': 'A=1', 'a.ts': 'return {a: process.env.A ?? null};'},
  json: {a: null},
});

// Doors.
test('@token lets nobody in without it', answers, {
  files: {'a.ts': '// @token abc\nreturn 1'},
  status: 401,
  headers: {'www-authenticate': 'Bearer'},
});
for (const [what, target, headers] of [
  ['bearer', '/a', {authorization: 'Bearer two'}],
  ['basic password', '/a', {authorization: `Basic ${btoa('any:two')}`}],
  ['X-Token', '/a', {'x-token': 'two'}],
  ['the query', '/a?token=two', {}],
] as const)
  test(`one of several @token lets in, as ${what}`, answers, {
    files: {'a.ts': '// @token one\n// @token two\nreturn 1'},
    target,
    init: {headers},
    text: '1',
  });
for (const [what, target, headers] of [
  ['Bearer before X-Token', '/a', {authorization: 'Bearer wrong', 'x-token': 'right'}],
  ['X-Token before the query', '/a?token=right', {'x-token': 'wrong'}],
  ['Basic before the query', '/a?token=right', {authorization: `Basic ${btoa('any:wrong')}`}],
] as const)
  test(`the first token that is presented counts: ${what}`, answers, {
    files: {'a.ts': '// @token right\nreturn 1'},
    target,
    init: {headers},
    status: 401,
  });
test('@cors * lets every origin in, without credentials', answers, {
  files: {'a.ts': '// @cors *\nreturn 1'},
  init: {headers: {origin: 'https://example.org'}},
  headers: {'access-control-allow-origin': '*', 'access-control-allow-credentials': null, vary: null},
});
test('@cors-credentials false, and an origin of one', answers, {
  files: {'a.ts': '// @cors https://app.example\n// @cors-credentials false\nreturn 1'},
  init: {headers: {origin: 'https://example.org'}},
  headers: {
    'access-control-allow-origin': 'https://app.example',
    'access-control-allow-credentials': null,
    vary: 'Origin',
  },
});
test('a preflight allows the headers it asks for, or those of @cors-headers', answers, {
  files: {'a.ts': '// @cors-headers x-a, x-b\nreturn 1'},
  init: {
    method: 'OPTIONS',
    headers: {
      origin: 'https://example.org',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'x-evil',
    },
  },
  status: 204,
  headers: {'access-control-allow-headers': 'x-a, x-b', 'access-control-allow-origin': 'https://example.org'},
});
test('@enabled false is not found, and does not run', answers, {
  files: {'a.ts': '// @enabled false\nthrow new Error("ran")'},
  status: 404,
});
test('another origin is reflected unless told otherwise', answers, {
  files: {'a.ts': 'return 1'},
  init: {headers: {origin: 'https://example.org'}},
  headers: {
    'access-control-allow-origin': 'https://example.org',
    'access-control-allow-credentials': 'true',
  },
});
test('@cors none says nothing to other origins', answers, {
  files: {'a.ts': '// @cors none\nreturn 1'},
  init: {headers: {origin: 'https://example.org'}},
  headers: {'access-control-allow-origin': null},
});
test('a preflight is answered without running the script', answers, {
  files: {'a.ts': '// @cors https://app.example\n// @cors-methods GET, POST\n// @cors-max-age 5\nthrow 1'},
  init: {
    method: 'OPTIONS',
    headers: {origin: 'https://example.org', 'access-control-request-method': 'POST'},
  },
  status: 204,
  headers: {
    'access-control-allow-origin': 'https://app.example',
    'access-control-allow-methods': 'GET, POST',
    'access-control-max-age': '5',
  },
});

test('@concurrent false lets calls in one after the other, a number so many', async (t) => {
  const {exec, call} = await execWorld(t);
  const body =
    'shared.now = (shared.now ?? 0) + 1; shared.most = Math.max(shared.most ?? 0, shared.now); await Bun.sleep(20); shared.now -= 1; return shared.most;';
  await exec.deploy(
    deploymentOf({'one.ts': `// @concurrent false\n${body}`, 'two.ts': `// @concurrent 2\n${body}`}),
  );
  const most = async (target: string) =>
    Math.max(
      ...(await Promise.all(Array.from({length: 6}, async () => Number(await (await call(target)).text())))),
    );
  t.is(await most('/one'), 1);
  t.is(await most('/two'), 2);
});

test('the caller that leaves aborts the signal of a web request', async (t) => {
  const {exec, call, home} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'a.ts':
        'export const GET = (request: Request) => new Promise((resolve) => { request.signal.onabort = async () => { await Bun.write("left", "yes"); resolve(1); }; void Bun.write("begun", ""); });',
    }),
  );
  const leave = new AbortController();
  const answer = call('/a', {signal: leave.signal});
  await exists(join(home, 'begun'));
  leave.abort();
  await t.throwsAsync(answer, {any: true});
  await exists(join(home, 'left'));
  t.is(await readFile(join(home, 'left'), 'utf8'), 'yes');
});

test('server-sent events come as they are written', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'a.ts':
        'res.setHeader("content-type", "text/event-stream"); res.write("data: one\\n\\n"); await new Promise((resolve) => { shared.go = resolve; }); res.end("data: two\\n\\n");',
      'go.ts': 'shared.go(); return 1;',
    }),
  );
  const response = await call('/a');
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const text = async () => new TextDecoder().decode((await reader.read()).value);
  t.is(await text(), 'data: one\n\n');
  await call('/go');
  t.is(await text(), 'data: two\n\n');
});

test('a large body goes through in both directions', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf({'a.ts': '// @rawBody\nreturn new Response(req);'}));
  const bytes = new Uint8Array(5_000_000).map((_, index) => index % 251);
  const response = await call('/a', {method: 'POST', body: bytes});
  // Not `deepEqual`, which takes seconds for so many bytes and holds up the other tests.
  t.true(Buffer.from(bytes).equals(Buffer.from(await response.arrayBuffer())));
});

test('parallel scripts that write to one database all succeed', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'make.ts': 'new Database("n.db").run("CREATE TABLE n (v)"); return 1',
      'add.ts':
        '// @isolate process\nconst db = new Database("n.db"); db.run("BEGIN IMMEDIATE"); db.run("INSERT INTO n VALUES (1)"); Bun.sleepSync(20); db.run("COMMIT"); return 1',
      'count.ts': 'return new Database("n.db").query("SELECT count(*) AS n FROM n").get()',
    }),
  );
  await call('/make');
  const statuses = await Promise.all(Array.from({length: 4}, async () => (await call('/add')).status));
  t.deepEqual(statuses, [200, 200, 200, 200]);
  t.deepEqual(await (await call('/count')).json(), {n: 4});
});

test('a directory that was there is not a script', async (t) => {
  const {exec, call, home} = await execWorld(t);
  await mkdir(join(home, 'a'));
  await writeFile(join(home, 'a.ts'), 'return "from the data directory"');
  await exec.deploy(deploymentOf({'b.ts': 'return 1'}));
  t.is((await call('/a')).status, 404);
});

function form(): FormData {
  const data = new FormData();
  data.set('name', 'ada');
  data.set('notes', new File(['abc'], 'n.txt', {type: 'text/plain;charset=utf-8'}));
  return data;
}

async function exists(path: string): Promise<void> {
  while (!(await Bun.file(path).exists())) await Bun.sleep(5);
}
