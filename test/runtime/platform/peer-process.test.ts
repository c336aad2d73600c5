import {once} from 'node:events';
import {connect, createServer, type Server, type Socket} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {isPeerStartedWith, type Peer, peerVariable} from '../../../runtime/platform/peer-process.ts';

const ownPath = `PATH=${process.env.PATH}`;

test('the process at the other end is found by a variable of its environment', async (t) => {
  const {peer} = await connection(t);
  t.deepEqual(peerVariable(peer, 'PATH'), {value: process.env.PATH ?? '', userId: null});
  t.true(isPeerStartedWith(peer, ownPath));
  t.is(peerVariable(peer, 'NOBODY_HAS_THIS'), null);
  t.false(isPeerStartedWith(peer, 'NOBODY_HAS_THIS=1'));
});

test('the same port of a client with another server is another connection', async (t) => {
  const {peer} = await connection(t);
  t.is(peerVariable({...peer, server: {ip: '127.0.0.1', port: 1}}, 'PATH'), null);
});

test('an address that is not of this host is nobody', (t) => {
  const server = {ip: '127.0.0.1', port: 80};
  t.is(peerVariable({ip: '192.0.2.1', port: 5, server}, 'PATH'), null);
  t.is(peerVariable({ip: '', port: 0, server}, 'PATH'), null);
});

async function connection(t: ExecutionContext): Promise<{peer: Peer}> {
  const accepted = Promise.withResolvers<Socket>();
  const server: Server = createServer((socket) => accepted.resolve(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const client = connect(port, '127.0.0.1');
  await once(client, 'connect');
  const socket = await accepted.promise;
  socket.on('error', () => {});
  t.teardown(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  return {
    peer: {
      ip: socket.remoteAddress ?? '',
      port: socket.remotePort ?? 0,
      server: {ip: '127.0.0.1', port},
    },
  };
}
