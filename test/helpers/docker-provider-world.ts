import type {ExecutionContext} from 'ava';
import {
  createDockerProvider,
  type DockerProviderOptions,
} from '../../reconciler/containers/docker/docker-provider.ts';
import type {EngineContractOptions, EngineWorld} from '../contract/engine-provider.ts';
import type {TestEngine} from './container-engine.ts';
import {createProviderWorld, type OptionsWorld, someOwner} from './provider-world.ts';

export type DockerWorld = OptionsWorld<DockerProviderOptions> & EngineWorld;

/** A state directory of its own on an engine. */
export async function dockerWorld(
  t: ExecutionContext,
  {engine, socketPath, image}: TestEngine,
  change: Partial<DockerProviderOptions> = {},
): Promise<DockerWorld> {
  const world = await createProviderWorld<DockerProviderOptions>(t, {
    create: createDockerProvider,
    own: {engine, owner: someOwner(), image, network: 'none', ...change},
    reach: {engine: socketPath},
  });
  const {owner} = world.options;
  return {
    ...world,
    // An ordinary user's engine has control groups of its own only where the host hands them out.
    freezes: !(await engine.facts()).rootless,
    nameInEngine: ({name, id}) => `branchtab-${name}-${id.slice(0, 8)}`,
    async labelsInEngine() {
      const listed = await engine.listContainers(`branchtab.owner=${owner}`);
      return listed.map(({labels}) => labels);
    },
    async runForeign(name, {isOurs = false, id = 'f'.repeat(24)} = {}) {
      const made = await engine.createContainer(name, {
        image,
        command: ['/bin/sleep', '1000'],
        env: {},
        user: '0:0',
        workingDirectory: '/',
        hostName: 'foreign',
        labels: {'branchtab.owner': isOurs ? owner : 'somebody-else', 'branchtab.id': id},
        mounts: [],
        localNames: [],
        network: 'none',
        capabilities: [],
        limits: {cpus: null, memoryBytes: null},
      });
      await engine.start(made);
      const remove = () => engine.remove(made);
      t.teardown(remove);
      return {runs: async () => (await engine.findContainer(made))?.running ?? false, remove};
    },
  };
}

/** What is the same for every engine that speaks this API. */
export const dockerContract = {
  setup: (t, server, {image, intercept} = {}) =>
    dockerWorld(t, server, {
      ...(image === undefined ? {} : {image}),
      ...(intercept === undefined ? {} : {engine: intercept(server.engine)}),
    }),
  calls: {making: 'createContainer', start: 'attach', removal: 'remove', snapshot: 'commit'},
} satisfies Pick<EngineContractOptions<TestEngine>, 'setup' | 'calls'>;
