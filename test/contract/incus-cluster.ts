import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import type {Container, ContainerEvent, ContainerProvider} from '../../reconciler/containers/provider.ts';
import {type Clock, systemClock} from '../../runtime/platform/clock.ts';
import type {TestCluster} from '../helpers/incus-cluster.ts';
import {askIncus} from '../helpers/incus-daemon.ts';
import {type IncusWorld, incusWorld} from '../helpers/incus-provider-world.ts';
import {overSocket, started, until} from './container-provider.ts';
import {callsOf} from './engine-provider.ts';

/** Registers what the incus provider does with a cluster. */
export function registerIncusClusterContract(
  name: string,
  cluster: TestCluster | {readonly reason: string},
): void {
  const skipReason = 'reason' in cluster ? cluster.reason : null;
  const test = (skipReason === null ? anyTest.serial : anyTest.skip) as TestFn;
  const title = (text: string) => `${name}: ${text}`;
  anyTest.after.always(`${name} ends`, async () => {
    if (!('reason' in cluster)) await cluster.close();
  });

  const clusterOrThrow = () => {
    if ('reason' in cluster) throw new Error(cluster.reason);
    return cluster;
  };
  const world = (t: ExecutionContext, change = {}): Promise<IncusWorld> =>
    incusWorld(t, clusterOrThrow(), change);
  const instancesOf = (here: IncusWorld) =>
    clusterOrThrow().incus.listInstances('user.branchtab.owner', here.options.owner);
  const membersOf = async (here: IncusWorld, {id}: Pick<Container, 'id'>) =>
    (await instancesOf(here)).flatMap(({config, member}) =>
      config['user.branchtab.id'] === id ? member : [],
    );
  /** Makes it the group of these members alone, until the test is over. */
  const group = async (t: ExecutionContext, name: string, of: readonly string[]) => {
    const {socketPath} = clusterOrThrow();
    await askIncus(socketPath, 'POST', '/1.0/cluster/groups', {name, members: of});
    t.teardown(async () => {
      await askIncus(socketPath, 'PUT', `/1.0/cluster/groups/${name}`, {members: []});
      await askIncus(socketPath, 'DELETE', `/1.0/cluster/groups/${name}`);
    });
  };

  test(
    title('containers are found and reached on every member, and cloned from one to the other'),
    async (t) => {
      const here = await world(t);
      const on = async (target: string) => {
        const provider = await here.open({target});
        const {id} = await provider.create({name: `on-${target}`, labels: {}});
        return await provider.start(id);
      };
      const [one, two] = [await on('one'), await on('two')];
      const controller = await here.reopen();
      t.deepEqual(
        (await instancesOf(here)).map(({member}) => member),
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
    },
  );

  test(
    title(
      'a member that dies is told at once, nothing of it runs twice, and a preview is built elsewhere when its lease is over',
    ),
    async (t) => {
      const here = await world(t, {target: 'two'});
      const {killSecond, reviveSecond} = clusterOrThrow();
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
      const instances = () => instancesOf(here);
      t.is((await instances()).filter(({member}) => member === 'one').length, 1);

      await reviveSecond();
      await until(async () => events.some(({id, type}) => id === live.id && type === 'returned'));
      t.is((await controller.list()).find(({id}) => id === live.id)?.state, 'running');
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
    },
  );

  test(
    title('containers, clones and what is made anew go to members of the group, wherever their snapshot is'),
    async (t) => {
      const {socketPath, killSecond, reviveSecond} = clusterOrThrow();
      await group(t, 'first', ['one']);
      await group(t, 'previews', ['two']);
      const here = await world(t, {target: '@first'});
      const {id: origin} = await here.provider.create({name: 'origin', labels: {}});
      t.deepEqual(await membersOf(here, {id: origin}), ['one']);
      await overSocket(await here.provider.start(origin), '/run', 'mkdir -p /opt && echo tool >/opt/tool');
      await here.provider.snapshot(origin, 'main');

      let ahead = 0;
      const clock: Clock = {now: () => systemClock.now() + ahead, sleep: systemClock.sleep};
      const controller = await here.open({target: '@previews', clock});
      const fresh = await started(controller, 'fresh');
      const clone = await controller.create({name: 'clone', labels: {}, from: 'main'});
      for (const each of [fresh, clone]) t.deepEqual(await membersOf(here, each), ['two']);
      const there = await controller.start(clone.id);
      t.is(await overSocket(there, '/run', 'cat /opt/tool'), 'tool\n');

      const ends: ContainerEvent[] = [];
      t.teardown(controller.watch((event) => ends.push(event)));
      await killSecond();
      await until(async () => ends.some(({id}) => id === clone.id));
      const lease = {makeData: true, rebuildAfterMs: 60_000};
      await t.throwsAsync(controller.start(clone.id, lease), {message: /made anew on another at/});
      ahead += 60_000 + 31_000;
      await t.throwsAsync(controller.start(clone.id, lease), {
        code: 'PROVIDER_UNAVAILABLE',
        message: /at @previews.* two does not answer/,
      });
      await askIncus(socketPath, 'PUT', '/1.0/cluster/groups/previews', {members: ['one', 'two']});
      const again = await controller.start(clone.id, lease);
      t.is(await overSocket(again, '/run', 'cat /opt/tool'), 'tool\n');
      await reviveSecond();
      await until(async () => Bun.deepEquals(await membersOf(here, clone), ['one']));
    },
  );

  test(
    title('two controllers place on groups of their own, and neither touches what is of the other'),
    async (t) => {
      await group(t, 'first', ['one']);
      await group(t, 'second', ['two']);
      const both = await Promise.all([world(t, {target: '@first'}), world(t, {target: '@second'})]);
      const made = await Promise.all(
        both.map(async (here, index) => {
          const container = await started(here.provider, 'same-name');
          await overSocket(container, '/run', `mkdir -p /opt && echo ${index} >/opt/whose`);
          await here.provider.snapshot(container.id, 'main');
          const {id} = await here.provider.create({name: 'clone', labels: {}, from: 'main'});
          return await here.provider.start(id);
        }),
      );
      for (const [index, here] of both.entries()) {
        t.deepEqual(
          new Set((await instancesOf(here)).map(({member}) => member)),
          new Set([['one', 'two'][index]]),
        );
        const clone = made[index];
        t.is(clone === undefined ? '' : await overSocket(clone, '/run', 'cat /opt/whose'), `${index}\n`);
      }
      const [mine, other] = both;
      if (mine === undefined || other === undefined) return t.fail();
      const before = (await instancesOf(other)).length;
      for (const {id} of await mine.provider.list()) await mine.provider.remove(id);
      await mine.reopen();
      t.is((await instancesOf(other)).length, before);
      for (const {state} of await other.provider.list()) t.is(state, 'running');
      return undefined;
    },
  );

  for (const target of ['three', '@nobody']) {
    test(
      title(`the target ${target} that is not there is told with what there is, and nothing is made`),
      async (t) => {
        await group(t, 'previews', ['two']);
        const here = await world(t, {target});
        await t.throwsAsync(here.provider.create({name: 'main-1', labels: {}}), {
          code: 'CONFIG_INVALID',
          message: new RegExp(`no (member|group) ${target}.*incus.target.*one, two, @default, @previews`),
        });
        t.deepEqual(await instancesOf(here), []);
        t.deepEqual(await here.provider.list(), []);
      },
    );
  }

  for (const network of ['own', 'bt-shared'] as const) {
    test(
      title(
        `the network ${network} leads out and to the own kits on every member, keeps containers apart, and serves while a member is away`,
      ),
      async (t) => {
        const {socketPath, host, members, killSecond, reviveSecond} = clusterOrThrow();
        const ask = (method: string, path: string, body?: unknown) =>
          askIncus(socketPath, method, path, body);
        if (network !== 'own') {
          const bridge = {name: network, type: 'bridge'};
          for (const member of members) await ask('POST', `/1.0/networks?target=${member}`, bridge);
          const config = {'ipv4.nat': 'true', 'ipv6.address': 'none', 'ipv4.address': '10.63.0.1/24'};
          await ask('POST', '/1.0/networks', {...bridge, config});
          t.teardown(() => ask('DELETE', `/1.0/networks/${network}`));
        }
        const seen: string[] = [];
        const outside = Bun.serve({
          hostname: host,
          port: 0,
          fetch(request, server) {
            seen.push(server.requestIP(request)?.address ?? '');
            return new Response('the world');
          },
        });
        t.teardown(() => outside.stop(true));
        const here = await world(t, {network});
        const on = async (target: string, name: string) => await started(await here.open({target}), name);
        const [one, two, beside] = [await on('one', 'a'), await on('two', 'b'), await on('two', 'c')];
        const addressOf = async (container: Container) =>
          /inet addr:([0-9.]+)/.exec(await overSocket(container, '/run', 'ifconfig eth0'))?.[1] ?? 'none';
        for (const container of [one, two, beside]) {
          for (const kit of ['localhost', 'hoody-cron', 'hoody-exec', 'hoody-pipe', 'hoody-notifications'])
            t.is(await overSocket(container, '/run', `wget -qO- http://${kit}/id`), container.id, kit);
          t.is(await overSocket(container, '/run', `wget -qO- http://${host}:${outside.port}/`), 'the world');
          for (const other of [one, two, beside]) {
            if (other === container) continue;
            const reach = `ping -c 1 -W 1 ${await addressOf(other)} >/dev/null || echo away`;
            t.is(await overSocket(container, '/run', reach), 'away\n');
          }
        }
        t.is(new Set(await Promise.all([one, two, beside].map(addressOf))).size, 3);
        // Each goes out over its own member.
        t.is(new Set(seen).size, 2);

        await killSecond();
        const controller = await here.open({target: 'one'});
        const late = await started(controller, 'late');
        t.is(await overSocket(late, '/run', `wget -qO- http://${host}:${outside.port}/`), 'the world');
        t.not(await addressOf(late), await addressOf(one));
        await reviveSecond();
        await until(async () => (await controller.list()).every(({state}) => state === 'running'));

        for (const {id} of await controller.list()) await controller.remove(id);
        const left = JSON.stringify(await ask('GET', '/1.0/networks'));
        t.notRegex(left, new RegExp(`bt-${here.options.owner.slice(0, 12)}`));
        if (network !== 'own') t.regex(left, /bt-shared/);
      },
    );
  }

  const cutShort = {
    createInstance: {what: 'a container is made there', names: ['cut', 'kept']},
    start: {what: 'a container is started there', names: ['cut', 'kept']},
    remove: {what: 'a container is removed there', names: ['kept']},
  } as const;
  for (const [call, {what, names}] of Object.entries(cutShort)) {
    test(
      title(`a member that dies while ${what} leaves nothing half made, and loses nothing that was answered`),
      async (t) => {
        const {incus, killSecond, reviveSecond} = clusterOrThrow();
        let isArmed = false;
        const intercept = callsOf(call, async (under) => {
          if (!isArmed) return;
          isArmed = false;
          // It is under way when the member ends, and may fail before anybody waits for it.
          under.catch(() => {});
          await killSecond();
        });
        const here = await world(t, {target: 'two', incus: intercept(incus)});
        const kept = await started(here.provider, 'kept');
        const work = async (provider: ContainerProvider) => {
          if (call !== 'remove') return await started(provider, 'cut');
          const found = (await provider.list()).find(({name}) => name === 'cut');
          return found === undefined ? undefined : await provider.remove(found.id);
        };
        if (call === 'remove') await started(here.provider, 'cut');
        isArmed = true;
        await work(here.provider).catch((error: unknown) => t.regex(String(error), /server|member|cluster/i));
        t.false(isArmed);
        await reviveSecond();

        const next = await here.reopen();
        t.teardown(next.watch(() => {}));
        await work(next);
        const all = await next.list();
        t.deepEqual(all.map(({name}) => name).toSorted(), [...names]);
        for (const {id} of all) t.is(await overSocket(await next.start(id), '/id'), id);
        t.true(all.some(({id}) => id === kept.id));
        await until(async () => {
          const left = (await instancesOf(here)).map(({config}) => config['user.branchtab.id']);
          return Bun.deepEquals(left.toSorted(), all.map(({id}) => id).toSorted());
        });
      },
    );
  }
}
