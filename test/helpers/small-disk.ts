import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync, rmSync, writeSync} from 'node:fs';
import {mkdtemp, realpath} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {isErrno} from '../../runtime/platform/durable-file.ts';
import type {Teardown} from './git-world.ts';

/** A file system of its own and of few bytes. Needs root on Linux. */
export interface SmallDisk {
  readonly path: string;
  /** Takes every byte that is left. */
  fill(): void;
  /** Gives them back. */
  free(): void;
}

export const canMount = process.platform === 'linux' && process.getuid?.() === 0;

/** A tmpfs. SQLite looks behind links such as `/proc/<pid>/root`, so the mount has to be in our own namespace. */
export async function mountSmallDisk(t: Teardown, {sizeMiB}: {sizeMiB: number}): Promise<SmallDisk> {
  const path = await mountPoint(t, `mount -t tmpfs -o size=${sizeMiB}m,mode=755 tmpfs "$1"`);
  const filler = join(path, 'fill');
  return {path, fill: () => fill(filler), free: () => rmSync(filler)};
}

/** A btrfs, whose files can share blocks. Returns its path. */
export function mountSharingDisk(t: Teardown, {sizeMiB}: {sizeMiB: number}): Promise<string> {
  const make = `truncate -s ${sizeMiB}M "$1.image" && mkfs.btrfs -q "$1.image" >/dev/null`;
  // Of two that ask for a loop device at the same time one may get none.
  const mount = 'for try in 1 2 3 4 5; do mount -o loop "$1.image" "$1" && break; done';
  return mountPoint(t, `${make} && ${mount}; rm -f "$1.image"; mountpoint -q "$1"`);
}

/** Runs `script`, whose first argument is an empty directory that is to be mounted then. */
async function mountPoint(t: Teardown, mount: string): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'small-disk-')));
  // Its input ends when we do, however that comes about, and no mount is left behind.
  const script = `{ ${mount}; } || exit 1; echo mounted; cat; umount --lazy "$1"; rmdir "$1"`;
  const keeper = spawn('sh', ['-c', script, 'sh', path], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  t.teardown(async () => {
    const ended = keeper.exitCode === null ? once(keeper, 'exit') : null;
    keeper.stdin.end();
    await ended;
  });
  const failed = once(keeper, 'exit').then(() =>
    Promise.reject(new Error(`nothing could be mounted: ${mount}`)),
  );
  failed.catch(() => {
    // The end that is asked for above.
  });
  await Promise.race([once(keeper.stdout, 'data'), failed]);
  return path;
}

const blocks = [1024 * 1024, 4096].map((bytes) => new Uint8Array(bytes));

function fill(path: string): void {
  const file = openSync(path, 'w');
  for (const block of blocks) {
    try {
      while (writeSync(file, block) > 0);
    } catch (error) {
      if (!isErrno(error, 'ENOSPC')) throw error;
    }
  }
  closeSync(file);
}
