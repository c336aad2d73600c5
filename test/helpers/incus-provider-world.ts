import {readdirSync} from 'node:fs';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {
  createIncusProvider,
  type IncusProviderOptions,
} from '../../reconciler/containers/incus/incus-provider.ts';
import type {EngineContractOptions, EngineWorld} from '../contract/engine-provider.ts';
import type {TestIncus} from './incus-daemon.ts';
import {createProviderWorld, type OptionsWorld, someOwner} from './provider-world.ts';

export type IncusWorld = OptionsWorld<IncusProviderOptions> & EngineWorld;

/** A state directory of its own on a server. */
export async function incusWorld(
  t: ExecutionContext,
  {incus, at, image, pool, rootOf}: Pick<TestIncus, 'incus' | 'at' | 'image' | 'pool' | 'rootOf'>,
  change: Partial<IncusProviderOptions> = {},
): Promise<IncusWorld> {
  const world = await createProviderWorld<IncusProviderOptions>(t, {
    create: createIncusProvider,
    own: {incus, owner: someOwner(), image, pool, network: 'none', ...change},
    reach: {incus: at},
    directories: (id) => {
      const all = readdirSync(join(rootOf('any'), '../..'));
      const instance = all.find((name) => name.endsWith(`-${id.slice(0, 8)}`)) ?? 'gone';
      return {data: join(rootOf(instance), 'data'), workspace: join(rootOf(instance), 'srv')};
    },
  });
  const {owner} = world.options;
  const remove = async (name: string) => {
    while ((await incus.stop(name)) === 'busy') await Bun.sleep(20);
    while ((await incus.remove(name)) === 'busy') await Bun.sleep(20);
  };
  return {
    ...world,
    nameInEngine: ({name, id}) => `bt-${name}-${id.slice(0, 8)}`,
    async labelsInEngine() {
      const listed = await incus.listInstances('user.branchtab.owner', owner);
      return listed.map(({config}) =>
        Object.fromEntries(Object.entries(config).map(([key, value]) => [key.replace(/^user\./, ''), value])),
      );
    },
    async runForeign(name, {isOurs = false, id, snapshot} = {}) {
      await remove(name);
      await incus.createInstance(name, {
        source: {image},
        profiles: [],
        config: {
          'raw.lxc': 'lxc.init.cmd = /bin/sleep 100000',
          'user.branchtab.owner': isOurs ? owner : 'somebody-else',
          ...(id === undefined ? {} : {'user.branchtab.id': id}),
          ...(snapshot === undefined ? {} : {'user.branchtab.snapshot': snapshot}),
        },
        devices: {root: {type: 'disk', path: '/', pool}},
      });
      await incus.start(name);
      t.teardown(() => remove(name));
      return {
        runs: async () => (await incus.findInstance(name))?.running ?? false,
        remove: () => remove(name),
      };
    },
  };
}

/** What is the same for every server that speaks this API. */
export const incusContract = {
  setup: (t, server, {image, intercept} = {}) =>
    incusWorld(t, server, {
      ...(image === undefined ? {} : {image}),
      ...(intercept === undefined ? {} : {incus: intercept(server.incus)}),
    }),
  calls: {making: 'createInstance', start: 'start', removal: 'remove', snapshot: 'createInstance'},
} satisfies Pick<EngineContractOptions<TestIncus>, 'setup' | 'calls'>;
