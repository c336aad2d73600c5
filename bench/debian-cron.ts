import {chmod, mkdtemp, rename, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {BenchOptions} from './result.ts';

export interface DebianCron {
  /** Puts root's crontab in place. The daemon looks for changes once a minute. */
  put(text: string): Promise<void>;
  /** Resolves with the moment at which the daemon read what was put last, epoch ms. */
  loadedAtMs(): Promise<number>;
}

/** The system's own crontabs are hidden behind empty ones, so that the daemon runs nothing but ours. */
const script = `set -e
mount -t tmpfs -o mode=755 none /var/spool/cron
mkdir /var/spool/cron/crontabs
mount --bind "$1" /var/spool/cron/crontabs
mount -t tmpfs none /etc/cron.d
mount --bind /dev/null /etc/crontab
mount -t tmpfs none /run
exec cron -f`;

/** Debian's cron in a mount namespace of its own; null where it is not installed or we are not root. */
export async function startDebianCron({
  teardown,
}: Pick<BenchOptions, 'teardown'>): Promise<DebianCron | null> {
  if (process.getuid?.() !== 0 || Bun.which('cron') === null) return null;
  const spool = await mkdtemp(join(tmpdir(), 'bt-bench-spool-'));
  await chmod(spool, 0o1730);
  teardown(() => rm(spool, {recursive: true, force: true}));
  const child = Bun.spawn({
    cmd: ['unshare', '--mount', 'sh', '-c', script, 'sh', spool],
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  });
  teardown(async () => {
    child.kill('SIGKILL');
    await child.exited;
  });
  const path = join(spool, 'root');
  return {
    async put(text) {
      await writeFile(`${path}.new`, text, {mode: 0o600});
      await rename(`${path}.new`, path);
    },
    async loadedAtMs() {
      // The first look after a write is what moves the time of access past that of the change.
      for (let look = await stat(path); ; look = await stat(path)) {
        if (look.atimeMs > look.mtimeMs) return look.atimeMs;
        await Bun.sleep(20);
      }
    },
  };
}
