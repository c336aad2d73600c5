import {once} from 'node:events';
import {type IncomingMessage, request} from 'node:http';
import {connect as connectRaw} from 'node:net';
import {json} from 'node:stream/consumers';
import test, {type ExecutionContext} from 'ava';
import type {Execution} from '../../../schemas/execution.ts';
import {sendRaw} from '../../helpers/raw-http.ts';
import {startRuntime} from '../../helpers/runtime-process.ts';

const echo = `// @websocket
// @mode worker
console.log('from', metadata.method, metadata.query.name);
shared.open = (shared.open ?? 0) + 1;
ws.on('message', async (text) => ws.send({echo: text, open: shared.open}));
ws.on('close', () => { shared.open -= 1; });
return 'hello';
`;

test('a websocket script runs once for a connection and then lives by its listeners', async (t) => {
  const {url, write, connect} = await setup(t);
  await write('echo.ts', echo);
  const socket = connect('/echo?name=ada');
  const messages = read(socket);
  t.is(await messages(), 'hello');
  socket.send('one');
  t.deepEqual(JSON.parse(await messages()), {echo: 'one', open: 1});
  socket.send('x'.repeat(100_000));
  t.is((JSON.parse(await messages()) as {echo: string}).echo.length, 100_000);
  const records = async () =>
    ((await (await fetch(`${url}/api/v1/exec/executions?script=echo.ts`)).json()) as {items: Execution[]})
      .items;
  t.like((await records())[0], {method: 'WEBSOCKET', status: 'running'});
  socket.close();
  let [record] = await records();
  while (record?.status === 'running') [record] = await records();
  t.like(record, {status: 'succeeded', stdout: 'from WEBSOCKET_INIT ada\n'});
});

test('a websocket script that throws closes with 1011 and leaves the error', async (t) => {
  const {url, write, connect} = await setup(t);
  await write('throws.ts', '// @websocket\n// @mode worker\nthrow new Error("no");');
  const socket = connect('/throws');
  const [closed] = (await once(socket, 'close')) as [CloseEvent];
  t.is(closed.code, 1011);
  const {items} = (await (await fetch(`${url}/api/v1/exec/executions`)).json()) as {items: Execution[]};
  t.like(items[0], {status: 'failed', error: {message: 'Error: no', line: 3}});
});

test('a plain call of a websocket script, and a websocket to a plain one, are refused', async (t) => {
  const {url, write, connect} = await setup(t);
  await write('echo.ts', echo);
  await write('plain.ts', 'return 1');
  t.is((await fetch(`${url}/echo`)).status, 426);
  for (const path of ['/plain', '/nothing', '/api/v1/exec/health']) {
    const socket = connect(path);
    await once(socket, 'error');
    t.is(socket.readyState, WebSocket.CLOSED, path);
  }
  t.is(await (await fetch(`${url}/plain`)).text(), '1');
});

test('a page of another site cannot connect', async (t) => {
  const {write, connect} = await setup(t);
  await write('echo.ts', echo);
  const socket = connect('/echo', {origin: 'https://evil.example'});
  await once(socket, 'error');
  t.is(socket.readyState, WebSocket.CLOSED);
});

test('a websocket script sees its .env files, in its listeners too', async (t) => {
  const {write, connect} = await setup(t);
  await write('x/_default.env', 'A=top\nB=top\n');
  await write('x/echo.env', 'B=own\n');
  await write(
    'x/echo.ts',
    `${worker}ws.on('message', async () => { await 1; ws.send(process.env.A + process.env.B); });\nreturn process.env.A + process.env.B;`,
  );
  const socket = connect('/x/echo');
  const messages = read(socket);
  t.is(await messages(), 'topown');
  socket.send('again');
  t.is(await messages(), 'topown');
});

