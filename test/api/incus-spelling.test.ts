import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createIncusClient} from '../../api/incus-client.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {openWebsocket} from '../../runtime/platform/websocket-stream.ts';

/** Where the two servers differ: how operations fail, and the name of a key. */
async function serve(t: ExecutionContext, kind: 'incus' | 'lxd', failure: string) {
  const directory = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const socketPath = join(directory, 's');
  const changes: unknown[] = [];
  const server = Bun.serve({
    unix: socketPath,
    async fetch(request) {
      const {pathname} = new URL(request.url);
      if (pathname === '/1.0')
        return Response.json({type: 'sync', metadata: {auth: 'trusted', environment: {server: kind}}});
      if (pathname === '/1.0/warnings') return Response.json({type: 'sync', metadata: []});
      if (pathname.endsWith('/wait')) {
        if (failure === '' || kind === 'lxd')
          return Response.json({type: 'sync', metadata: {err: failure, metadata: null}});
        return Response.json({type: 'error', error: failure, error_code: 400, metadata: null}, {status: 400});
      }
      changes.push(await request.json());
      return Response.json({type: 'async', operation: '/1.0/operations/0123-abcd', metadata: {}});
    },
  });
  t.teardown(() => server.stop(true));
  return {incus: createIncusClient({at: {socketPath}, openWebsocket, clock: systemClock}), changes};
}

const keys = {incus: 'security.guestapi', lxd: 'security.devlxd'} as const;

for (const kind of ['incus', 'lxd'] as const) {
  test(`${kind} is asked for what it calls ${keys[kind]}`, async (t) => {
    const {incus, changes} = await serve(t, kind, '');
    const config = {'security.devlxd': 'false', 'user.a': 'b'};
    await incus.createInstance('one', {source: {image: 'i'}, profiles: [], config, devices: {}});
    await incus.configure('one', {config});
    const spelt = {[keys[kind]]: 'false', 'user.a': 'b'};
    for (const change of changes) t.like(change, {config: spelt});
    t.is(changes.length, 2);
  });

  test(`an operation of ${kind} that was not needed any more is done`, async (t) => {
    const {incus} = await serve(t, kind, 'The instance is already stopped');
    t.is(await incus.stop('one'), 'done');
  });

  test(`an operation of ${kind} that fails is told in its words`, async (t) => {
    const {incus} = await serve(t, kind, 'the disk is on fire');
    await t.throwsAsync(incus.stop('one'), {
      code: 'PROVIDER_UNAVAILABLE',
      message: /the disk is on fire/,
    });
  });
}
