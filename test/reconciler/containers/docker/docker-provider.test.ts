import {existsSync} from 'node:fs';
import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import type {ContainerSpec, Engine} from '../../../../reconciler/containers/docker/engine.ts';
import {createProcessProvider} from '../../../../reconciler/containers/process/process-provider.ts';
import type {Container, ContainerEvent} from '../../../../reconciler/containers/provider.ts';
import {overSocket, until} from '../../../contract/container-provider.ts';
import {startTestEngine} from '../../../helpers/container-engine.ts';
import {type DockerWorld, dockerWorld} from '../../../helpers/docker-provider-world.ts';
import {installStub} from '../../../helpers/process-provider-world.ts';

const podman = await startTestEngine('podman');
const test = ('reason' in podman ? anyTest.skip : anyTest.serial) as TestFn;
anyTest.after.always('the engine ends', async () => {
  if (!('reason' in podman)) await podman.close();
});

function engineOrThrow() {
  if ('reason' in podman) throw new Error(podman.reason);
  return podman;
}

const noGrace = {graceMs: 0, reason: 'test'};
const world = (t: ExecutionContext, change = {}): Promise<DockerWorld> =>
  dockerWorld(t, engineOrThrow(), change);

async function started({provider}: DockerWorld, name = 'main-1'): Promise<Container> {
  const {id} = await provider.create({name, labels: {}});
  return await provider.start(id);
}

/** A container of somebody else. */
const foreign: ContainerSpec = {
  image: 'localhost/branchtab-test:glibc',
  command: ['/bin/sleep', '1000'],
  env: {},
  user: '0:0',
  workingDirectory: '/',
  hostName: 'foreign',
  labels: {'branchtab.owner': 'somebody-else', 'branchtab.id': 'f'.repeat(24)},
  mounts: [],
  localNames: [],
  network: 'none',
  capabilities: [],
  limits: {cpus: null, memoryBytes: null},
};

test('names of the kits and localhost lead to the own runtime, on port 80', async (t) => {
  const container = await started(await world(t));
  for (const name of ['localhost', 'hoody-cron', 'hoody-exec', 'hoody-pipe', 'hoody-notifications'])
    t.is(await overSocket(container, '/run', `wget -qO- http://${name}/id`), container.id, name);
});

test('what a job changed in the file system survives a restart and comes into clones, and nothing of its data does', async (t) => {
  const here = await world(t);
  const {provider} = here;
  const container = await started(here);
  await overSocket(
    container,
    '/run',
    'mkdir -p /opt && echo tool >/opt/tool && echo row >/data/rows && echo secret >/var/lib/branchtab/secret && echo old >/run/branchtab/left',
  );
  await provider.stop(container.id, noGrace);
  const again = await provider.start(container.id);
  t.is(await overSocket(again, '/run', 'cat /opt/tool'), 'tool\n');
  await provider.snapshot(container.id, 'main');
  t.is(await overSocket(again, '/health'), 'ok');

  const {id} = await provider.create({name: 'clone', labels: {}, from: 'main'});
  await provider.remove(container.id);
  const clone = await provider.start(id);
  t.is(await overSocket(clone, '/run', 'cat /opt/tool'), 'tool\n');
  t.is(await overSocket(clone, '/id'), id);
  t.is(await overSocket(clone, '/run', 'ls /var/lib/branchtab'), '');
  t.is(await overSocket(clone, '/run', 'ls /run/branchtab; ls /data'), 'boot\ncontrol.sock\nboot-mark\n');
});

test('an image with musl is refused with a word on what to do, and leaves nothing', async (t) => {
  const {engine, muslImage} = engineOrThrow();
  const {provider, stateDirectory, options} = await world(t, {image: muslImage});
  await t.throwsAsync(provider.create({name: 'main-1', labels: {}}), {
    code: 'IMAGE_UNUSABLE',
    message: /musl.*Debian/s,
  });
  t.deepEqual(await readdir(join(stateDirectory, 'containers')), []);
  t.deepEqual(await engine.listContainers(`branchtab.owner=${options.owner}`), []);
});

