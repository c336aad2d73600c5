import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Container} from '../../reconciler/containers/provider.ts';
import type {StandaloneContainers} from '../../reconciler/standalone-containers.ts';
import {plainSettings} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import {createStandaloneWorld, type StandaloneWorld} from '../helpers/standalone-world.ts';

const noSignal = {signal: new AbortController().signal};

async function setup(t: ExecutionContext) {
  const world = await createStandaloneWorld(t);
  return {world, standalone: await world.open()};
}

/** Looks until it is so; the test's own time limit ends what never comes. */
async function until<T>(look: () => Promise<T | null> | T | null): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    await Bun.sleep(10);
  }
}

const scheduleOf = async (world: StandaloneWorld, container: Container) =>
  (await world.client(container).state(noSignal)).schedule.state;

const running = (standalone: StandaloneContainers, id: string) => () => {
  const facts = standalone.list().find(({container}) => container.id === id);
  return facts?.container.state === 'running' && facts.schedule === 'running' ? facts.container : null;
};

const runtimePid = async ({stateDirectory}: StandaloneWorld, id: string): Promise<number> =>
  JSON.parse(await readFile(join(stateDirectory, 'containers', id, 'container.json'), 'utf8')).process.runtime
    .pid;

test('S27: a created container runs its schedule, and is found by id and by name', async (t) => {
  const {world, standalone} = await setup(t);
  const {container, phase, schedule} = await standalone.create({name: 'try-out'}, noSignal);
  t.regex(container.id, /^[0-9a-f]{24}$/);
  t.is(phase, null);
  t.is(schedule, 'running');
  t.is(container.state, 'running');
  t.is(await scheduleOf(world, container), 'running');
  t.is(standalone.find(container.id)?.id, container.id);
  t.is(standalone.find('try-out')?.id, container.id);
  t.is(standalone.find('nobody'), null);
});

test('without a name it gets one of its own each time', async (t) => {
  const {standalone} = await setup(t);
  const [one, two] = await Promise.all([standalone.create({}, noSignal), standalone.create({}, noSignal)]);
  t.not(one.container.name, two.container.name);
  t.regex(one.container.name, /^container-[0-9a-f]{12}$/);
});

for (const name of [
  '',
  '-a',
  'a-',
  'A',
  'a_b',
  'a.b',
  'a/b',
  '../a',
  'a\n',
  'ü',
  'x'.repeat(50),
  '0123456789abcdef01234567',
  'main-1f0c9a3e',
]) {
  test(`the name ${JSON.stringify(name.slice(0, 30))} is refused`, async (t) => {
    const {world, standalone} = await setup(t);
    await t.throwsAsync(standalone.create({name}, noSignal), {code: 'INVALID_NAME'});
    t.deepEqual(await world.directories(), []);
  });
}

test('a name that is taken is refused, also while its container is being made', async (t) => {
  const {world, standalone} = await setup(t);
  const [first, second] = await Promise.allSettled([
    standalone.create({name: 'same'}, noSignal),
    standalone.create({name: 'same'}, noSignal),
  ]);
  t.is(first.status, 'fulfilled');
  t.like(second, {status: 'rejected', reason: {code: 'NAME_TAKEN'}});
  await t.throwsAsync(standalone.create({name: 'same'}, noSignal), {code: 'NAME_TAKEN'});
  t.is((await world.directories()).length, 1);
});

test('from a snapshot that does not exist nothing is made', async (t) => {
  const {world, standalone} = await setup(t);
  await t.throwsAsync(standalone.create({from: 'nothing'}, noSignal), {code: 'SNAPSHOT_NOT_FOUND'});
  await t.throwsAsync(standalone.create({from: '../etc'}, noSignal), {code: 'INVALID_NAME'});
  t.deepEqual(await world.directories(), []);
  t.deepEqual(standalone.list(), []);
});

test('a clone has the workspace of its snapshot and an empty data directory', async (t) => {
  const {world, standalone} = await setup(t);
  const {container: original} = await standalone.create({}, noSignal);
  const home = (id: string, part: string) => join(world.stateDirectory, 'containers', id, part);
  await writeFile(join(home(original.id, 'srv'), 'a.txt'), 'of the workspace');
  await writeFile(join(home(original.id, 'data'), 'events.db'), 'of the jobs');
  await world.provider.snapshot(original.id, 'base');
  const {container: clone} = await standalone.create({from: 'base'}, noSignal);
  t.is(await readFile(join(home(clone.id, 'srv'), 'a.txt'), 'utf8'), 'of the workspace');
  await t.throwsAsync(readFile(join(home(clone.id, 'data'), 'events.db')), {code: 'ENOENT'});
});

test('on a full host nothing is made', async (t) => {
  const world = await createStandaloneWorld(t);
  const full = new AppError('HOST_FULL', 'no disk is left');
  const standalone = await world.open({admit: () => Promise.reject(full)});
  await t.throwsAsync(standalone.create({}, noSignal), {code: 'HOST_FULL'});
  t.deepEqual(await world.directories(), []);
});

