import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {exclusiveLockHolder, takeExclusiveLock} from '../../../runtime/platform/exclusive-lock.ts';

test('a lock names its holder until it is released', async (t) => {
  if (process.platform !== 'linux') {
    console.log('SKIP the holder of a lock: /proc/locks is of Linux');
    t.pass();
    return;
  }
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-lock-'));
  t.teardown(() => rm(directory, {recursive: true}));
  const path = join(directory, 'lock');
  t.is(await exclusiveLockHolder(path), null);
  const lock = takeExclusiveLock(path);
  t.is(await exclusiveLockHolder(path), process.pid);
  t.is(takeExclusiveLock(path), null);
  t.is(await exclusiveLockHolder(join(directory, '..')), null);
  lock?.release();
  t.is(await exclusiveLockHolder(path), null);
});
