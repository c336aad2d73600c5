import {dlopen, ptr} from 'bun:ffi';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import test from 'ava';
import {type ByteSocket, serveByteSockets} from '../../../runtime/platform/byte-socket.ts';
import type {Teardown} from '../../helpers/git-world.ts';

const onLinux = process.platform === 'linux' ? test : test.skip;

/** How the server's end of a connection to `host` is told to send. */
async function controlOf(t: Teardown, host: string): Promise<string> {
  const accepted = Promise.withResolvers<ByteSocket>();
  const accept = (socket: ByteSocket) => {
    accepted.resolve(socket);
    return {data() {}, drained() {}, ended() {}, closed() {}};
  };
  const server = await serveByteSockets({kind: 'tcp', host, port: 0}, accept, {isUnpaced: true});
  t.teardown(() => server.close());
  const client = connect({host: '127.0.0.1', port: Number(new URL(server.url).port)});
  t.teardown(() => client.destroy());
  await once(client, 'connect');
  const {getsockopt} = dlopen('libc.so.6', {
    getsockopt: {args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32'},
  }).symbols;
  const name = Buffer.alloc(16);
  // IPPROTO_TCP, TCP_CONGESTION
  getsockopt((await accepted.promise).descriptor, 6, 13, ptr(name), ptr(Int32Array.of(name.length)));
  return name.toString('latin1').replace(/\0.*$/, '');
}

onLinux('on loopback the kernel does not pace what we send, whatever the host has chosen', async (t) => {
  t.is(await controlOf(t, '127.0.0.1'), 'reno');
});

onLinux('elsewhere the choice of the host stands', async (t) => {
  const chosen = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
  t.is(await controlOf(t, '0.0.0.0'), chosen);
});
