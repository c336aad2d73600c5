import {type ChildProcess, spawn} from 'node:child_process';
import {existsSync, openSync} from 'node:fs';
import {chmod, mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createIncusClient, type IncusAddress} from '../../api/incus-client.ts';
import type {Incus} from '../../reconciler/containers/incus/incus.ts';
import {programPath} from '../../reconciler/containers/inside.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {openWebsocket} from '../../runtime/platform/websocket-stream.ts';
import {glibcRoot, muslRoot, unmountBelow} from './container-engine.ts';

/** A server with a storage pool and two small images, which shares nothing with other servers of this host. */
export interface TestIncus {
  readonly socketPath: string;
  readonly at: IncusAddress;
  readonly incus: Incus;
  readonly pool: string;
  /** `btrfs` where this host can mount one, else `dir`. */
  readonly driver: string;
  /** Of glibc, busybox and curl. */
  readonly image: string;
  /** An image with musl's loader in place of glibc's. */
  readonly muslImage: string;
  /** Where the host sees the root of an instance. */
  rootOf(instance: string): string;
  /** Kills its daemon with SIGKILL; containers go on. */
  kill(): Promise<void>;
  /** Starts the daemon again. */
  revive(): Promise<void>;
  /** Ends the server and everything in it. */
  close(): Promise<void>;
}

/** Two programs of one origin, with the same interface. */
export type IncusKind = 'lxd' | 'incus';

export const incusPrograms = {
  lxd: {program: 'lxd', directory: 'LXD_DIR', init: ['lxd', 'init'], client: 'lxc'},
  incus: {program: 'incusd', directory: 'INCUS_DIR', init: ['incus', 'admin', 'init'], client: 'incus'},
} as const;

/** Debian has the daemon of Incus where nobody looks for programs. */
export const daemonPath = `${programPath}:/usr/libexec/incus`;

const pool = 'default';
const startTimeoutMs = 60_000;

/**
 * The reason why this host cannot run such a server, which is also printed; the server otherwise. Throws instead of
 * giving a reason when REQUIRE_PROVIDERS (names with commas between) holds it.
 */
export async function startTestIncus(kind: IncusKind = 'lxd'): Promise<TestIncus | {reason: string}> {
  const started = await tryIncus(kind).catch((error: unknown) => ({
    reason: error instanceof Error ? error.message : String(error),
  }));
  if (!('reason' in started)) return started;
  if ((process.env.REQUIRE_PROVIDERS ?? '').split(',').includes(kind))
    throw new Error(`provider ${kind} is required and does not work: ${started.reason}`);
  console.log(`SKIP provider=${kind} reason=${started.reason}`);
  return started;
}

async function tryIncus(kind: IncusKind): Promise<TestIncus | {reason: string}> {
  if (process.getuid?.() !== 0) return {reason: `only root can run a daemon of ${kind}`};
  for (const needed of [incusPrograms[kind].program, 'busybox', 'nsenter', 'ip']) {
    if (Bun.which(needed, {PATH: daemonPath}) === null) return {reason: `there is no ${needed}`};
  }
  const root = await mkdtemp(join(tmpdir(), 'bti-'));
  const directory = join(root, kind);
  await mkdir(directory);
  // Containers have an ordinary user's rights on the way to their files.
  await chmod(root, 0o711);
  const socketPath = join(directory, 'unix.socket');
  const incus = createIncusClient({at: {socketPath}, openWebsocket, clock: systemClock});
  let daemon: ChildProcess | null = null;
  const start = async () => {
    daemon = await startDaemon(directory, incus, {kind});
  };
  const end = async (signal: NodeJS.Signals) => {
    const ending = daemon;
    daemon = null;
    await endDaemon(ending, signal);
  };
  const close = async () => {
    if (daemon === null) await start();
    await removeInstances(socketPath, incus);
    await end('SIGTERM');
    await unmountBelow(root);
    await rm(root, {recursive: true, force: true});
  };
  try {
    await start();
    const driver = await makePool(socketPath);
    await importImage(socketPath, {alias: 'glibc', root: await glibcRoot(join(root, 'glibc', 'rootfs'))});
    await importImage(socketPath, {alias: 'musl', root: await muslRoot(join(root, 'musl', 'rootfs'))});
    await proveInstance(incus);
    return {
      socketPath,
      at: {socketPath},
      incus,
      pool,
      driver,
      image: 'glibc',
      muslImage: 'musl',
      rootOf: (instance) => join(directory, 'storage-pools', pool, 'containers', instance, 'rootfs'),
      kill: () => end('SIGKILL'),
      revive: start,
      close,
    };
  } catch (error) {
    const path = join(root, 'daemon.log');
    const log = existsSync(path) ? await readFile(path, 'utf8') : '';
    await close().catch(() => {
      // What could not be started need not end in order.
    });
    throw new Error(`${error instanceof Error ? error.message : error}\n${log.slice(-2000)}`, {cause: error});
  }
}