test('an image that is nowhere is refused by its name', async (t) => {
  const {provider} = await world(t, {image: 'localhost:1/no/such:image'});
  await t.throwsAsync(provider.create({name: 'main-1', labels: {}}), {
    code: 'IMAGE_UNUSABLE',
    message: /localhost:1\/no\/such:image/,
  });
});

test('containers of others are never touched, whatever they are called', async (t) => {
  const {engine} = engineOrThrow();
  const here = await world(t);
  const {provider} = here;
  const {id} = await provider.create({name: 'main-1', labels: {}});
  const name = `branchtab-main-1-${id.slice(0, 8)}`;
  const theirs = await engine.createContainer(name, foreign);
  t.teardown(() => engine.remove(theirs));
  await engine.start(theirs);
  const refusal = {code: 'NAME_TAKEN', message: /not made by this state directory/};
  await t.throwsAsync(provider.start(id), refusal);
  await t.throwsAsync(provider.stop(id, noGrace), refusal);
  await t.throwsAsync(provider.remove(id), refusal);
  await here.reopen();
  t.true((await engine.findContainer(theirs))?.running);
  await engine.remove(theirs);
  await provider.remove(id);
  t.deepEqual(await provider.list(), []);
});

test('what a crash left in the engine is removed at the next start, and nothing of others', async (t) => {
  const {engine} = engineOrThrow();
  const here = await world(t);
  const mine = {'branchtab.owner': here.options.owner, 'branchtab.id': 'e'.repeat(24)};
  const orphan = await engine.createContainer('orphan', {...foreign, labels: mine});
  const theirs = await engine.createContainer('theirs', foreign);
  t.teardown(() => engine.remove(theirs));
  await engine.start(orphan);
  const kept = await started(here);
  await here.reopen();
  t.is(await engine.findContainer(orphan), null);
  t.not(await engine.findContainer(theirs), null);
  t.is(await overSocket(kept, '/health'), 'ok');
});

test('images of snapshots go with the last that needs them', async (t) => {
  const {engine} = engineOrThrow();
  const here = await world(t);
  const images = () => engine.listImages(`branchtab.image_owner=${here.options.owner}`);
  const {id} = await started(here);
  await here.provider.snapshot(id, 'main');
  await here.provider.snapshot(id, 'main');
  t.is((await images()).length, 1);
  const clone = await here.provider.create({name: 'clone', labels: {}, from: 'main'});
  await here.provider.start(clone.id);
  await here.provider.removeSnapshot('main');
  t.is((await images()).length, 1);
  await here.provider.remove(clone.id);
  t.deepEqual(await images(), []);
});

test('a newer runtime is taken at the next start, and the file system is kept also where the container has to be made anew', async (t) => {
  const here = await world(t);
  const container = await started(here);
  await overSocket(container, '/run', 'mkdir -p /opt && echo kept >/opt/file');
  const same = await installStub(join(here.stateDirectory, '../newer'));
  await writeFile(join(same.runtimeDirectory, 'mark'), 'newer');
  const newer = await here.open(same);
  await newer.stop(container.id, noGrace);
  const upgraded = await newer.start(container.id);
  t.is(await overSocket(upgraded, '/run', 'cat /run/branchtab-runtime/mark /opt/file'), 'newerkept\n');

  const [bun = '', stub = ''] = same.runtimeCommand;
  const other = await here.open({...same, runtimeCommand: [bun, '--smol', stub]});
  await other.stop(container.id, noGrace);
  const remade = await other.start(container.id);
  t.is(await overSocket(remade, '/run', 'cat /opt/file'), 'kept\n');
});

test('a state directory of another provider is refused, not begun anew', async (t) => {
  const here = await world(t);
  await here.provider.create({name: 'main-1', labels: {}});
  await t.throwsAsync(createProcessProvider({...here.options, level: 'plain'}), {
    code: 'CONFIG_INVALID',
    message: /provider docker/,
  });
});

test('the network that only these containers have leads out, leaves their kits to them, and goes with the last', async (t) => {
  const {engine} = engineOrThrow();
  const here = await world(t, {network: 'own'});
  const one = await started(here, 'one');
  const two = await started(here, 'two');
  t.is(await overSocket(one, '/run', 'wget -qO- http://hoody-exec/id'), one.id);
  t.regex(await overSocket(one, '/run', 'cat /proc/net/route'), /eth0/);
  await here.provider.remove(one.id);
  await here.provider.remove(two.id);
  const name = `branchtab-${here.options.owner.slice(0, 12)}`;
  t.is((await fetchNetwork(name)).status, 404);
  t.deepEqual(await engine.listContainers(`branchtab.owner=${here.options.owner}`), []);
});