test('a websocket script that is no worker is closed with 4400, and does not run', async (t) => {
  const {write, connect, records} = await setup(t);
  await write('echo.ts', '// @websocket\nreturn "ran";');
  const socket = connect('/echo');
  const messages: unknown[] = [];
  socket.onmessage = ({data}) => messages.push(data);
  const [closed] = (await once(socket, 'close')) as [CloseEvent];
  t.is(closed.code, 4400);
  t.regex(closed.reason, /@mode worker/);
  t.deepEqual(messages, []);
  t.deepEqual(await records(), []);
});

test('the host of a websocket that has closed is stopped for idleness', async (t) => {
  const {write, connect} = await setup(t, ['--exec-idle-ms', '100']);
  await write('pid.ts', `${worker}return String(process.pid);`);
  const socket = connect('/pid');
  const pid = Number(await read(socket)());
  socket.close();
  await gone(pid);
  t.pass();
});

test('a client that vanishes ends the record of its websocket', async (t) => {
  const {url, write, records} = await setup(t);
  await write('echo.ts', echo);
  const {port} = new URL(url);
  const client = connectRaw(Number(port), '127.0.0.1');
  client.write(handshake('/echo'));
  await once(client, 'data');
  client.resetAndDestroy();
  t.like(await ended(records), {status: 'succeeded'});
});

test('a client that only closes its side of the connection is let go', async (t) => {
  const {url, write, records} = await setup(t);
  await write('echo.ts', echo);
  const {port} = new URL(url);
  const client = connectRaw({port: Number(port), host: '127.0.0.1', allowHalfOpen: true});
  client.write(handshake('/echo'));
  await once(client, 'data');
  client.end();
  client.resume();
  await once(client, 'end');
  t.like(await ended(records), {status: 'succeeded'});
});

test('a websocket script that blocks its host beyond its time is ended with it, and its record says so', async (t) => {
  const {write, connect, records} = await setup(t);
  await write(
    'spins.ts',
    `// @timeout 300\n${worker}ws.on('message', () => { while (true); });\nreturn String(process.pid);`,
  );
  const socket = connect('/spins');
  const pid = Number(await read(socket)());
  socket.send('go');
  const [closed] = (await once(socket, 'close')) as [CloseEvent];
  t.is(closed.code, 1006);
  await gone(pid);
  t.like(await ended(records), {status: 'interrupted'});
});

test('a connection that is quiet for longer than @timeout stays', async (t) => {
  const {write, connect} = await setup(t);
  await write(
    'echo.ts',
    `// @timeout 50\n${worker}ws.on('message', (text) => ws.send(text)); await Bun.sleep(200); return 'late';`,
  );
  const socket = connect('/echo');
  const messages = read(socket);
  t.is(await messages(), 'late');
  socket.send('still here');
  t.is(await messages(), 'still here');
});

const gate = `if (metadata.method !== 'WEBSOCKET_INIT') return;
console.log('asked', metadata.path);
if (metadata.query.name === 'ada') return;
return res.status(403).json({no: metadata.query.name ?? null});`;

test('@websocket-pre: the pre file of the directory is asked before the connection, and may refuse it', async (t) => {
  const {url, write, connect, records} = await setup(t);
  await write('pre.ts', gate);
  await write('echo.ts', `// @websocket-pre\n${worker}return 'in';`);
  await write('open.ts', `${worker}return 'not asked';`);
  const refused = await refusalOf(url, '/echo?name=eve');
  t.is(refused.status, 403);
  t.deepEqual(refused.json, {no: 'eve'});
  t.is(refused.headers.connection, 'close');
  t.is(await read(connect('/echo?name=ada'))(), 'in');
  t.is(await read(connect('/open'))(), 'not asked');
  const items = await records();
  const refusal = items.find(({url: target}) => target.endsWith('eve'));
  t.like(refusal, {status: 'succeeded', http_status: 403, stdout: 'asked /echo\n', method: 'WEBSOCKET'});
  t.is(refused.headers['x-execution-id'], refusal?.id);
});