/** Of `directory`, which becomes the server's own; its log stands beside. `enter` stands before the command. */
export async function startDaemon(
  directory: string,
  incus: Incus,
  {kind = 'lxd', enter = []}: {readonly kind?: IncusKind; readonly enter?: readonly string[]} = {},
): Promise<ChildProcess> {
  const above = join(directory, '..');
  const {program, directory: variable} = incusPrograms[kind];
  const [first = program, ...words] = [...enter, Bun.which(program, {PATH: daemonPath}) ?? program];
  const daemon = spawn(first, [...words, '--group', 'root'], {
    // Programs of npm packages can have the names of those that the daemon looks for.
    env: {[variable]: directory, PATH: daemonPath, HOME: above},
    stdio: ['ignore', 'ignore', openSync(join(above, 'daemon.log'), 'a')],
    cwd: above,
  });
  await untilAnswering(incus, daemon);
  return daemon;
}

export async function endDaemon(daemon: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (daemon === null || daemon.exitCode !== null || daemon.signalCode !== null) return;
  const exited = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill(signal);
  await exited;
}

export async function removeInstances(socketPath: string, incus: Incus): Promise<void> {
  for (const name of await instances(socketPath)) {
    while ((await incus.stop(name)) === 'busy') await Bun.sleep(20);
    while ((await incus.remove(name)) === 'busy') await Bun.sleep(20);
  }
}

async function untilAnswering(incus: Incus, daemon: ChildProcess): Promise<void> {
  const untilMs = Date.now() + startTimeoutMs;
  for (;;) {
    if (daemon.exitCode !== null) throw new Error(`the daemon ended with ${daemon.exitCode}`);
    try {
      await incus.facts();
      return;
    } catch (error) {
      if (Date.now() > untilMs) throw error;
    }
    await Bun.sleep(20);
  }
}

/** One request; throws the server's words. */
export async function askIncus(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const sent = body === undefined || body instanceof ArrayBuffer ? body : JSON.stringify(body);
  const ask = async (how: RequestInit, at: string) =>
    (await (await fetch(`http://incus${at}`, {unix: socketPath, ...how})).json()) as IncusAnswer;
  const answer = await ask({method, ...(sent === undefined ? {} : {body: sent})}, path);
  if (answer.type === 'error') throw new Error(`${method} ${path}: ${answer.error}`);
  if (answer.type !== 'async') return answer.metadata;
  const done = (await ask({}, `${answer.operation}/wait`)).metadata as {err: string; metadata: unknown};
  if (done.err) throw new Error(`${method} ${path}: ${done.err}`);
  return done.metadata;
}

interface IncusAnswer {
  readonly type: string;
  readonly error: string;
  readonly operation: string;
  readonly metadata: unknown;
}

async function instances(socketPath: string): Promise<string[]> {
  const paths = (await askIncus(socketPath, 'GET', '/1.0/instances')) as string[];
  return paths.map((path) => path.split('/').at(-1) ?? '');
}

async function makePool(socketPath: string): Promise<string> {
  const make = async (driver: string, config: Record<string, string>) => {
    await askIncus(socketPath, 'POST', '/1.0/storage-pools', {name: pool, driver, config});
    return driver;
  };
  // Loop devices are not everywhere.
  return await make('btrfs', {size: '4GiB'}).catch(() => make('dir', {}));
}

/** `root` is called `rootfs`; what describes the image comes beside it. */
export async function importImage(
  socketPath: string,
  {alias, root}: {readonly alias: string; readonly root: string},
): Promise<void> {
  const above = join(root, '..');
  for (const directory of ['dev', 'proc', 'sys', 'run', 'root', 'opt'])
    await mkdir(join(root, directory), {recursive: true});
  await chmod(root, 0o755);
  const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  await writeFile(join(above, 'metadata.yaml'), `architecture: ${architecture}\ncreation_date: 1700000000\n`);
  const tar = Bun.spawn(['tar', '-C', above, '-c', 'metadata.yaml', 'rootfs'], {stdout: 'pipe'});
  const archive = await new Response(tar.stdout).arrayBuffer();
  const made = (await askIncus(socketPath, 'POST', '/1.0/images', archive)) as {fingerprint: string};
  await askIncus(socketPath, 'POST', '/1.0/images/aliases', {name: alias, target: made.fingerprint});
}

/** A server that answers may still be unable to start anything. */
async function proveInstance(incus: Incus): Promise<void> {
  const name = 'probe';
  await incus.createInstance(name, {
    source: {image: 'glibc'},
    profiles: [],
    config: {'raw.lxc': 'lxc.init.cmd = /bin/sleep 1000'},
    devices: {root: {type: 'disk', path: '/', pool}},
  });
  await incus.start(name);
  while ((await incus.stop(name)) === 'busy') await Bun.sleep(20);
  while ((await incus.remove(name)) === 'busy') await Bun.sleep(20);
}
