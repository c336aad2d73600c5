import {readdirSync} from 'node:fs';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {
  createIncusProvider,
  type IncusProviderOptions,
} from '../../reconciler/containers/incus/incus-provider.ts';
import type {ContainerProvider} from '../../reconciler/containers/provider.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import type {ProviderWorld} from '../contract/container-provider.ts';
import type {TestIncus} from './incus-daemon.ts';
import {installStub, someCommandLineHolds, startAndKill} from './process-provider-world.ts';

export interface IncusWorld extends ProviderWorld {
  readonly stateDirectory: string;
  readonly options: IncusProviderOptions;
  open(change?: Partial<IncusProviderOptions>): Promise<ContainerProvider>;
}

/** A state directory of its own on a server, with the stub runtime; everything is removed afterwards. */
export async function incusWorld(
  t: ExecutionContext,
  server: Pick<TestIncus, 'incus' | 'socketPath' | 'image' | 'pool' | 'rootOf'>,
  change: Partial<IncusProviderOptions> = {},
): Promise<IncusWorld> {
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  const stateDirectory = join(root, 'state');
  const options: IncusProviderOptions = {
    ...(await installStub(join(root, 'program'))),
    incus: server.incus,
    owner: Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
    image: server.image,
    pool: server.pool,
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
  const open: IncusWorld['open'] = async (extra = {}) => {
    const provider = await createIncusProvider({...options, ...extra});
    providers.push(provider);
    return provider;
  };
  const provider = await open();
  t.teardown(async () => {
    for (const each of providers) await each.close();
    const last = await createIncusProvider(options);
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
    startInProcessThatIsKilled: (name) => startAndKill({...options, incus: server.socketPath}, name),
    directories: (id) => {
      const all = readdirSync(join(server.rootOf('any'), '../..'));
      const instance = all.find((name) => name.endsWith(`-${id.slice(0, 8)}`)) ?? 'gone';
      return {data: join(server.rootOf(instance), 'data'), workspace: join(server.rootOf(instance), 'srv')};
    },
    outside,
    runs: (text) => someCommandLineHolds(text),
  };
}
