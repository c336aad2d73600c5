import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {copyFile, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import type {Teardown} from './git-world.ts';

/** A Debian of its own, with systemd as its first process. */
export interface SystemdMachine {
  /** Runs a script as root inside. Rejects with all that it printed where it ends with another code than 0. */
  sh(script: string): Promise<string>;
  copyIn(from: string, to: string): Promise<void>;
}

/** Each by itself: what follows one of these letters would be taken for a file. */
const namespaces = ['-m', '-p', '-i', '-u', '-C', '-n'];
const packages = 'systemd,systemd-sysv,dbus,git,bubblewrap,ca-certificates,curl,iproute2';

/** Why this host cannot run one; null where it can. Of Linux, as root. */
export function systemdSkipReason(): string | null {
  for (const program of ['mmdebstrap', 'unshare', 'nsenter'])
    if (Bun.which(program) === null) return `there is no ${program}`;
  return process.getuid?.() === 0 ? null : 'not root';
}

/** Made of Debian's packages, which takes a minute, and started in namespaces of its own. */
export async function startSystemdMachine(t: Teardown): Promise<SystemdMachine> {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-systemd-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const root = join(directory, 'root');
  await run('mmdebstrap', ['--quiet', '--variant=minbase', `--include=${packages}`, 'bookworm', root]);
  const start = join(directory, 'start.sh');
  await writeFile(start, startScript(root));
  const groups = await controlGroup(directory);
  t.teardown(groups.remove);
  const command = `echo 0 > ${groups.path}/cgroup.procs; exec unshare ${namespaces.join(' ')} --fork --kill-child bash ${start}`;
  const machine = spawn('bash', ['-c', command], {stdio: 'ignore'});
  const ended = once(machine, 'exit');
  t.teardown(async () => {
    machine.kill('SIGKILL');
    await ended;
  });
  const inside = async (words: readonly string[]) => {
    const [init] = (await Bun.file(`/proc/${machine.pid}/task/${machine.pid}/children`).text()).split(' ');
    return run('nsenter', ['-t', init ?? '', ...namespaces, '--', ...words]);
  };
  // It is not there at once, and says so with an error.
  for (let tries = 0; ; tries += 1) {
    const state = await inside(['systemctl', 'is-system-running', '--wait']).catch(String);
    if (/^(?:running|degraded)/m.test(state)) break;
    if (tries === 60) throw new Error(`systemd did not start: ${state}`);
    await Bun.sleep(1000);
  }
  return {
    sh: (script) => inside(['bash', '-euc', script]),
    async copyIn(from, to) {
      await inside(['mkdir', '-p', dirname(to)]);
      const [init] = (await Bun.file(`/proc/${machine.pid}/task/${machine.pid}/children`).text()).split(' ');
      const path = join(`/proc/${init}/root`, to);
      await mkdir(dirname(path), {recursive: true});
      await copyFile(from, path);
    },
  };
}

/** For the machine alone, since systemd makes groups where it is. */
async function controlGroup(directory: string): Promise<{path: string; remove(): Promise<void>}> {
  const mount = join(directory, 'cgroup');
  await mkdir(mount);
  await run('mount', ['-t', 'cgroup2', 'cgroup2', mount]);
  const path = join(mount, basename(directory));
  await mkdir(path);
  return {
    path,
    async remove() {
      // The last processes of a namespace are gone a moment after its first.
      await run('bash', [
        '-c',
        `for i in $(seq 100); do find ${path} -depth -type d -exec rmdir {} + 2>/dev/null; [ -e ${path} ] || break; sleep 0.1; done; umount ${mount}`,
      ]);
    },
  };
}

/** What systemd finds in a container: its own /proc, /run, /dev and a tree of control groups. */
function startScript(root: string): string {
  return `set -e
mount --make-rprivate /
mount --bind ${root} ${root}
cd ${root}
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for directory in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $directory; done
chmod 1777 tmp
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir -p dev/pts dev/shm former
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
pivot_root . former
umount -l /former
ip link set lo up
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
`;
}

async function run(program: string, words: readonly string[]): Promise<string> {
  const child = Bun.spawn([program, ...words], {stdin: 'ignore', stdout: 'pipe', stderr: 'pipe'});
  const [out, problems] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${program} ${words.join(' ')}:\n${out}${problems}`);
  return out;
}
