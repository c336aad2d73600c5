import {copyFile, link, mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {
  createProcessProvider,
  type ProcessProviderOptions,
} from '../../reconciler/containers/process/process-provider.ts';
import type {ContainerProvider} from '../../reconciler/containers/provider.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import type {ProviderWorld} from '../contract/container-provider.ts';

export interface ProcessWorld extends ProviderWorld {
  readonly stateDirectory: string;
  readonly options: ProcessProviderOptions;
  open(change?: Partial<ProcessProviderOptions>): Promise<ContainerProvider>;
}

/** A state directory of its own with the stub runtime installed beside it; every container is removed afterwards. */
export async function processWorld(
  t: ExecutionContext,
  level: 'network' | 'sandbox' | 'plain',
  change: Partial<ProcessProviderOptions> = {},
): Promise<ProcessWorld> {
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  const stateDirectory = change.stateDirectory ?? join(root, 'state');
  const {runtimeCommand, runtimeDirectory} = await installStub(join(root, 'program'));
  const options: ProcessProviderOptions = {
    runtimeCommand,
    runtimeDirectory,
    clock: systemClock,
    log: silentLog,
    level,
    socketRoot: root,
    watchIntervalMs: 20,
    ...change,
    stateDirectory,
  };
  const outside = {state: join(stateDirectory, 'token'), credentials: join(root, '.git-credentials')};
  await mkdir(stateDirectory, {recursive: true, mode: 0o700});
  for (const path of Object.values(outside)) await writeFile(path, 'secret of the host', {mode: 0o600});
  const providers: ContainerProvider[] = [];
  const open: ProcessWorld['open'] = async (extra = {}) => {
    const provider = await createProcessProvider({...options, ...extra});
    providers.push(provider);
    return provider;
  };
  const provider = await open();
  t.teardown(async () => {
    for (const each of providers) await each.close();
    const last = await createProcessProvider(options);
    for (const {id} of await last.list()) await last.remove(id);
    await last.close();
    await rm(root, {recursive: true, force: true});
  });
  return {
    provider,
    stateDirectory,
    options,
    open,
    reopen: () => open(),
    startInProcessThatIsKilled: (name) => startAndKill(options, name),
    directories: (id) => ({
      data: join(stateDirectory, 'containers', id, 'data'),
      workspace: join(stateDirectory, 'containers', id, 'srv'),
    }),
    outside,
    runs: (text) => someCommandLineHolds(text),
  };
}

/** Puts Bun and the stub into `directory`, as the product does with its own runtime. */
export async function installStub(
  directory: string,
): Promise<{runtimeCommand: string[]; runtimeDirectory: string}> {
  await mkdir(directory);
  const bun = join(directory, 'bun');
  await link(process.execPath, bun).catch(() => copyFile(process.execPath, bun));
  const stub = join(directory, 'stub-runtime.ts');
  await copyFile(join(import.meta.dirname, 'stub-runtime.ts'), stub);
  return {runtimeCommand: [bun, stub], runtimeDirectory: directory};
}

/** Lets `small-controller.ts` start a container and kills it with SIGKILL. */
export async function startAndKill(
  options: Omit<ProcessProviderOptions, 'level'> & {level?: string; engine?: string; incus?: string},
  name: string,
): Promise<void> {
  const {clock: _clock, log: _log, ...plain} = options;
  const controller = Bun.spawn(
    [process.execPath, join(import.meta.dirname, 'small-controller.ts'), 'start', name],
    {
      env: {...process.env, PROVIDER_OPTIONS: JSON.stringify(plain)},
      stdout: 'pipe',
      stderr: 'inherit',
    },
  );
  const reader = controller.stdout.getReader();
  await reader.read();
  controller.kill('SIGKILL');
  await controller.exited;
}

export async function someCommandLineHolds(text: string): Promise<boolean> {
  for (const pid of await readdir('/proc')) {
    if (!/^[0-9]+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.replaceAll('\0', ' ').includes(text)) return true;
  }
  return false;
}
