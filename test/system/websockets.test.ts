import {once} from 'node:events';
import test from 'ava';
import type {Execution} from '../../schemas/execution.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const chat = `// @websocket
// @websocket-pre
// @mode worker
ws.on('message', (text) => {
  if (text === 'die') process.kill(process.pid, 'SIGKILL');
  else if (text === 'close') ws.close(4002, 'over');
  else ws.send({echo: text, from: metadata.clientIp});
});
return process.env.GREETING;
`;
const gate = 'return metadata.query.name === "eve" ? res.status(403).json({no: "eve"}) : undefined;';

test('a websocket script of a branch answers at the controller’s address', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const commit = await repository.commit('main', {
    '.hoody/exec/chat.ts': chat,
    '.hoody/exec/chat.env': 'GREETING=welcome\n',
    '.hoody/exec/pre.ts': gate,
    '.hoody/exec/from.ts': 'return metadata.clientIp;',
  });
  const {container} = await controller.until('main', active(commit));
  const exec = container?.urls.exec ?? '';
  const connect = async (query = '') => {
    const socket = new WebSocket(`${exec.replace('http', 'ws')}/chat${query}`);
    t.teardown(() => socket.close());
    t.is(await message(socket), 'welcome');
    return socket;
  };
  const records = async (): Promise<Execution[]> => {
    const answer = await fetch(`${exec}/api/v1/exec/executions?script=chat.ts`);
    return ((await answer.json()) as {items: Execution[]}).items;
  };

  const first = await connect();
  first.send('one');
  t.deepEqual(JSON.parse(await message(first)), {echo: 'one', from: '127.0.0.1'});
  t.is(await (await fetch(`${exec}/from`)).text(), '127.0.0.1');
  first.send('close');
  const [closed] = (await once(first, 'close')) as [CloseEvent];
  t.deepEqual([closed.code, closed.reason], [4002, 'over']);

  const second = await connect();
  second.send('die');
  t.is(((await once(second, 'close')) as [CloseEvent])[0].code, 1006);

  const refused = new WebSocket(`${exec.replace('http', 'ws')}/chat?name=eve`);
  t.false(((await once(refused, 'close')) as [CloseEvent])[0].wasClean);
  while ((await records()).some(({status}) => status === 'running'));
  t.deepEqual(
    (await records()).map(({status, http_status}) => [status, http_status]),
    [
      ['succeeded', 403],
      ['interrupted', null],
      ['succeeded', null],
    ],
  );
});

async function message(socket: WebSocket): Promise<string> {
  const [{data}] = (await once(socket, 'message')) as [MessageEvent];
  return String(data);
}
