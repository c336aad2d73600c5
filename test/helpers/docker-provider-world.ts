import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {
  createDockerProvider,
  type DockerProviderOptions,
} from '../../reconciler/containers/docker/docker-provider.ts';
import type {ContainerProvider} from '../../reconciler/containers/provider.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import type {ProviderWorld} from '../contract/container-provider.ts';
import type {TestEngine} from './container-engine.ts';
import {installStub, someCommandLineHolds, startAndKill} from './process-provider-world.ts';

export interface DockerWorld extends ProviderWorld {
  readonly stateDirectory: string;
  readonly options: DockerProviderOptions;
  open(change?: Partial<DockerProviderOptions>): Promise<ContainerProvider>;
}

/** A state directory of its own on an engine, with the stub runtime; every container is removed afterwards. */
export async function dockerWorld(
  t: ExecutionContext,
  engine: TestEngine,
  change: Partial<DockerProviderOptions> = {},
): Promise<DockerWorld> {
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  const stateDirectory = join(root, 'state');
  const options: DockerProviderOptions = {
    ...(await installStub(join(root, 'program'))),
    engine: engine.engine,
    owner: Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
    image: engine.image,
    network: 'none',
    clock: systemClock,
    log: silentLog,
    socketRoot: root,
    startTimeoutMs: 60_000,
    watchIntervalMs: 20,
    ...change,
    stateDirectory,
  };
  const outside = {state: join(stateDirectory, 'token'), credentials: join(root, '.git-credentials')};
  await mkdir(stateDirectory, {recursive: true, mode: 0o700});
  for (const path of Object.values(outside)) await writeFile(path, 'secret of the host', {mode: 0o600});
  const providers: ContainerProvider[] = [];
  const open: DockerWorld['open'] = async (extra = {}) => {
    const provider = await createDockerProvider({...options, ...extra});
    providers.push(provider);
    return provider;
  };
  const provider = await open();
  t.teardown(async () => {
    for (const each of providers) await each.close();
    const last = await createDockerProvider(options);
    for (const {id} of await last.list()) await last.remove(id);
    for (const {name} of await last.listSnapshots()) await last.removeSnapshot(name);
    await last.close();
    await rm(root, {recursive: true, force: true});
  });
  return {
    provider,
    stateDirectory,
    options,
    open,
    reopen: () => open(),
    startInProcessThatIsKilled: (name) => startAndKill({...options, engine: engine.socketPath}, name),
    directories: (id) => ({
      data: join(stateDirectory, 'containers', id, 'data'),
      workspace: join(stateDirectory, 'containers', id, 'srv'),
    }),
    outside,
    runs: (text) => someCommandLineHolds(text),
  };
}
