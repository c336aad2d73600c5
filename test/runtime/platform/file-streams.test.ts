import {mkdtemp, readdir, readlink, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readBytes} from '../../../runtime/platform/file-streams.ts';

async function setup(t: ExecutionContext, text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-stream-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const path = join(directory, 'file');
  await writeFile(path, text);
  return path;
}

/** How often this process has the file open. */
async function timesOpen(path: string): Promise<number> {
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')),
  );
  return links.filter((link) => link === path).length;
}

test('a range of a file is read, and the file is closed at its end', async (t) => {
  const path = await setup(t, '0123456789');
  t.is(await new Response(readBytes(path, {first: 2, last: 5})).text(), '2345');
  t.is(await new Response(readBytes(path, {first: 0, last: -1})).text(), '');
  t.is(await timesOpen(path), 0);
});

test('a stream that nobody reads or that is left holds no file open', async (t) => {
  const path = await setup(t, 'x'.repeat(1024 * 1024));
  const unread = readBytes(path, {first: 0, last: 1024});
  t.is(await timesOpen(path), 0);
  await unread.cancel();
  const left = readBytes(path, {first: 0, last: 1024 * 1024 - 1}).getReader();
  await left.read();
  t.is(await timesOpen(path), 1);
  await left.cancel();
  t.is(await timesOpen(path), 0);
});

test('a file that is gone fails the reader', async (t) => {
  await t.throwsAsync(new Response(readBytes('/nowhere/at/all', {first: 0, last: 1})).text(), {
    code: 'ENOENT',
  });
});
