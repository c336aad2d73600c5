import type {ChildProcess} from 'node:child_process';
import {chmod, mkdir, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createIncusClient, type IncusAddress} from '../../api/incus-client.ts';
import type {Incus} from '../../reconciler/containers/incus/incus.ts';
import {programPath} from '../../reconciler/containers/inside.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {openWebsocket} from '../../runtime/platform/websocket-stream.ts';
import {glibcRoot, unmountBelow} from './container-engine.ts';
import {askIncus, endDaemon, importImage, removeInstances, startDaemon} from './incus-daemon.ts';

/** Two servers of one cluster, on addresses of their own of this host, each with a pool. */
export interface TestCluster {
  /** Of the first member, which is asked for everything. */
  readonly incus: Incus;
  readonly socketPath: string;
  readonly at: IncusAddress;
  readonly image: string;
  readonly pool: string;
  readonly members: readonly ['one', 'two'];
  rootOf(instance: string): string;
  /** Kills the second member's daemon with SIGKILL; its containers go on. */
  killSecond(): Promise<void>;
  reviveSecond(): Promise<void>;
  close(): Promise<void>;
}

const members = ['one', 'two'] as const;
/** The shortest that the server takes. */
const offlineThresholdSeconds = 11;

/** The reason why there is none, or the cluster; as `startTestIncus`. */
export async function startTestCluster(): Promise<TestCluster | {reason: string}> {
  const started = await tryCluster().catch((error: unknown) => ({
    reason: error instanceof Error ? error.message : String(error),
  }));
  if (!('reason' in started)) return started;
  if ((process.env.REQUIRE_PROVIDERS ?? '').split(',').includes('lxd'))
    throw new Error(`a cluster of lxd is required and does not work: ${started.reason}`);
  console.log(`SKIP provider=lxd-cluster reason=${started.reason}`);
  return started;
}

async function tryCluster(): Promise<TestCluster | {reason: string}> {
  if (process.getuid?.() !== 0) return {reason: 'only root can run a daemon of LXD'};
  for (const needed of ['lxd', 'busybox', 'nsenter', 'ip']) {
    if (Bun.which(needed) === null) return {reason: `there is no ${needed}`};
  }
  const root = await mkdtemp(join(tmpdir(), 'btc-'));
  await chmod(root, 0o711);
  // Other clusters of this host have other addresses.
  const [first = 0, second = 0] = crypto.getRandomValues(new Uint8Array(2));
  const places = await Promise.all(
    members.map(async (name, index) => {
      const directory = join(root, name, 'lxd');
      await mkdir(directory, {recursive: true});
      const socketPath = join(directory, 'unix.socket');
      const incus = createIncusClient({at: {socketPath}, openWebsocket, clock: systemClock});
      return {
        name,
        directory,
        socketPath,
        incus,
        address: `127.${64 + (first % 64)}.${second}.${index + 1}:8443`,
      };
    }),
  );
  const [one, two] = places;
  if (one === undefined || two === undefined) throw new Error('a cluster of two');
  const daemons = new Map<string, ChildProcess>();
  const start = async ({name, directory, incus}: typeof one) => {
    daemons.set(name, await startDaemon(directory, incus));
  };
  const end = async (name: string, signal: NodeJS.Signals) => {
    const daemon = daemons.get(name) ?? null;
    daemons.delete(name);
    await endDaemon(daemon, signal);
  };
  const close = async () => {
    for (const each of places) if (!daemons.has(each.name)) await start(each);
    await removeInstances(one.socketPath, one.incus);
    for (const name of members) await end(name, 'SIGTERM');
    await unmountBelow(root);
    await rm(root, {recursive: true, force: true});
  };
  try {
    for (const each of places) await start(each);
    await preseed(one.directory, {
      config: {'core.https_address': one.address},
      cluster: {server_name: one.name, enabled: true},
      storage_pools: [{name: 'default', driver: 'btrfs', config: {size: '2GiB'}}],
    });
    const added = await run(one.directory, ['lxc', 'cluster', 'add', two.name], '');
    await preseed(two.directory, {
      cluster: {
        enabled: true,
        server_name: two.name,
        server_address: two.address,
        cluster_token: added.trim().split('\n').at(-1) ?? '',
        member_config: [{entity: 'storage-pool', name: 'default', key: 'size', value: '2GiB'}],
      },
    });
    await askIncus(one.socketPath, 'PATCH', '/1.0', {
      config: {'cluster.offline_threshold': `${offlineThresholdSeconds}`},
    });
    await importImage(one.socketPath, {
      alias: 'glibc',
      root: await glibcRoot(join(root, 'glibc', 'rootfs')),
    });
  } catch (error) {
    await close().catch(() => {
      // What could not be started need not end in order.
    });
    throw error;
  }
  return {
    incus: one.incus,
    socketPath: one.socketPath,
    at: {socketPath: one.socketPath},
    image: 'glibc',
    pool: 'default',
    members,
    rootOf: (instance) => join(one.directory, 'storage-pools', 'default', 'containers', instance, 'rootfs'),
    killSecond: () => end('two', 'SIGKILL'),
    reviveSecond: () => start(two),
    close,
  };
}

/** JSON is YAML. */
async function preseed(directory: string, settings: unknown): Promise<void> {
  await run(directory, ['lxd', 'init', '--preseed'], JSON.stringify(settings));
}

async function run(directory: string, command: readonly string[], input: string): Promise<string> {
  const child = Bun.spawn([...command], {
    env: {LXD_DIR: directory, PATH: programPath, HOME: join(directory, '..')},
    stdin: new Blob([input]),
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [output, words] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')}: ${words}`);
  return output;
}
