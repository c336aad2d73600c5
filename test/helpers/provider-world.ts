import {copyFile, link, mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {ContainerProvider} from '../../reconciler/containers/provider.ts';
import type {ProviderOptions} from '../../reconciler/containers/table-provider.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import type {ProviderWorld} from '../contract/container-provider.ts';

export interface OptionsWorld<Options extends ProviderOptions> extends ProviderWorld {
  readonly stateDirectory: string;
  readonly options: Options;
  open(change?: Partial<Options>): Promise<ContainerProvider>;
}

export interface WorldPlan<Options extends ProviderOptions> {
  readonly create: (options: Options) => Promise<ContainerProvider>;
  /** What the provider needs beyond what all do. */
  readonly own: Omit<Options, keyof ProviderOptions> & Partial<ProviderOptions>;
  /** How `small-controller.ts` reaches the engine, by the name that it takes; none for the process provider. */
  readonly reach?: Readonly<Record<string, unknown>>;
  /** Where the host sees the files of a container; below its directory unless given. */
  readonly directories?: ProviderWorld['directories'];
}

/** A state directory of its own with the stub runtime installed beside it; everything is removed afterwards. */
export async function createProviderWorld<Options extends ProviderOptions>(
  t: ExecutionContext,
  {create, own, reach = {}, directories}: WorldPlan<Options>,
): Promise<OptionsWorld<Options>> {
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  const stateDirectory = own.stateDirectory ?? join(root, 'state');
  const shared: ProviderOptions = {
    ...(await installStub(join(root, 'program'))),
    clock: systemClock,
    log: silentLog,
    socketRoot: root,
    startTimeoutMs: 60_000,
    watchIntervalMs: 20,
    stateDirectory,
  };
  const options = {...shared, ...own} as unknown as Options;
  const outside = {state: join(stateDirectory, 'token'), credentials: join(root, '.git-credentials')};
  await mkdir(stateDirectory, {recursive: true, mode: 0o700});
  for (const path of Object.values(outside)) await writeFile(path, 'secret of the host', {mode: 0o600});
  const providers: ContainerProvider[] = [];
  const open = async (change: Partial<Options> = {}) => {
    const provider = await create({...options, ...change});
    providers.push(provider);
    return provider;
  };
  const provider = await open();
  t.teardown(async () => {
    for (const each of providers) await each.close();
    const last = await create(options);
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
    startInProcessThatIsKilled: (name) => startAndKill({...options, ...reach}, name),
    directories:
      directories ??
      ((id) => ({
        data: join(stateDirectory, 'containers', id, 'data'),
        workspace: join(stateDirectory, 'containers', id, 'srv'),
      })),
    outside,
    runs: async (text) => (await processesWith(text)).length > 0,
  };
}

/** Names a state directory, as the product does. */
export function someOwner(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex');
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
async function startAndKill(options: ProviderOptions, name: string): Promise<void> {
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

/** Numbers of the processes that carry `text` in their command line. */
export async function processesWith(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^[0-9]+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.replaceAll('\0', ' ').includes(text)) found.push(Number(pid));
  }
  return found;
}
