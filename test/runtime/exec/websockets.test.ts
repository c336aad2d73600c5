import {once} from 'node:events';
import test, {type ExecutionContext} from 'ava';
import type {Execution} from '../../../schemas/execution.ts';
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
  t.like(items[0]?.error, {message: 'Error: no', line: 3});
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

async function setup(t: ExecutionContext) {
  const {url} = await startRuntime(t);
  return {
    url,
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
