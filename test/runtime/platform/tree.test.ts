import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {copyTree} from '../../../runtime/platform/tree-copy.ts';
import {removeTree} from '../../../runtime/platform/tree-removal.ts';

async function directory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  return path;
}

test('a copy keeps bytes, modes, times, owners and links', async (t) => {
  const root = await directory(t);
  const [source, target] = [join(root, 'a'), join(root, 'b')];
  await mkdir(join(source, 'sub'), {recursive: true});
  await writeFile(join(source, 'sub', 'tool'), 'text');
  await symlink('/etc/hostname', join(source, 'link'));
  if (process.getuid?.() === 0) await chown(join(source, 'sub', 'tool'), 1234, 1235);
  await chmod(join(source, 'sub', 'tool'), 0o4751);
  await utimes(join(source, 'sub', 'tool'), 1_000, 2_000);
  await chmod(join(source, 'sub'), 0o555);
  await utimes(join(source, 'sub'), 1_000, 3_000);
  await mkdir(target);
  await copyTree(source, target);

  const [from, to] = [await lstat(join(source, 'sub', 'tool')), await lstat(join(target, 'sub', 'tool'))];
  t.is(await readFile(join(target, 'sub', 'tool'), 'utf8'), 'text');
  t.deepEqual([to.mode, to.uid, to.gid, to.mtimeMs], [from.mode, from.uid, from.gid, 2_000_000]);
  t.is((await lstat(join(target, 'sub'))).mtimeMs, 3_000_000);
  t.is((await lstat(join(target, 'sub'))).mode & 0o777, 0o555);
  t.is(await readlink(join(target, 'link')), '/etc/hostname');
  await removeTree(source);
  await removeTree(target);
});

test('a copy leaves out sockets and fifos', async (t) => {
  const root = await directory(t);
  const [source, target] = [join(root, 'a'), join(root, 'b')];
  await mkdir(source);
  await mkdir(target);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(source, 'socket'), resolve));
  t.teardown(() => server.close());
  await Bun.spawn(['mkfifo', join(source, 'fifo')]).exited;
  await writeFile(join(source, 'file'), '');
  await copyTree(source, target);
  t.deepEqual(await readdir(target), ['file']);
});

test('removal takes read-only directories along and follows no link', async (t) => {
  const root = await directory(t);
  const [gone, kept] = [join(root, 'gone'), join(root, 'kept')];
  await mkdir(join(gone, 'a', 'b'), {recursive: true});
  await mkdir(kept);
  await writeFile(join(kept, 'file'), '');
  await writeFile(join(gone, 'a', 'b', 'file'), '');
  await symlink(kept, join(gone, 'a', 'link'));
  await chmod(join(gone, 'a', 'b'), 0o000);
  await chmod(join(gone, 'a'), 0o500);
  await removeTree(gone);
  await removeTree(gone);
  t.deepEqual(await readdir(root), ['kept']);
  t.deepEqual(await readdir(kept), ['file']);
});

test('removal of a link removes the link', async (t) => {
  const root = await directory(t);
  await mkdir(join(root, 'kept'));
  await symlink('kept', join(root, 'link'));
  await removeTree(join(root, 'link'));
  t.deepEqual(await readdir(root), ['kept']);
});
