import {existsSync} from 'node:fs';
import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import type {Incus, InstanceSpec} from '../../../../reconciler/containers/incus/incus.ts';
import {createProcessProvider} from '../../../../reconciler/containers/process/process-provider.ts';
import type {Container, ContainerEvent} from '../../../../reconciler/containers/provider.ts';
import {overSocket, until} from '../../../contract/container-provider.ts';
import {askIncus, startTestIncus} from '../../../helpers/incus-daemon.ts';
import {type IncusWorld, incusWorld} from '../../../helpers/incus-provider-world.ts';
import {installStub} from '../../../helpers/process-provider-world.ts';

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

async function started({provider}: IncusWorld, name = 'main-1'): Promise<Container> {
  const {id} = await provider.create({name, labels: {}});
  return await provider.start(id);
}

const ownerKey = 'user.branchtab.owner';

/** An instance of somebody else that sleeps. */
function foreign(config: Record<string, string> = {[ownerKey]: 'somebody-else'}): InstanceSpec {
  return {
    source: {image: 'glibc'},
    profiles: [],
    config: {'raw.lxc': 'lxc.init.cmd = /bin/sleep 100000', ...config},
    devices: {root: {type: 'disk', path: '/', pool: 'default'}},
  };
}

/** Made, started, and gone when the test is over. */
async function foreignInstance(t: ExecutionContext, name: string, spec: InstanceSpec): Promise<void> {
  const {incus} = serverOrThrow();
  await incus.createInstance(name, spec);
  await incus.start(name);
  t.teardown(async () => {
    while ((await incus.stop(name)) === 'busy') await Bun.sleep(20);
    while ((await incus.remove(name)) === 'busy') await Bun.sleep(20);
  });
}

const instancesOf = ({options}: IncusWorld) => serverOrThrow().incus.listInstances(ownerKey, options.owner);

test('names of the kits and localhost lead to the own runtime, on port 80', async (t) => {
  const container = await started(await world(t));
  for (const name of ['localhost', 'hoody-cron', 'hoody-exec', 'hoody-pipe', 'hoody-notifications'])
    t.is(await overSocket(container, '/run', `wget -qO- http://${name}/id`), container.id, name);
});