test('where the settings cannot be handed over nothing is left', async (t) => {
  const world = await createStandaloneWorld(t);
  const refusing = await world.open({
    client: (container) => ({
      ...world.client(container),
      setEnvironment: async () => Promise.reject(new Error('the disk is full')),
    }),
  });
  await t.throwsAsync(refusing.create({}, noSignal), {message: 'the disk is full'});
  t.deepEqual(await world.directories(), []);
  t.deepEqual(refusing.list(), []);
});

test('who asks for a container and leaves has none', async (t) => {
  const {world, standalone} = await setup(t);
  const left = new AbortController();
  const asked = t.throwsAsync(standalone.create({name: 'nobody-waits'}, {signal: left.signal}));
  await until(() => (standalone.list().length > 0 ? true : null));
  left.abort(new Error('left'));
  await asked;
  t.deepEqual(await world.directories(), []);
  t.deepEqual(standalone.list(), []);
});

test('S32: a removed container is found no more, and neither files nor processes are left', async (t) => {
  const {world, standalone} = await setup(t);
  const {container} = await standalone.create({name: 'short-lived'}, noSignal);
  const pid = await runtimePid(world, container.id);
  const removal = standalone.remove('short-lived');
  t.is(standalone.find(container.id), null);
  await removal;
  t.deepEqual(standalone.list(), []);
  t.deepEqual(await world.directories(), []);
  t.throws(() => process.kill(pid, 0), {code: 'ESRCH'});
  await t.throwsAsync(standalone.remove(container.id), {code: 'CONTAINER_NOT_FOUND'});
});

test('a removal that is asked for twice at once leaves nothing', async (t) => {
  const {world, standalone} = await setup(t);
  const {container} = await standalone.create({}, noSignal);
  await Promise.allSettled([standalone.remove(container.id), standalone.remove(container.id)]);
  t.deepEqual(await world.directories(), []);
  t.deepEqual(standalone.list(), []);
});

test('a runtime that dies is started again, and its schedule goes on', async (t) => {
  const {world, standalone} = await setup(t);
  const {container} = await standalone.create({}, noSignal);
  const before = await runtimePid(world, container.id);
  process.kill(before, 'SIGKILL');
  await until(() => (standalone.list()[0]?.container.state === 'failed' ? true : null));
  const again = await until(running(standalone, container.id));
  t.not(await runtimePid(world, container.id), before);
  t.is(await scheduleOf(world, again), 'running');
});

test('the pauses between restarts grow', async (t) => {
  const world = await createStandaloneWorld(t);
  const pausesMs: number[] = [];
  const enough = Promise.withResolvers<void>();
  let broken = false;
  const standalone = await world.open({
    clock: {
      now: () => 1_000_000_000,
      async sleep(ms, {signal} = {}) {
        // Of who watches over work that takes too long; this one never does.
        if (ms >= 30_000)
          await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
        else if (pausesMs.push(ms) === 4) enough.resolve();
      },
    },
    client: (container) => {
      const client = world.client(container);
      const refuse = () => Promise.reject(new Error('the runtime is broken'));
      return {...client, setSchedule: (...request) => (broken ? refuse() : client.setSchedule(...request))};
    },
  });
  const {container} = await standalone.create({}, noSignal);
  broken = true;
  process.kill(await runtimePid(world, container.id), 'SIGKILL');
  await enough.promise;
  t.deepEqual(pausesMs.slice(0, 4), [1500, 3000, 6000, 12_000]);
});

test('the next controller finds what runs without restarting it, and starts what does not', async (t) => {
  const world = await createStandaloneWorld(t);
  const first = await world.open();
  const {container: runs} = await first.create({name: 'runs'}, noSignal);
  const {container: stopped} = await first.create({name: 'stopped'}, noSignal);
  const pid = await runtimePid(world, runs.id);
  await first.close();
  await world.provider.stop(stopped.id, {graceMs: 1000, reason: 'down'});
  const second = await world.open();
  t.is(second.find('runs')?.id, runs.id);
  await until(running(second, runs.id));
  await until(running(second, stopped.id));
  t.is(await runtimePid(world, runs.id), pid);
});

test('what a crash left half made or half removed is removed at the next start, and others are left alone', async (t) => {
  const world = await createStandaloneWorld(t);
  const label = (stage: string) => ({'branchtab.standalone': stage});
  await world.provider.create({name: 'half-made', labels: label('making')});
  await world.provider.create({name: 'half-removed', labels: label('removing')});
  const {id} = await world.provider.create({name: 'of-a-branch', labels: {'branchtab.branch': 'main'}});
  const standalone = await world.open();
  // A directory is gone a moment before its container is forgotten.
  await until(async () => (standalone.list().length === 0 ? true : null));
  t.deepEqual(await world.directories(), [id]);
});

test('settings that changed while a container ran reach it at the next start of the controller', async (t) => {
  const world = await createStandaloneWorld(t);
  const first = await world.open();
  const {container} = await first.create({}, noSignal);
  await first.close();
  const before = (await world.client(container).state(noSignal)).environment.digest;
  await world.open({settings: {...plainSettings, max_entries: 7}});
  await until(async () =>
    (await world.client(container).state(noSignal)).environment.digest === before ? null : true,
  );
  t.pass();
});