test('a pre file that throws, or that takes too long, refuses the connection', async (t) => {
  const {url, write, records} = await setup(t);
  await write('a/pre.ts', 'throw new Error("no gate")');
  await write('a/echo.ts', `// @websocket-pre\n${worker}return 'in';`);
  await write('b/pre.ts', 'await new Promise(() => {});');
  await write('b/echo.ts', `// @websocket-pre\n// @timeout 100\n${worker}return 'in';`);
  const thrown = await refusalOf(url, '/a/echo');
  t.is(thrown.status, 500);
  t.like(thrown.json, {code: 'SCRIPT_FAILED', message: 'Error: no gate'});
  const late = await refusalOf(url, '/b/echo');
  t.is(late.status, 504);
  t.like(late.json, {code: 'SCRIPT_TIMEOUT'});
  const items = await records();
  t.like(
    items.find(({script}) => script === 'a/echo.ts'),
    {status: 'failed', error: {file: 'a/pre.ts', line: 1}},
  );
  t.like(
    items.find(({script}) => script === 'b/echo.ts'),
    {status: 'timed_out', http_status: 504},
  );
});

test('a request that asks for another protocol than websockets is answered as a plain one', async (t) => {
  const {url, write} = await setup(t);
  await write('echo.ts', 'return {method: req.method, body: req.body ?? null};');
  const headers = {Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'Content-Type': 'application/json'};
  for (const body of ['', '{"a":1}']) {
    const {hostname, port} = new URL(url);
    const answer = await sendRaw(
      Number(port),
      `${body === '' ? 'GET' : 'POST'} /echo HTTP/1.1\r\nHost: ${hostname}\r\n${Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('')}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    t.regex(answer, /^HTTP\/1\.1 200 /);
    t.true(
      answer.includes(
        JSON.stringify({method: body === '' ? 'GET' : 'POST', body: body === '' ? null : {a: 1}}),
      ),
    );
  }
});

const worker = '// @websocket\n// @mode worker\n';

const upgradeHeaders = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

function handshake(target: string): string {
  const lines = Object.entries(upgradeHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${lines.join('')}\r\n`;
}

/** What is answered instead of a websocket. */
async function refusalOf(url: string, target: string) {
  const asking = request(`${url}${target}`, {headers: upgradeHeaders}).end();
  const [answer] = (await once(asking, 'response')) as [IncomingMessage];
  return {status: answer.statusCode, headers: answer.headers, json: await json(answer)};
}

async function ended(records: () => Promise<Execution[]>): Promise<Execution | undefined> {
  let [record] = await records();
  while (record?.status === 'running') {
    await Bun.sleep(5);
    [record] = await records();
  }
  return record;
}

async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await Bun.sleep(5);
  }
}

async function setup(t: ExecutionContext, flags: readonly string[] = []) {
  const {url} = await startRuntime(t, flags);
  return {
    url,
    async records(): Promise<Execution[]> {
      const {items} = (await (await fetch(`${url}/api/v1/exec/executions`)).json()) as {items: Execution[]};
      return items;
    },
    async write(path: string, content: string) {
      const headers = {'content-type': 'application/json'};
      const body = JSON.stringify({path, content});
      const response = await fetch(`${url}/api/v1/exec/scripts/write`, {method: 'POST', headers, body});
      t.is(response.status, 200);
    },
    connect(path: string, headers: Record<string, string> = {}) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, {headers});
      t.teardown(() => socket.close());
      return socket;
    },
  };
}

/** Gives the messages of a socket one by one, also those that came before it was asked. */
function read(socket: WebSocket): () => Promise<string> {
  const kept: string[] = [];
  let wake = () => {};
  socket.onmessage = ({data}) => {
    kept.push(String(data));
    wake();
  };
  return async () => {
    while (kept.length === 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    return kept.shift() ?? '';
  };
}