function fetchNetwork(name: string): Promise<Response> {
  return fetch(`http://engine/networks/${name}`, {unix: engineOrThrow().socketPath});
}

const killedDuring: Record<
  string,
  {readonly at: keyof Engine; readonly work: (here: DockerWorld, id: string) => Promise<unknown>}
> = {
  'the making of a container': {at: 'createContainer', work: ({provider}, id) => provider.start(id)},
  'a start': {at: 'attach', work: ({provider}, id) => provider.start(id)},
  'a removal': {at: 'remove', work: ({provider}, id) => provider.remove(id)},
};

for (const [what, {at, work}] of Object.entries(killedDuring)) {
  test(`an engine that is killed during ${what} fails it with a word on what to do, and all goes on when it is back`, async (t) => {
    const own = engineOrThrow();
    let armed = false;
    const engine = new Proxy(own.engine, {
      get(target, name: keyof Engine) {
        const value = target[name];
        if (name !== at || typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          const call = Reflect.apply(value, target, args) as Promise<unknown>;
          if (armed) await own.kill();
          armed = false;
          return await call;
        };
      },
    });
    const here = await world(t, {engine});
    const neighbour = await started(here, 'neighbour');
    const {id} = await here.provider.create({name: 'main-1', labels: {}});
    if (what === 'a removal') await here.provider.start(id);
    armed = true;
    await work(here, id).catch((error: unknown) => {
      t.regex(String(error), /engine|runtime/);
    });
    t.false(armed);
    t.is(await overSocket(neighbour, '/health'), 'ok', 'what runs does not need the engine');
    await own.revive();
    if (what === 'a removal') {
      await here.provider.remove(id);
      t.deepEqual(
        (await here.provider.list()).map(({name}) => name),
        ['neighbour'],
      );
      t.false(existsSync(here.directories(id).data));
    } else {
      t.is(await overSocket(await here.provider.start(id), '/health'), 'ok');
    }
    t.is((await here.provider.start(neighbour.id)).state, 'running');
  });
}

test('an engine that is away is no container that ended, and one that ended meanwhile is told when it is back', async (t) => {
  const own = engineOrThrow();
  const here = await world(t);
  const [stays, ends] = [await started(here, 'stays'), await started(here, 'ends')];
  const events: ContainerEvent[] = [];
  t.teardown(here.provider.watch((event) => events.push(event)));
  await own.kill();
  await t.throwsAsync(here.provider.list(), {code: 'PROVIDER_UNAVAILABLE', message: /DOCKER_HOST/});
  await overSocket(ends, '/run', 'kill -9 $PPID').catch(() => {});
  await until(async () => !(await here.runs(ends.id)));
  t.deepEqual(events, []);
  await own.revive();
  await until(async () => events.length > 0);
  t.deepEqual(events, [{id: ends.id, type: 'exited'}]);
  t.is(await overSocket(stays, '/health'), 'ok');
});

test('the labels of a container hold what people look for, and no label of an image makes another container ours', async (t) => {
  const {engine} = engineOrThrow();
  const here = await world(t);
  const labels = {'branchtab.branch': 'feature/x', 'branchtab.secret': 'no'};
  const {id} = await here.provider.create({name: 'main-1', labels});
  await here.provider.start(id);
  const [listed] = await engine.listContainers(`branchtab.owner=${here.options.owner}`);
  t.like(listed?.labels, {'branchtab.branch': 'feature/x', 'branchtab.name': 'main-1'});
  t.false('branchtab.secret' in (listed?.labels ?? {}));
  await here.provider.snapshot(id, 'main');
  const [image] = await engine.listImages(`branchtab.image_owner=${here.options.owner}`);
  const theirs = await engine.createContainer('by-hand', {...foreign, labels: {}, image: image?.id ?? ''});
  t.teardown(() => engine.remove(theirs));
  await here.reopen();
  t.not(await engine.findContainer(theirs), null);
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
