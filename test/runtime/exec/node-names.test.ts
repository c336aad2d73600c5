import {connect} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {joinHeaders} from '../../../runtime/exec/node-request.ts';
import type {Execution} from '../../../schemas/execution.ts';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';
import {startRuntime} from '../../helpers/runtime-process.ts';

const answers = test.macro(
  async (
    t: ExecutionContext,
    expected: {
      script: string;
      init?: RequestInit;
      status?: number;
      text?: string;
      headers?: Readonly<Record<string, string | null>>;
    },
  ) => {
    const {exec, call} = await execWorld(t);
    await exec.deploy(deploymentOf({'a.ts': expected.script}));
    const response = await call('/a', expected.init);
    const text = await response.text();
    t.is(response.status, expected.status ?? 200, text);
    if (expected.text !== undefined) t.is(text, expected.text);
    for (const [name, value] of Object.entries(expected.headers ?? {}))
      t.is(response.headers.get(name), value, name);
  },
);

test('writeHead takes a reason and headers by name', answers, {
  script: "res.writeHead(201, 'Made', {'X-A': 1, 'x-b': ['c', 'd']}); res.end('done');",
  status: 201,
  text: 'done',
  headers: {'x-a': '1', 'x-b': 'c, d', 'content-length': '4'},
});
test('writeHead takes names and values in turn, and is chained', answers, {
  script: "res.writeHead(202, ['X-A', 'b']).end('done', 'latin1');",
  status: 202,
  text: 'done',
  headers: {'x-a': 'b'},
});
test('headers can be asked for, added to and taken back', answers, {
  script: `res.setHeader('X-A', 'b');
res.appendHeader('x-a', 'c');
res.setHeader('X-Gone', 1);
res.removeHeader('x-gone');
return res.end(JSON.stringify([res.getHeader('X-A'), res.hasHeader('x-gone'), res.getHeaderNames(), res.headersSent]));`,
  text: '[["b","c"],false,["x-a"],false]',
});
test('headers after the head are refused as Node refuses them', answers, {
  script:
    "res.write('a'); let code = ''; try { res.setHeader('x', 'y'); } catch (error) { code = error.code; } res.end(code);",
  text: 'aERR_HTTP_HEADERS_SENT',
});
test('a stream can be piped into res', answers, {
  script:
    "const {Readable} = await import('node:stream'); Readable.from(['a', 'b', 'c']).pipe(res); await new Promise((resolve) => res.on('finish', resolve));",
  text: 'abc',
});
test('a line break in a header fails the script and not the runtime', answers, {
  script: "res.setHeader('x-a', 'b\\r\\nset-cookie: c'); return 1;",
  status: 500,
  headers: {'x-a': null, 'set-cookie': null},
});
test('a status that is none fails the script', answers, {
  script: 'res.status(99); return 1;',
  status: 500,
});
test('the length of a whole answer is told as it is, whatever the script says', answers, {
  script: "res.setHeader('content-length', '500'); res.end('four');",
  text: 'four',
  headers: {'content-length': '4'},
});
test('HEAD tells the length and sends no body', answers, {
  script: "return 'four';",
  init: {method: 'HEAD'},
  text: '',
  headers: {'content-length': '4'},
});
test('req has its body as it was parsed, and is a stream at its end', answers, {
  script:
    'let chunks = 0; for await (const _ of req) chunks += 1; return [req.body.a, chunks, req.httpVersion, req.socket.remoteAddress].join();',
  init: {method: 'POST', body: '{"a":1}', headers: {'content-type': 'application/json'}},
  text: '1,0,1.1,127.0.0.1',
});

test('headers that come again are joined as Node joins them', (t) => {
  t.deepEqual(
    joinHeaders([
      ...['Accept', 'a', 'ACCEPT', 'b', 'cookie', 'c=1', 'Cookie', 'd=2', 'Host', 'x', 'host', 'y'],
      ...['set-cookie', '1', 'set-cookie', '2'],
    ]),
    {accept: 'a, b', cookie: 'c=1; d=2', host: 'x', 'set-cookie': ['1', '2']},
  );
});
test('a header by the name of a prototype is a header', (t) => {
  const joined = joinHeaders(['__proto__', 'a', 'constructor', 'b']);
  t.deepEqual(Object.entries(joined), [
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ]);
});

for (const {what, script} of [
  {what: 'more', script: "res.setHeader('content-length', '2'); res.write('four'); res.end();"},
  {what: 'less', script: "res.setHeader('content-length', '9'); res.write('four'); res.end();"},
]) {
  test(`an answer of ${what} bytes than it announced is cut, and nothing of it is taken for another answer`, async (t) => {
    const runtime = await startRuntime(t);
    await fetch(`${runtime.url}/api/v1/exec/scripts/write`, {
      method: 'POST',
      body: JSON.stringify({path: 'a.ts', content: script}),
    });
    const text = await exchange(
      Number(new URL(runtime.url).port),
      'GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n',
    );
    t.regex(text, /^HTTP\/1\.1 200 /);
    const body = text.slice(text.indexOf('\r\n\r\n') + 4);
    t.true(body.length <= (what === 'more' ? 2 : 4), body);
  });
}

/** Everything that comes until the connection is closed. */
function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

test('a caller that leaves in the middle of its body is no failure of the script', async (t) => {
  const {url} = await startRuntime(t);
  await fetch(`${url}/api/v1/exec/scripts/write`, {
    method: 'POST',
    body: JSON.stringify({path: 'a.ts', content: 'return req.body.length;'}),
  });
  t.is((await fetch(`${url}/a`, {method: 'POST', body: 'whole'})).status, 200);
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write('POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nbegin');
  await untilCalls(url, ({status}) => status === 'running');
  socket.destroy();
  await untilCalls(url, ({status}) => status === 'aborted');
  // What the host says of the call comes before what it says of the next one.
  t.is((await fetch(`${url}/a`, {method: 'POST', body: 'whole'})).status, 200);
  const [, cut] = await untilCalls(url, ({status}) => status === 'succeeded');
  t.like(cut, {status: 'aborted', error: null});
});

type Shown = Pick<Execution, 'status' | 'error'>;

/** The records, newest first, as soon as the newest one is as wanted. */
async function untilCalls(url: string, isWanted: (newest: Shown) => boolean): Promise<Shown[]> {
  for (;;) {
    const {items} = (await (await fetch(`${url}/api/v1/exec/executions`)).json()) as {items: Shown[]};
    const [newest] = items;
    if (newest !== undefined && isWanted(newest)) return items;
  }
}