test('root inside is nobody outside, nothing of the server is seen inside, and no other network', async (t) => {
  const container = await started(await world(t));
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

test('what jobs leave behind is reaped by the first program', async (t) => {
  const container = await started(await world(t));
  await overSocket(container, '/run', 'setsid sh -c "exec sleep 0.01 & exit" >/dev/null 2>&1 </dev/null');
  const left = () => overSocket(container, '/run', 'cat /proc/[0-9]*/stat | grep -cE "\\(sleep\\)"');
  // A zombie that nobody reaps would be counted for ever.
  await until(async () => (await left()) === '0\n');
  t.is(await overSocket(container, '/health'), 'ok');
});

test('what a job changed in the file system survives a restart and comes into clones, and nothing of its data, records and secrets does', async (t) => {
  const here = await world(t);
  const {provider} = here;
  const container = await started(here);
  await overSocket(
    container,
    '/run',
    'mkdir -p /opt && echo tool >/opt/tool && echo row >/data/rows && cd /var/lib/branchtab && echo secret >secret && echo secret >.secret && echo tree >workspace.json && echo old >/run/branchtab/left && echo old >/tmp/left',
  );
  await provider.stop(container.id, noGrace);
  const again = await provider.start(container.id);
  t.is(await overSocket(again, '/run', 'cat /opt/tool'), 'tool\n');
  await provider.snapshot(container.id, 'main');
  t.is(await overSocket(again, '/health'), 'ok');

  for (const withData of [false, true]) {
    const {id} = await provider.create({name: `clone-${withData}`, labels: {}, from: 'main', withData});
    const clone = await provider.start(id);
    t.is(await overSocket(clone, '/run', 'cat /opt/tool'), 'tool\n');
    t.is(await overSocket(clone, '/id'), id);
    t.is(await overSocket(clone, '/run', 'ls -A /var/lib/branchtab'), 'workspace.json\n');
    t.is(await overSocket(clone, '/run', 'ls -A /tmp'), '');
    t.is(await overSocket(clone, '/run', 'ls /run/branchtab'), 'control.sock\n');
    t.is(await overSocket(clone, '/run', 'cat /data/rows'), withData ? 'row\n' : '');
  }
});

test('a clone outlives its snapshot, and the snapshot its container', async (t) => {
  const here = await world(t);
  const {provider} = here;
  const container = await started(here);
  await overSocket(container, '/run', 'mkdir -p /opt && echo tool >/opt/tool');
  await provider.snapshot(container.id, 'main');
  await provider.remove(container.id);
  const {id} = await provider.create({name: 'clone', labels: {}, from: 'main'});
  await provider.removeSnapshot('main');
  t.is(await overSocket(await provider.start(id), '/run', 'cat /opt/tool'), 'tool\n');
  t.deepEqual((await instancesOf(here)).length, 1);
});

test('an image with musl is refused with a word on what to do, and leaves nothing', async (t) => {
  const here = await world(t, {image: serverOrThrow().muslImage});
  await t.throwsAsync(here.provider.create({name: 'main-1', labels: {}}), {
    code: 'IMAGE_UNUSABLE',
    message: /musl.*Debian.*incus\.image/s,
  });
  t.deepEqual(await readdir(join(here.stateDirectory, 'containers')), []);
  t.deepEqual(await instancesOf(here), []);
});

test('an image that the server does not have is refused by its name', async (t) => {
  const {provider} = await world(t, {image: 'no/such'});
  await t.throwsAsync(provider.create({name: 'main-1', labels: {}}), {
    code: 'IMAGE_UNUSABLE',
    message: /no\/such/,
  });
});

test('instances of others are never touched, whatever they are called', async (t) => {
  const {incus} = serverOrThrow();
  const here = await world(t);
  const {provider} = here;
  const {id} = await provider.create({name: 'main-1', labels: {}});
  const name = `bt-main-1-${id.slice(0, 8)}`;
  await incus.remove(name);
  await foreignInstance(t, name, foreign());
  const refusal = {code: 'NAME_TAKEN', message: /not made by this state directory/};
  await t.throwsAsync(provider.start(id), refusal);
  await t.throwsAsync(provider.stop(id, noGrace), refusal);
  await t.throwsAsync(provider.remove(id), refusal);
  await here.reopen();
  t.true((await incus.findInstance(name))?.running);
  while ((await incus.stop(name)) === 'busy') await Bun.sleep(20);
  while ((await incus.remove(name)) === 'busy') await Bun.sleep(20);
  await provider.remove(id);
  t.deepEqual(await provider.list(), []);
});

test('what a crash left in the server is removed at the next start, and nothing of others', async (t) => {
  const {incus} = serverOrThrow();
  const here = await world(t);
  await foreignInstance(t, 'theirs', foreign());
  const mine = {[ownerKey]: here.options.owner};
  await foreignInstance(t, 'orphan', foreign({...mine, 'user.branchtab.id': 'e'.repeat(24)}));
  await foreignInstance(t, 'half-made', foreign({...mine, 'user.branchtab.snapshot': 'abc'}));
  const kept = await started(here);
  await here.reopen();
  t.is(await incus.findInstance('orphan'), null);
  t.is(await incus.findInstance('half-made'), null);
  t.not(await incus.findInstance('theirs'), null);
  t.is(await overSocket(kept, '/health'), 'ok');
});

test('a newer runtime is taken at the next start', async (t) => {
  const here = await world(t);
  const container = await started(here);
  const same = await installStub(join(here.stateDirectory, '../newer'));
  await writeFile(join(same.runtimeDirectory, 'mark'), 'newer');
  const newer = await here.open(same);
  await newer.stop(container.id, noGrace);
  const upgraded = await newer.start(container.id);
  t.is(await overSocket(upgraded, '/run', 'cat /run/branchtab-runtime/mark'), 'newer');
});

test('a container whose instance is gone is made anew from its snapshot, where an empty beginning is asked for', async (t) => {
  const {incus} = serverOrThrow();
  const here = await world(t);
  const {provider} = here;
  const container = await started(here);
  await overSocket(container, '/run', 'mkdir -p /opt && echo tool >/opt/tool');
  await provider.snapshot(container.id, 'main');
  const clone = await provider.create({name: 'clone', labels: {}, from: 'main'});
  const name = `bt-clone-${clone.id.slice(0, 8)}`;
  await incus.remove(name);
  await t.throwsAsync(provider.start(clone.id), {code: 'DATA_LOST', message: new RegExp(name)});
  const again = await provider.start(clone.id, {makeData: true});
  t.is(await overSocket(again, '/run', 'cat /opt/tool'), 'tool\n');
});

test('a state directory of another provider is refused, not begun anew', async (t) => {
  const here = await world(t);
  await here.provider.create({name: 'main-1', labels: {}});
  await t.throwsAsync(createProcessProvider({...here.options, level: 'plain'}), {
    code: 'CONFIG_INVALID',
    message: /provider incus/,
  });
});

test('the network that only these containers have leads out, keeps them apart, leaves their kits to them, and goes with the last', async (t) => {
  const here = await world(t, {network: 'own'});
  const [one, two] = [await started(here, 'one'), await started(here, 'two')];
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

const killedDuring: Record<
  string,
  {readonly at: keyof Incus; readonly work: (here: IncusWorld, id: string) => Promise<unknown>}
> = {
  'the making of a container': {
    at: 'createInstance',
    work: ({provider}) => provider.create({name: 'second', labels: {}}),
  },
  'a start': {at: 'start', work: ({provider}, id) => provider.start(id)},
  'a removal': {at: 'remove', work: ({provider}, id) => provider.remove(id)},
  'a snapshot': {at: 'createInstance', work: ({provider}, id) => provider.snapshot(id, 'main')},
};

for (const [what, {at, work}] of Object.entries(killedDuring)) {
  test(`a server that is killed during ${what} fails it with a word on what to do, and all goes on when it is back`, async (t) => {
    const own = serverOrThrow();
    let armed = false;
    const incus = new Proxy(own.incus, {
      get(target, name: keyof Incus) {
        const value = target[name];
        if (name !== at || typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          const call = Reflect.apply(value, target, args) as Promise<unknown>;
          if (armed) {
            armed = false;
            call.catch(() => {});
            await own.kill();
          }
          return await call;
        };
      },
    });
    const here = await world(t, {incus});
    const neighbour = await started(here, 'neighbour');
    const {id} = await here.provider.create({name: 'main-1', labels: {}});
    if (what === 'a removal' || what === 'a snapshot') await here.provider.start(id);
    armed = true;
    await work(here, id).catch((error: unknown) => {
      t.regex(String(error), /server|runtime/);
    });
    t.false(armed);
    t.is(await overSocket(neighbour, '/health'), 'ok', 'what runs does not need the server');
    await own.revive();
    const all = ['main-1', 'neighbour'];
    if (what === 'a removal') {
      await here.provider.remove(id);
      t.deepEqual(
        (await here.provider.list()).map(({name}) => name),
        ['neighbour'],
      );
      t.false(existsSync(here.directories(id).data));
    } else if (what === 'a start') {
      t.is(await overSocket(await here.provider.start(id), '/health'), 'ok');
    } else {
      const next = await here.reopen();
      const names = (await next.list()).map(({name}) => name).toSorted();
      t.deepEqual(
        names.filter((name) => name !== 'second'),
        all,
      );
      await work({...here, provider: next}, id);
      const expected = what === 'a snapshot' ? 4 : 3;
      t.is((await instancesOf(here)).length, expected, 'nothing is left of the first attempt');
    }
    t.is((await here.provider.start(neighbour.id)).state, 'running');
  });
}

test('a server that is away is no container that ended, and one that ended meanwhile is told when it is back', async (t) => {
  const own = serverOrThrow();
  const here = await world(t);
  const [stays, ends] = [await started(here, 'stays'), await started(here, 'ends')];
  const events: ContainerEvent[] = [];
  t.teardown(here.provider.watch((event) => events.push(event)));
  await own.kill();
  await t.throwsAsync(here.provider.list(), {code: 'PROVIDER_UNAVAILABLE', message: /branchtab\.yaml/});
  await overSocket(ends, '/run', 'kill -9 $PPID').catch(() => {});
  await until(async () => !(await here.runs(ends.id)));
  t.deepEqual(events, []);
  await own.revive();
  await until(async () => events.length > 0);
  t.deepEqual(events, [{id: ends.id, type: 'exited'}]);
  t.is(await overSocket(stays, '/health'), 'ok');
});

test('the configuration of an instance holds what people look for, and no more labels', async (t) => {
  const here = await world(t);
  const labels = {'branchtab.branch': 'feature/x', 'branchtab.secret': 'no'};
  await here.provider.create({name: 'main-1', labels});
  const [listed] = await instancesOf(here);
  t.like(listed?.config, {'user.branchtab.branch': 'feature/x', 'user.branchtab.name': 'main-1'});
  t.false('user.branchtab.secret' in (listed?.config ?? {}));
});

test('a snapshot of files that jobs change is of one moment', async (t) => {
  const here = await world(t);
  const container = await started(here);
  const {workspace} = here.directories(container.id);
  await overSocket(container, '/spawn', 'cd /srv; i=0; while :; do i=$((i+1)); echo $i >a; echo $i >z; done');
  await until(async () => existsSync(join(workspace, 'z')));
  await mkdir(join(workspace, 'm'));
  await here.provider.snapshot(container.id, 'main');
  const clone = await here.provider.create({name: 'clone', labels: {}, from: 'main'});
  const read = async (name: string) =>
    Number(await readFile(join(here.directories(clone.id).workspace, name), 'utf8'));
  const [first, last] = [await read('a'), await read('z')];
  t.true(first === 0 || last === 0 || first - last === 0 || first - last === 1, `${first} ${last}`);
});
