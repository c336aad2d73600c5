import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {createRuntimeClient} from '../../api/runtime-client.ts';
import {createProcessProvider} from '../../reconciler/containers/process/process-provider.ts';
import type {Container, ContainerProvider} from '../../reconciler/containers/provider.ts';
import type {RuntimeClient} from '../../reconciler/runtime-client.ts';
import {
  createStandaloneContainers,
  type StandaloneContainers,
  type StandaloneOptions,
} from '../../reconciler/standalone-containers.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {plainSettings} from '../../schemas/control.ts';
import type {Teardown} from './git-world.ts';

export interface StandaloneWorld {
  readonly stateDirectory: string;
  readonly provider: ContainerProvider;
  readonly client: (container: Container) => RuntimeClient;
  /** As a controller has them at its start; `change` replaces options. */
  open(change?: Partial<StandaloneOptions>): Promise<StandaloneContainers>;
  /** Names in the directory of containers, unfinished ones included. */
  directories(): Promise<string[]>;
}

/** Real containers with real runtimes at level plain, in a state directory of their own; gone at the end of the test. */
export async function createStandaloneWorld(t: Teardown): Promise<StandaloneWorld> {
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  const stateDirectory = join(root, 'state');
  const provider = await createProcessProvider({
    stateDirectory,
    runtimeCommand: [process.execPath, resolve('runtime/start.ts')],
    runtimeDirectory: resolve('runtime'),
    clock: systemClock,
    log: silentLog,
    level: 'plain',
    socketRoot: root,
    startTimeoutMs: 60_000,
    watchIntervalMs: 20,
  });
  const client = ({controlSocket}: Container) => createRuntimeClient({socketPath: controlSocket});
  const opened: StandaloneContainers[] = [];
  t.teardown(async () => {
    for (const each of opened) await each.close();
    for (const {id} of await provider.list()) await provider.remove(id);
    await provider.close();
    await rm(root, {recursive: true, force: true});
  });
  return {
    stateDirectory,
    provider,
    client,
    async open(change = {}) {
      const standalone = createStandaloneContainers({
        provider,
        client,
        clock: systemClock,
        log: silentLog,
        random: () => 0.5,
        settings: plainSettings,
        timeZone: 'UTC',
        concurrency: 2,
        stopGraceMs: 2000,
        admit: async () => {},
        ...change,
      });
      opened.push(standalone);
      await standalone.adopt();
      standalone.start();
      return standalone;
    },
    directories: () => readdir(join(stateDirectory, 'containers')),
  };
}
