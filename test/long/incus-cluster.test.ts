import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import type {ContainerEvent} from '../../reconciler/containers/provider.ts';
import {type Clock, systemClock} from '../../runtime/platform/clock.ts';
import {overSocket, until} from '../contract/container-provider.ts';
import {startTestCluster} from '../helpers/incus-cluster.ts';
import {type IncusWorld, incusWorld} from '../helpers/incus-provider-world.ts';

const cluster = await startTestCluster();
const skipReason = 'reason' in cluster ? cluster.reason : null;
const test = (skipReason === null ? anyTest.serial : anyTest.skip) as TestFn;
anyTest.after.always('the cluster ends', async () => {
  if (!('reason' in cluster)) await cluster.close();
});

function clusterOrThrow() {
  if ('reason' in cluster) throw new Error(cluster.reason);
  return cluster;
}

const world = (t: ExecutionContext, change = {}): Promise<IncusWorld> =>
  incusWorld(t, clusterOrThrow(), change);

test('containers are found and reached on every member, and cloned from one to the other', async (t) => {
  const here = await world(t);
  const on = async (target: string) => {
    const provider = await here.open({target});
    const {id} = await provider.create({name: `on-${target}`, labels: {}});
    return await provider.start(id);
  };
  const [one, two] = [await on('one'), await on('two')];
  const controller = await here.reopen();
  const {incus} = clusterOrThrow();
  t.deepEqual(
    (await incus.listInstances('user.branchtab.owner', here.options.owner)).map(({member}) => member),
    ['one', 'two'],
  );
  t.deepEqual(
    (await controller.list()).map(({state}) => state),
    ['running', 'running'],
  );
  for (const container of [one, two]) {
    t.is(await overSocket(container, '/health'), 'ok');
    t.is(await overSocket(container, '/run', 'wget -qO- http://hoody-exec/id'), container.id);
  }
  const text = 'x'.repeat(100_000);
  t.is(await overSocket(two, '/run', `printf %s ${text} >/data/up; wc -c </data/up`), '100000\n');
  const download = 'head -c 3000000 /dev/zero';
  t.is((await overSocket(two, '/run', `${download} | tee /data/large`)).length, 3_000_000);

  await controller.snapshot(two.id, 'main');
  const far = await here.open({target: 'one'});
  const {id} = await far.create({name: 'clone', labels: {}, from: 'main', withData: true});
  t.is((await overSocket(await far.start(id), '/run', 'cat /data/large')).length, 3_000_000);
});

test('a member that dies is told at once, nothing of it runs twice, and a preview is built elsewhere when its lease is over', async (t) => {
  const here = await world(t, {target: 'two'});
  const {incus, killSecond, reviveSecond} = clusterOrThrow();
  const made = await Promise.all(
    ['preview', 'live', 'removed', 'stopped'].map(async (name) => {
      const {id} = await here.provider.create({name, labels: {}});
      return await here.provider.start(id);
    }),
  );
  const [preview, live, removed, stopped] = made;
  if (preview === undefined || live === undefined || removed === undefined || stopped === undefined)
    return t.fail();
  await overSocket(preview, '/run', 'echo two >/data/where');

  let ahead = 0;
  const clock: Clock = {now: () => systemClock.now() + ahead, sleep: systemClock.sleep};
  const controller = await here.open({target: undefined, clock});
  const events: ContainerEvent[] = [];
  t.teardown(controller.watch((event) => events.push(event)));
  await killSecond();
  await until(async () => new Set(events.map(({id}) => id)).size === 4);
  t.deepEqual(new Set((await controller.list()).map(({state}) => state)), new Set(['failed']));

  const waits = {code: 'PROVIDER_UNAVAILABLE', message: /member two.*nothing is made elsewhere/s};
  await t.throwsAsync(controller.start(live.id), waits);
  await t.throwsAsync(controller.start(live.id, {makeData: true}), waits);
  const lease = {makeData: true, rebuildAfterMs: 60_000};
  await t.throwsAsync(controller.start(preview.id, lease), {
    code: 'PROVIDER_UNAVAILABLE',
    message: /member two.*made anew on another at/s,
  });
  await controller.remove(removed.id);
  await controller.stop(stopped.id, {graceMs: 0, reason: 'test'});

  ahead += 60_000 + 31_000;
  const again = await controller.start(preview.id, lease);
  t.is(again.state, 'running');
  t.is(await overSocket(again, '/run', 'cat /data/where'), '');
  await t.throwsAsync(controller.start(live.id, {makeData: true}), waits);
  const instances = () => incus.listInstances('user.branchtab.owner', here.options.owner);
  t.is((await instances()).filter(({member}) => member === 'one').length, 1);

  await reviveSecond();
  await until(async () => (await controller.list()).find(({id}) => id === live.id)?.state === 'running');
  t.is(await overSocket(live, '/id'), live.id);
  // What was left there goes: the former preview, the removed one; the stopped one stands still.
  await until(async () => (await instances()).length === 3);
  await until(async () => (await instances()).filter(({running}) => running).length === 2);
  t.is(await overSocket(again, '/health'), 'ok');
  t.deepEqual((await controller.list()).map(({name, state}) => `${name} ${state}`).toSorted(), [
    'live running',
    'preview running',
    'stopped stopped',
  ]);
  return undefined;
});
