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

/** SQLite looks behind links such as `/proc/<pid>/root`, so the mount has to be in our own namespace. */
export async function mountSmallDisk(t: Teardown, {sizeMiB}: {sizeMiB: number}): Promise<SmallDisk> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'small-disk-')));
  // Its input ends when we do, however that comes about, and no mount is left behind.
  const script = `mount -t tmpfs -o size=${sizeMiB}m,mode=755 tmpfs "$1" && echo mounted; cat; umount --lazy "$1"; rmdir "$1"`;
  const keeper = spawn('sh', ['-c', script, 'sh', path], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  t.teardown(async () => {
    const ended = once(keeper, 'exit');
    keeper.stdin.end();
    await ended;
  });
  await once(keeper.stdout, 'data');
  const filler = join(path, 'fill');
  return {path, fill: () => fill(filler), free: () => rmSync(filler)};
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
