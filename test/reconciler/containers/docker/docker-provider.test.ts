import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import {overSocket, started} from '../../../contract/container-provider.ts';
import {startTestEngine} from '../../../helpers/container-engine.ts';
import {type DockerWorld, dockerWorld} from '../../../helpers/docker-provider-world.ts';

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

test('images of snapshots go with the last that needs them', async (t) => {
  const {engine} = engineOrThrow();
  const here = await world(t);
  const images = () => engine.listImages(`branchtab.image_owner=${here.options.owner}`);
  const {id} = await started(here.provider);
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

test('the network that only these containers have leads out, leaves their kits to them, and goes with the last', async (t) => {
  const {engine} = engineOrThrow();
  const here = await world(t, {network: 'own'});
  const one = await started(here.provider, 'one');
  const two = await started(here.provider, 'two');
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

test('the file system is kept also where the container has to be made anew for another runtime', async (t) => {
  const here = await world(t);
  const container = await started(here.provider);
  await overSocket(container, '/run', 'mkdir -p /opt && echo kept >/opt/file');
  const [bun = '', stub = ''] = here.options.runtimeCommand;
  const other = await here.open({runtimeCommand: [bun, '--smol', stub]});
  await other.stop(container.id, noGrace);
  const remade = await other.start(container.id);
  t.is(await overSocket(remade, '/run', 'cat /opt/file'), 'kept\n');
});

test('no label of an image makes a container that a person makes of it ours', async (t) => {
  const {engine} = engineOrThrow();
  const here = await world(t);
  const {id} = await started(here.provider);
  await here.provider.snapshot(id, 'main');
  const [image] = await engine.listImages(`branchtab.image_owner=${here.options.owner}`);
  const theirs = await engine.createContainer('by-hand', {
    image: image?.id ?? '',
    command: ['/bin/sleep', '1000'],
    env: {},
    user: '0:0',
    workingDirectory: '/',
    hostName: 'by-hand',
    labels: {},
    mounts: [],
    localNames: [],
    network: 'none',
    capabilities: [],
    limits: {cpus: null, memoryBytes: null},
  });
  t.teardown(() => engine.remove(theirs));
  await here.reopen();
  t.not(await engine.findContainer(theirs), null);
});
