import {execFileSync} from 'node:child_process';
import {readFile, statfs, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {processWorld} from '../helpers/process-provider-world.ts';
import {canMount, mountSharingDisk} from '../helpers/small-disk.ts';

const canShare = canMount && Bun.which('mkfs.btrfs') !== null;
if (!canShare) console.log('SKIP snapshots that share blocks: needs root on Linux and mkfs.btrfs');
// A long job whose machine has not what it needs is to fail, not to skip.
if (!canShare && (process.env.REQUIRE_PROVIDERS ?? '').includes('lxd'))
  throw new Error('mkfs.btrfs is required');

const fileBytes = 64 * 1024 ** 2;
const mostBytes = 1024 ** 2;

(canShare ? test : test.skip)(
  'S1: where files can share blocks, a snapshot and a clone with its data take less than a megabyte each',
  async (t) => {
    const disk = await mountSharingDisk(t, {sizeMiB: 512});
    const {provider, directories} = await processWorld(t, 'plain', {stateDirectory: join(disk, 'state')});
    const {id} = await provider.create({name: 'main-1', labels: {}});
    const {data, workspace} = directories(id);
    const bytes = Buffer.alloc(fileBytes, 'some rows of a table\n');
    await writeFile(join(data, 'events.db'), bytes);
    await writeFile(join(workspace, 'model.bin'), bytes);
    const before = await usedBytes(disk);
    await provider.snapshot(id, 'main-snapshot');
    const clone = await provider.create({name: 'clone', labels: {}, from: 'main-snapshot', withData: true});
    const grownBytes = (await usedBytes(disk)) - before;
    t.true(grownBytes <= 2 * mostBytes, `${grownBytes} bytes`);
    t.true((await readFile(join(directories(clone.id).data, 'events.db'))).equals(bytes));
    await writeFile(join(directories(clone.id).data, 'events.db'), 'changed');
    t.true((await readFile(join(data, 'events.db'))).equals(bytes));
  },
);

/** Once all is written. */
async function usedBytes(path: string): Promise<number> {
  execFileSync('sync', ['-f', path]);
  const {blocks, bfree, bsize} = await statfs(path);
  return (blocks - bfree) * bsize;
}
