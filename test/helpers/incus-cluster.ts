import type {ChildProcess} from 'node:child_process';
import {chmod, mkdir, mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createIncusClient, type IncusAddress} from '../../api/incus-client.ts';
import type {Incus} from '../../reconciler/containers/incus/incus.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {openWebsocket} from '../../runtime/platform/websocket-stream.ts';
import {derOf, type KeyPair, makeCertificate} from './certificates.ts';
import {glibcRoot, unmountBelow} from './container-engine.ts';
import {
  askIncus,
  daemonPath,
  endDaemon,
  type IncusKind,
  importImage,
  incusPrograms,
  removeInstances,
  startDaemon,
} from './incus-daemon.ts';
import {type JoinedNetworks, joinNetworks} from './joined-networks.ts';

/** Two servers of one cluster, each in a network of its own and with a pool. */
export interface TestCluster {
  /** Of the first member, which is asked for everything. */
  readonly incus: Incus;
  readonly socketPath: string;
  readonly at: IncusAddress;
  readonly image: string;
  readonly pool: string;
  readonly members: readonly ['one', 'two'];
  /** This host's address, as containers of both members see it where they have a network. */
  readonly host: string;
  rootOf(instance: string): string;
  /** The same first member as it is reached from another machine. */
  overHttps(): Promise<{readonly url: string; readonly trust: ClusterTrust}>;
  /** Kills the second member's daemon with SIGKILL; its containers go on. */
  killSecond(): Promise<void>;
  reviveSecond(): Promise<void>;
  close(): Promise<void>;
}

export interface ClusterTrust extends KeyPair {
  /** Certificate that all members have. */
  readonly authority: string;
}

const members = ['one', 'two'] as const;
/** The shortest that the server takes. */
const offlineThresholdSeconds = 11;
const port = 8443;
const completeTimeoutMs = 90_000;

/** The reason why there is none, or the cluster; as `startTestIncus`. */
export async function startTestCluster(kind: IncusKind): Promise<TestCluster | {reason: string}> {
  const started = await tryCluster(kind).catch((error: unknown) => ({
    reason: error instanceof Error ? error.message : String(error),
  }));
  if (!('reason' in started)) return started;
  if ((process.env.REQUIRE_PROVIDERS ?? '').split(',').includes(kind))
    throw new Error(`a cluster of ${kind} is required and does not work: ${started.reason}`);
  console.log(`SKIP provider=${kind}-cluster reason=${started.reason}`);
  return started;
}

async function tryCluster(kind: IncusKind): Promise<TestCluster | {reason: string}> {
  if (process.getuid?.() !== 0) return {reason: `only root can run a daemon of ${kind}`};
  for (const needed of [incusPrograms[kind].program, 'busybox', 'nsenter', 'unshare', 'ip']) {
    if (Bun.which(needed, {PATH: daemonPath}) === null) return {reason: `there is no ${needed}`};
  }
  const root = await mkdtemp(join(tmpdir(), 'btc-'));
  await chmod(root, 0o711);
  let networks: JoinedNetworks | null = null;
  const daemons = new Map<string, ChildProcess>();
  const end = async (name: string, signal: NodeJS.Signals) => {
    const daemon = daemons.get(name) ?? null;
    daemons.delete(name);
    await endDaemon(daemon, signal);
  };
  const release = async () => {
    for (const name of members) await end(name, 'SIGTERM');
    await networks?.close();
    await unmountBelow(root);
    await rm(root, {recursive: true, force: true});
  };
  try {
    networks = await joinNetworks(root);
    const {host} = networks;
    const places = await Promise.all(
      networks.members.map(async ({address, enter}, index) => {
        const name = members[index] ?? '';
        const directory = join(root, name, kind);
        await mkdir(directory, {recursive: true});
        const socketPath = join(directory, 'unix.socket');
        const incus = createIncusClient({at: {socketPath}, openWebsocket, clock: systemClock});
        return {name, directory, socketPath, incus, address: `${address}:${port}`, enter};
      }),
    );
    const [one, two] = places;
    if (one === undefined || two === undefined) throw new Error('a cluster of two');
    const start = async ({name, directory, socketPath, incus, enter}: typeof one) => {
      daemons.set(name, await startDaemon(directory, incus, {kind, enter}));
      // One that answers may still say of its instances that it is not ready.
      const isReady = () =>
        askIncus(socketPath, 'GET', '/internal/ready').then(
          () => true,
          () => false,
        );
      while (!(await isReady())) await Bun.sleep(20);
    };
    /** Starts what does not run, and waits until the first member reaches what the others have. */
    const complete = async () => {
      for (const each of places) if (!daemons.has(each.name)) await start(each);
      const untilMs = Date.now() + completeTimeoutMs;
      for (;;) {
        try {
          await askIncus(one.socketPath, 'GET', `/1.0?target=${two.name}`);
          const all = await askIncus(one.socketPath, 'GET', '/1.0/instances?recursion=1');
          if (!(all as {status: string}[]).some(({status}) => status === 'Error')) return;
        } catch (error) {
          if (Date.now() > untilMs) throw error;
        }
        if (Date.now() > untilMs) throw new Error('a member is back and is not reached by the other');
        await Bun.sleep(50);
      }
    };
    const preseed = (directory: string, settings: unknown) =>
      // JSON is YAML.
      run(kind, directory, [...incusPrograms[kind].init, '--preseed'], JSON.stringify(settings));
    for (const each of places) await start(each);
    await preseed(one.directory, {
      config: {'core.https_address': one.address},
      cluster: {server_name: one.name, enabled: true},
      storage_pools: [{name: 'default', driver: 'btrfs', config: {size: '2GiB'}}],
    });
    const added = await run(kind, one.directory, [incusPrograms[kind].client, 'cluster', 'add', two.name]);
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
    return {
      incus: one.incus,
      socketPath: one.socketPath,
      at: {socketPath: one.socketPath},
      image: 'glibc',
      pool: 'default',
      members,
      host,
      rootOf: (instance) => join(one.directory, 'storage-pools', 'default', 'containers', instance, 'rootfs'),
      async overHttps() {
        const ours = await makeCertificate({names: ['DNS:client']});
        await askIncus(one.socketPath, 'POST', '/1.0/certificates', {
          type: 'client',
          name: 'branchtab',
          certificate: derOf(ours.certificate),
        });
        const authority = await readFile(join(one.directory, 'cluster.crt'), 'utf8');
        return {url: `https://${one.address}`, trust: {...ours, authority}};
      },
      killSecond: () => end('two', 'SIGKILL'),
      reviveSecond: complete,
      async close() {
        try {
          await complete();
          await removeInstances(one.socketPath, one.incus);
        } finally {
          // Whatever it could not do, a daemon that is left keeps the whole test run from ending.
          await release();
        }
      },
    };
  } catch (error) {
    await release().catch(() => {
      // What could not be started need not end in order.
    });
    throw error;
  }
}

async function run(
  kind: IncusKind,
  directory: string,
  command: readonly string[],
  input = '',
): Promise<string> {
  const child = Bun.spawn([...command], {
    env: {[incusPrograms[kind].directory]: directory, PATH: daemonPath, HOME: join(directory, '..')},
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
