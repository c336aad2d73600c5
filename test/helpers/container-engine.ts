import {type ChildProcess, spawn} from 'node:child_process';
import {existsSync, openSync} from 'node:fs';
import {chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {createEngineClient} from '../../api/engine-client.ts';
import type {Engine} from '../../reconciler/containers/docker/engine.ts';

export type EngineKind = 'podman' | 'docker';

/** An engine with nothing in it but one small image, which shares nothing with other engines of this host. */
export interface TestEngine {
  readonly kind: EngineKind;
  readonly socketPath: string;
  readonly engine: Engine;
  /** Of glibc, busybox and curl. */
  readonly image: string;
  /** An image with musl's loader in place of glibc's. */
  readonly muslImage: string;
  /** Kills its service with SIGKILL; containers go on. */
  kill(): Promise<void>;
  /** Starts the service again. */
  revive(): Promise<void>;
  /** Ends the engine and everything in it. */
  close(): Promise<void>;
}

const image = 'localhost/branchtab-test:glibc';
const muslImage = 'localhost/branchtab-test:musl';
const startTimeoutMs = 20_000;

/**
 * The reason why this host cannot run such an engine, which is also printed; the engine otherwise. Throws instead of
 * giving a reason when REQUIRE_PROVIDERS (names with commas between) holds it.
 */
export async function startTestEngine(kind: EngineKind): Promise<TestEngine | {reason: string}> {
  const started = await tryEngine(kind).catch((error: unknown) => ({
    reason: error instanceof Error ? error.message : String(error),
  }));
  if (!('reason' in started)) return started;
  if ((process.env.REQUIRE_PROVIDERS ?? '').split(',').includes(kind))
    throw new Error(`provider ${kind} is required and does not work: ${started.reason}`);
  console.log(`SKIP provider=${kind} reason=${started.reason}`);
  return started;
}

async function tryEngine(kind: EngineKind): Promise<TestEngine | {reason: string}> {
  const program = kind === 'podman' ? 'podman' : 'dockerd';
  for (const needed of [program, 'busybox']) {
    if (Bun.which(needed) === null) return {reason: `there is no ${needed}`};
  }
  const root = await mkdtemp(join(tmpdir(), 'bte-'));
  const socketPath = join(root, 'engine.sock');
  const engine = createEngineClient({socketPath});
  let service: ChildProcess | null = null;
  const start = async () => {
    service = await (kind === 'podman' ? startPodman(root, socketPath) : startDocker(root, socketPath));
    await untilAnswering(engine, service);
  };
  const end = async (signal: NodeJS.Signals) => {
    const ending = service;
    service = null;
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return;
    const exited = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill(signal);
    await exited;
  };
  const close = async () => {
    if (service === null) await start();
    try {
      for (const {id} of await engine.listContainers('branchtab.owner')) {
        await engine.unpause(id);
        await engine.remove(id);
      }
    } finally {
      // Whatever it could not do, an engine that is left keeps the whole test run from ending.
      await end('SIGTERM');
      await unmountBelow(root);
      await removeOwn(root);
    }
  };
  try {
    await start();
    await importImage(socketPath, image, await glibcRoot(join(root, 'glibc')));
    await importImage(socketPath, muslImage, await muslRoot(join(root, 'musl')));
    await proveContainer(engine);
  } catch (error) {
    await close().catch(() => {
      // What could not be started need not end in order.
    });
    throw error;
  }
  return {kind, socketPath, engine, image, muslImage, kill: () => end('SIGKILL'), revive: start, close};
}

/** With the settings that work where limits of this process cannot be raised; see docs/containers.md. */
async function startPodman(root: string, socketPath: string): Promise<ChildProcess> {
  const settings = join(root, 'containers.conf');
  await writeFile(
    settings,
    `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
${Bun.which('runc') === null ? '' : 'runtime = "runc"\n'}cgroup_manager = "cgroupfs"
events_logger = "file"
`,
  );
  await rm(socketPath, {force: true});
  return spawn(
    'podman',
    [
      '--root',
      join(root, 'root'),
      '--runroot',
      join(root, 'run'),
      '--tmpdir',
      join(root, 'tmp'),
      'system',
      'service',
      '--time=0',
      `unix://${socketPath}`,
    ],
    {
      env: {...process.env, CONTAINERS_CONF: settings},
      stdio: ['ignore', 'ignore', openSync(join(root, 'podman.log'), 'a')],
      // Its monitors leave files where it was started.
      cwd: root,
    },
  );
}

async function startDocker(root: string, socketPath: string): Promise<ChildProcess> {
  const pidFile = join(root, 'docker.pid');
  // One that was killed leaves both, and a process that nobody has waited for yet has the number still.
  for (const left of [pidFile, join(root, 'run/containerd/containerd.pid')]) await rm(left, {force: true});
  return spawn(
    'dockerd',
    [
      ...['--data-root', join(root, 'root'), '--exec-root', join(root, 'run')],
      ...['--pidfile', pidFile, '--host', `unix://${socketPath}`],
      ...['--bridge', 'none', '--live-restore'],
    ],
    {stdio: ['ignore', 'ignore', openSync(join(root, 'dockerd.log'), 'a')]},
  );
}

async function untilAnswering(engine: Engine, service: ChildProcess): Promise<void> {
  const untilMs = Date.now() + startTimeoutMs;
  for (;;) {
    if (service.exitCode !== null) throw new Error(`the engine ended with ${service.exitCode}`);
    try {
      await engine.facts();
      return;
    } catch (error) {
      if (Date.now() > untilMs) throw error;
    }
    await Bun.sleep(20);
  }
}

const programs =
  'sh ls cat echo grep head env touch kill ps mkdir ln chmod rm sleep setsid dd id hostname wget sed true ifconfig route ping';

/** Native libraries that the runtime brings along. */
function parserBindings(): string[] {
  return [...new Bun.Glob('node_modules/@oxc-parser/binding-linux-*/*.node').scanSync({absolute: true})];
}

/** Busybox, curl where the host has it, and the libraries that they and the runtime need. */
export async function glibcRoot(root: string): Promise<string> {
  await emptyRoot(root);
  const libraries = new Set<string>();
  const curl = Bun.which('curl');
  for (const program of [process.execPath, ...parserBindings(), ...(curl === null ? [] : [curl])])
    for (const library of await librariesOf(program)) libraries.add(library);
  for (const library of libraries) {
    await mkdir(join(root, dirname(library)), {recursive: true});
    await cp(library, join(root, library), {dereference: true});
  }
  if (curl !== null) await cp(curl, join(root, 'bin/curl'), {dereference: true});
  return root;
}

export async function muslRoot(root: string): Promise<string> {
  await emptyRoot(root);
  await mkdir(join(root, 'lib'));
  await writeFile(join(root, 'lib', `ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`), '');
  return root;
}

async function emptyRoot(root: string): Promise<void> {
  for (const directory of ['bin', 'etc', 'tmp']) await mkdir(join(root, directory), {recursive: true});
  await chmod(join(root, 'tmp'), 0o1777);
  await cp(Bun.which('busybox') ?? '', join(root, 'bin/busybox'), {dereference: true});
  for (const name of programs.split(' ')) await symlink('busybox', join(root, 'bin', name));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n');
}

/** Absolute paths, the loader included. */
export async function librariesOf(program: string): Promise<string[]> {
  const {stdout} = Bun.spawnSync(['ldd', program]);
  return [...stdout.toString().matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? '').filter(existsSync);
}

async function importImage(socketPath: string, name: string, root: string): Promise<void> {
  const tar = Bun.spawn(['tar', '-C', root, '-c', '.'], {stdout: 'pipe'});
  const archive = await new Response(tar.stdout).arrayBuffer();
  const made = await fetch('http://engine/images/create?fromSrc=-', {
    unix: socketPath,
    method: 'POST',
    body: archive,
  });
  const id = /sha256:[0-9a-f]{64}/.exec(await made.text())?.[0];
  if (id === undefined) throw new Error(`the engine made no image: ${made.status}`);
  const [repo = '', tag = ''] = name.split(':');
  await fetch(`http://engine/images/${id}/tag?repo=${repo}&tag=${tag}`, {unix: socketPath, method: 'POST'});
}

/** An engine that answers may still be unable to start anything. */
async function proveContainer(engine: Engine): Promise<void> {
  const id = await engine.createContainer('branchtab-test-probe', {
    image,
    command: ['/bin/true'],
    env: {},
    user: '0:0',
    workingDirectory: '/',
    hostName: 'probe',
    labels: {'branchtab.owner': 'probe'},
    mounts: [],
    localNames: [],
    network: 'none',
    capabilities: [],
    limits: {cpus: null, memoryBytes: null},
  });
  try {
    await engine.start(id);
    await engine.wait(id, {signal: AbortSignal.timeout(startTimeoutMs)});
  } finally {
    await engine.remove(id);
  }
}

/** What an engine leaves mounted keeps its directory from being removed. */
/** Files of an ordinary user's engine may belong to users that only its own namespace lets us be. */
async function removeOwn(root: string): Promise<void> {
  if (process.getuid?.() !== 0) Bun.spawnSync(['podman', 'unshare', 'rm', '-rf', root]);
  await rm(root, {recursive: true, force: true});
}

export async function unmountBelow(root: string): Promise<void> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  const paths = mounts.split('\n').map((line) => line.split(' ')[1] ?? '');
  for (const path of paths.filter((each) => each.startsWith(`${root}/`)).toReversed())
    Bun.spawnSync(['umount', '-l', path]);
}
