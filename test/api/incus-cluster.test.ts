import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createIncusClient} from '../../api/incus-client.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {openWebsocket} from '../../runtime/platform/websocket-stream.ts';

const members = [
  {server_name: 'one', status: 'Online', groups: ['default']},
  {server_name: 'two', status: 'Offline', groups: ['default', 'previews']},
];
const groups = [{name: 'default'}, {name: 'previews'}, {name: 'nobody'}];
const cannot = {type: 'error', error: 'not here', error_code: 400, metadata: null};

/** A cluster that makes no instances, one of whose members is away. */
async function serve(t: ExecutionContext, answers: Readonly<Record<string, unknown>> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const socketPath = join(directory, 's');
  const told: Readonly<Record<string, unknown>> = {
    'GET /1.0': {auth: 'trusted', environment: {server: 'incus', server_clustered: true, server_name: 'one'}},
    'GET /1.0/warnings': [],
    'GET /1.0/cluster': {enabled: true},
    'GET /1.0/cluster/members': members,
    'GET /1.0/cluster/groups': groups,
    ...answers,
  };
  const changes: string[] = [];
  const server = Bun.serve({
    unix: socketPath,
    fetch({method, url}) {
      const {pathname, searchParams} = new URL(url);
      const target = searchParams.get('target');
      if (method !== 'GET') changes.push(`${method} ${pathname}${target === null ? '' : ` on ${target}`}`);
      const metadata = told[`${method} ${pathname}`];
      if (metadata instanceof Function) return Response.json(metadata());
      return Response.json(metadata === undefined ? cannot : {type: 'sync', metadata});
    },
  });
  t.teardown(() => server.stop(true));
  return {incus: createIncusClient({at: {socketPath}, openWebsocket, clock: systemClock}), changes};
}

const problems = {
  three: {code: 'CONFIG_INVALID', message: /no member three, .*incus\.target.* It has: one, two, @default/},
  '@three': {code: 'CONFIG_INVALID', message: /no group @three, .*It has: .*@previews/},
  '@nobody': {code: 'CONFIG_INVALID', message: /group @nobody .*no members/},
  two: {code: 'PROVIDER_UNAVAILABLE', message: /at two,.* two does not answer/},
  '@previews': {code: 'PROVIDER_UNAVAILABLE', message: /at @previews,.* two does not answer/},
  one: {code: 'PROVIDER_UNAVAILABLE', message: /says: not here/},
} as const;

for (const [target, expected] of Object.entries(problems)) {
  test(`what cannot be placed at ${target} is told with what the cluster has`, async (t) => {
    const {incus} = await serve(t);
    const spec = {target, source: {image: 'i'}, profiles: [], config: {}, devices: {}};
    await t.throwsAsync(incus.createInstance('a', spec), expected);
  });
}

test('every member is told of a network before it is made, and one that is half made is finished', async (t) => {
  const {incus, changes} = await serve(t, {
    'GET /1.0/networks/n': {config: {}, status: 'Pending'},
    'POST /1.0/networks': null,
  });
  await incus.ensureNetwork('n', {});
  t.deepEqual(changes, ['POST /1.0/networks on one', 'POST /1.0/networks on two', 'POST /1.0/networks']);
});

test('a network that the cluster has is not made again', async (t) => {
  const {incus, changes} = await serve(t, {'GET /1.0/networks/n': {config: {}, status: 'Created'}});
  await incus.ensureNetwork('n', {});
  t.deepEqual(changes, []);
});

test('addresses are told by instances where a member is away and so nobody tells of leases', async (t) => {
  const nic = {type: 'nic', network: 'n', 'ipv4.address': '10.0.0.2'};
  const {incus} = await serve(t, {
    'GET /1.0/networks/n': {config: {'ipv4.address': '10.0.0.1/24'}},
    'GET /1.0/instances': [
      {expanded_devices: {eth0: nic}, state: null},
      {
        expanded_devices: {eth0: {type: 'nic', network: 'other', 'ipv4.address': '10.0.0.9'}},
        state: {network: {eth0: {addresses: [{address: '10.0.0.3'}]}}},
      },
    ],
  });
  t.deepEqual(await incus.findNetwork('n'), {
    gateway: '10.0.0.1/24',
    taken: new Set(['10.0.0.2', '10.0.0.3']),
  });
});

const notReady = {type: 'error', error: "Server isn't ready yet", error_code: 503, metadata: null};
const instance = {name: 'a', config: {}, location: 'two'};

test('an instance of a member that is just coming back is asked for again', async (t) => {
  const answers = [notReady, notReady, {type: 'sync', metadata: {...instance, status: 'Running'}}];
  const {incus} = await serve(t, {
    'GET /1.0/instances/a': () => answers.shift(),
    'GET /1.0/instances': [{...instance, status: 'Running'}],
  });
  t.like(await incus.findInstance('a'), {running: true, member: 'two', isAway: false});
});

test('an instance of a member that is away is told as such at once', async (t) => {
  let asked = 0;
  const {incus} = await serve(t, {
    'GET /1.0/instances/a': () => {
      asked += 1;
      return notReady;
    },
    'GET /1.0/instances': [{...instance, status: 'Error'}],
  });
  t.like(await incus.findInstance('a'), {running: false, member: 'two', isAway: true});
  t.deepEqual(
    (await incus.listAway()).map(({name}) => name),
    ['a'],
  );
  t.is(asked, 1);
});
