import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import type {Container} from '../../reconciler/containers/provider.ts';
import {overSocket, started, until} from '../contract/container-provider.ts';
import {askIncus, startTestIncus} from '../helpers/incus-daemon.ts';
import {type IncusWorld, incusWorld} from '../helpers/incus-provider-world.ts';

const lxd = await startTestIncus();
const test = ('reason' in lxd ? anyTest.skip : anyTest.serial) as TestFn;
anyTest.after.always('the server ends', async () => {
  if (!('reason' in lxd)) await lxd.close();
});

function serverOrThrow() {
  if ('reason' in lxd) throw new Error(lxd.reason);
  return lxd;
}

const noGrace = {graceMs: 0, reason: 'test'};
const world = (t: ExecutionContext, change = {}): Promise<IncusWorld> =>
  incusWorld(t, serverOrThrow(), change);

test('root inside is nobody outside, nothing of the server is seen inside, and no other network', async (t) => {
  const container = await started((await world(t)).provider);
  const [, outside = '0'] = (await overSocket(container, '/run', 'cat /proc/self/uid_map'))
    .trim()
    .split(/\s+/);
  t.not(outside, '0');
  t.is(await overSocket(container, '/run', 'ls -d /dev/lxd/sock 2>/dev/null'), '');
  t.is(await overSocket(container, '/run', 'ls /sys/class/net'), 'lo\n');
  t.is(
    await overSocket(container, '/run', 'touch /run/branchtab-runtime/evil || echo read-only'),
    'read-only\n',
  );
});

test('clones have nothing of what was in /tmp', async (t) => {
  const {provider} = await world(t);
  const container = await started(provider);
  await overSocket(container, '/run', 'echo old >/tmp/left');
  await provider.snapshot(container.id, 'main');
  const {id} = await provider.create({name: 'clone', labels: {}, from: 'main', withData: true});
  t.is(await overSocket(await provider.start(id), '/run', 'ls -A /tmp'), '');
});

test('who looks for a branch in the server finds its container and no snapshot of it', async (t) => {
  const here = await world(t);
  const {provider} = here;
  const {id} = await provider.create({name: 'main-1', labels: {'branchtab.branch': 'main'}});
  await provider.snapshot(id, 'main');
  const found = (await here.labelsInEngine()).filter((each) => each['branchtab.branch'] === 'main');
  t.deepEqual(
    found.map((each) => each['branchtab.id']),
    [id],
  );
});

test('what a crash left of a snapshot is removed at the next start', async (t) => {
  const here = await world(t);
  const halfMade = await here.runForeign('half-made', {isOurs: true, snapshot: 'abc'});
  await here.reopen();
  t.false(await halfMade.runs());
});

test('what jobs leave behind is reaped by the first program', async (t) => {
  const container = await started((await world(t)).provider);
  await overSocket(container, '/run', 'setsid sh -c "exec sleep 0.01 & exit" >/dev/null 2>&1 </dev/null');
  const left = () => overSocket(container, '/run', 'cat /proc/[0-9]*/stat | grep -cE "\\(sleep\\)"');
  // A zombie that nobody reaps would be counted for ever.
  await until(async () => (await left()) === '0\n');
  t.is(await overSocket(container, '/health'), 'ok');
});

test('a container whose instance is gone is made anew from its snapshot, where an empty beginning is asked for', async (t) => {
  const {incus} = serverOrThrow();
  const here = await world(t);
  const {provider} = here;
  const container = await started(here.provider);
  await overSocket(container, '/run', 'mkdir -p /opt && echo tool >/opt/tool');
  await provider.snapshot(container.id, 'main');
  const clone = await provider.create({name: 'clone', labels: {}, from: 'main'});
  const name = `bt-clone-${clone.id.slice(0, 8)}`;
  await incus.remove(name);
  await t.throwsAsync(provider.start(clone.id), {code: 'DATA_LOST', message: new RegExp(name)});
  const again = await provider.start(clone.id, {makeData: true});
  t.is(await overSocket(again, '/run', 'cat /opt/tool'), 'tool\n');
});

test('the network that only these containers have leads out, keeps them apart, leaves their kits to them, and goes with the last', async (t) => {
  const here = await world(t, {network: 'own'});
  const [one, two] = [await started(here.provider, 'one'), await started(here.provider, 'two')];
  t.is(await overSocket(one, '/run', 'wget -qO- http://hoody-exec/id'), one.id);
  const addressOf = async (container: Container) =>
    /inet addr:([0-9.]+)/.exec(await overSocket(container, '/run', 'ifconfig eth0'))?.[1] ?? '';
  const [mine, other] = [await addressOf(one), await addressOf(two)];
  t.not(mine, other);
  const route = await overSocket(one, '/run', 'route -n');
  const gateway = /^0\.0\.0\.0 +([0-9.]+)/m.exec(route)?.[1] ?? 'none';
  t.is(await overSocket(one, '/run', 'cat /etc/resolv.conf'), `nameserver ${gateway}\n`);
  t.is(await overSocket(one, '/run', `ping -c 1 -W 5 ${gateway} >/dev/null && echo there`), 'there\n');
  t.is(await overSocket(one, '/run', `ping -c 1 -W 1 ${other} >/dev/null || echo away`), 'away\n');

  await here.provider.stop(one.id, noGrace);
  t.is(await addressOf(await here.provider.start(one.id)), mine);
  await here.provider.remove(one.id);
  await here.provider.remove(two.id);
  const networks = await askIncus(serverOrThrow().socketPath, 'GET', '/1.0/networks');
  t.notRegex(JSON.stringify(networks), /bt-/);
});

test('a network that the server does not have is refused by its name', async (t) => {
  const {provider} = await world(t, {network: 'nowhere'});
  const {id} = await provider.create({name: 'main-1', labels: {}});
  await t.throwsAsync(provider.start(id), {
    code: 'PROVIDER_UNAVAILABLE',
    message: /nowhere.*branchtab\.yaml/,
  });
});
