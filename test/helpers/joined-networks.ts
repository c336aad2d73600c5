import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readdir, readlink} from 'node:fs/promises';
import {join} from 'node:path';

/** Two network namespaces that stand for two machines: each reaches the other and this host, by one address each. */
export interface JoinedNetworks {
  /** This host's address, as both of them see it. */
  readonly host: string;
  readonly members: readonly [NetworkMember, NetworkMember];
  /** Ends every process in them, and with the last one the namespaces. */
  close(): Promise<void>;
}

export interface NetworkMember {
  readonly address: string;
  /** What stands before the words of a command that is to run there. */
  readonly enter: readonly string[];
}

const prepare = `
mount --make-rprivate /
mount --rbind /sys/fs/cgroup "$1"
mount -t sysfs sysfs /sys
mount --rbind "$1" /sys/fs/cgroup
umount -l "$1"
ip link set lo up
echo ready
exec cat
`;

/** Needs root. `directory` is for mounts that nobody else sees. */
export async function joinNetworks(directory: string): Promise<JoinedNetworks> {
  // Others of this host have other addresses.
  const [first = 0, second = 0] = crypto.getRandomValues(new Uint8Array(2));
  const net = `10.${128 + (first % 100)}.${second}`;
  const host = `${net}.254`;
  const holders: ChildProcess[] = [];
  const close = async () => {
    for (const holder of holders) await endAllIn(holder);
  };
  try {
    const members = await Promise.all(
      [1, 2].map(async (number) => {
        const hold = join(directory, `sys-${number}`);
        await mkdir(hold);
        // It ends with its standard input, so also when this process is killed.
        const holder = spawn('unshare', ['--mount', '--net', 'sh', '-euc', prepare, 'sh', hold], {
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        holders.push(holder);
        if (holder.stdout === null) throw new Error('a pipe was asked for');
        await Promise.race([
          once(holder.stdout, 'data'),
          once(holder, 'exit').then(([code]) => {
            throw new Error(`a network namespace could not be made: unshare answered ${code}`);
          }),
        ]);
        const {pid} = holder;
        if (pid === undefined) throw new Error('a process that runs has a number');
        const link = `btc${first}x${second}x${number}`;
        const address = `${net}.${number}`;
        const enter = ['nsenter', `--target=${pid}`, '--mount', '--net'];
        await run('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'host0', 'netns', `${pid}`);
        await run('ip', 'address', 'add', `${host}/32`, 'dev', link);
        await run('ip', 'link', 'set', link, 'up');
        await run('ip', 'route', 'add', address, 'dev', link, 'src', host);
        await run(...enter, 'ip', 'address', 'add', `${address}/32`, 'dev', 'host0');
        await run(...enter, 'ip', 'link', 'set', 'host0', 'up');
        await run(...enter, 'ip', 'route', 'add', 'default', 'dev', 'host0', 'src', address);
        return {address, enter, pid};
      }),
    );
    const [one, two] = members;
    if (one === undefined || two === undefined) throw new Error('two members');
    await run(
      ...one.enter,
      ...['ip', 'link', 'add', 'beside', 'type', 'veth', 'peer', 'name', 'beside', 'netns', `${two.pid}`],
    );
    for (const [near, far] of [
      [one, two],
      [two, one],
    ] as const) {
      await run(...near.enter, 'ip', 'link', 'set', 'beside', 'up');
      await run(...near.enter, ...['ip', 'route', 'add', far.address, 'dev', 'beside', 'src', near.address]);
    }
    return {host, members: [one, two], close};
  } catch (error) {
    await close();
    throw error;
  }
}

async function run(...command: readonly string[]): Promise<void> {
  const child = Bun.spawn([...command], {stdin: 'ignore', stdout: 'ignore', stderr: 'pipe'});
  const words = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')}: ${words}`);
}

async function endAllIn(holder: ChildProcess): Promise<void> {
  const space = await spaceOf(`${holder.pid}`);
  for (const pid of space === null ? [] : await readdir('/proc')) {
    if (pid === `${holder.pid}` || !/^\d+$/.test(pid) || (await spaceOf(pid)) !== space) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
  if (holder.exitCode !== null || holder.signalCode !== null) return;
  const exited = once(holder, 'exit');
  holder.kill('SIGKILL');
  await exited;
}

/** Null for a process that is gone. */
async function spaceOf(pid: string): Promise<string | null> {
  return await readlink(`/proc/${pid}/ns/net`).catch(() => null);
}
