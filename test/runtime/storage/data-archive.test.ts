import {Database} from 'bun:sqlite';
import {
  chmod,
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
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ownCommand} from '../../../runtime/platform/child-process.ts';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {createDataArchive, type DataArchive} from '../../../runtime/storage/data-archive.ts';
import {type TarMember, tarEnd, tarFill, tarHead} from '../../../runtime/storage/tar.ts';
import {archiveManifestName} from '../../../schemas/data-archive.ts';

interface World {
  readonly root: string;
  readonly archive: DataArchive;
}

async function world(t: ExecutionContext): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'data-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const root = join(directory, 'data');
  await mkdir(root);
  const command = ownCommand(resolve('runtime/start.ts'));
  return {
    root,
    archive: createDataArchive({root, directory: join(directory, 'work'), command, clock: systemClock}),
  };
}

async function packed({archive}: World): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  for await (const part of archive.pack()) parts.push(part);
  return Buffer.concat(parts);
}

const body = (bytes: Uint8Array<ArrayBuffer>) => new Blob([bytes]).stream();

test('files of every kind come back as they were, and what was there is gone', async (t) => {
  const from = await world(t);
  const long = `${'a long name '.repeat(15)}ü.txt`;
  await mkdir(join(from.root, 'logs/2026'), {recursive: true});
  await writeFile(join(from.root, 'logs/2026', long), 'x'.repeat(700_001));
  await writeFile(join(from.root, 'empty'), '');
  await writeFile(join(from.root, 'tool'), '#!/bin/sh\n');
  await chmod(join(from.root, 'tool'), 0o751);
  await symlink(`/etc/${'p'.repeat(120)}`, join(from.root, 'link'));
  await utimes(join(from.root, 'tool'), 1_700_000_000, 1_700_000_000);
  await chmod(join(from.root, 'logs/2026'), 0o500);
  const bytes = await packed(from);
  t.is(bytes.length % 512, 0);

  const to = await world(t);
  await mkdir(join(to.root, 'old/deep'), {recursive: true});
  await writeFile(join(to.root, 'tool'), 'another');
  await to.archive.replace(body(bytes));
  t.deepEqual((await readdir(to.root)).sort(), ['empty', 'link', 'logs', 'tool']);
  t.is((await readFile(join(to.root, 'logs/2026', long), 'utf8')).length, 700_001);
  t.is(await readlink(join(to.root, 'link')), `/etc/${'p'.repeat(120)}`);
  t.like(await lstat(join(to.root, 'tool')), {size: 10, mtimeMs: 1_700_000_000_000});
  t.is((await lstat(join(to.root, 'tool'))).mode & 0o777, 0o751);
  t.is((await lstat(join(to.root, 'logs/2026'))).mode & 0o777, 0o500);
});

test('the archive is one that tar reads', async (t) => {
  const from = await world(t);
  await mkdir(join(from.root, 'a'));
  await writeFile(join(from.root, 'a', 'ä'.repeat(90)), 'text');
  const file = join(from.root, '../backup.tar');
  await writeFile(file, await packed(from));
  const listed = Bun.spawnSync(['tar', '-tf', file], {
    env: {LC_ALL: 'C.UTF-8', PATH: process.env.PATH ?? ''},
  });
  t.is(listed.exitCode, 0, listed.stderr.toString());
  t.is(listed.stdout.toString().split('\n').length, 4);
});

test('a database is packed as of one moment while it is written, whatever it is called', async (t) => {
  const from = await world(t);
  const database = new Database(join(from.root, 'events'));
  database.run('PRAGMA journal_mode = WAL');
  database.run('CREATE TABLE pair(a INTEGER, b INTEGER)');
  database.run('INSERT INTO pair VALUES (1, 1)');
  // A transaction that is open must not be seen, the committed rows in the log must.
  database.run('BEGIN');
  database.run('INSERT INTO pair VALUES (2, 0)');
  const bytes = await packed(from);
  database.run('UPDATE pair SET b = a');
  database.run('COMMIT');
  database.close();

  const to = await world(t);
  await to.archive.replace(body(bytes));
  t.deepEqual(await readdir(to.root), ['events']);
  const copy = new Database(join(to.root, 'events'));
  t.teardown(() => copy.close());
  t.deepEqual(copy.query('SELECT a, b FROM pair').all(), [{a: 1, b: 1}]);
  t.deepEqual(copy.query('PRAGMA journal_mode').get(), {journal_mode: 'wal'});
});

test('a file that only looks like a database is packed as it is and named', async (t) => {
  const from = await world(t);
  const text = `SQLite format 3\0${'nonsense'.repeat(100)}`;
  await writeFile(join(from.root, 'broken.db'), text);
  const bytes = await packed(from);
  t.true(Buffer.from(bytes).includes('"uncertain":["broken.db"]'));
  const to = await world(t);
  await to.archive.replace(body(bytes));
  t.is(await readFile(join(to.root, 'broken.db'), 'utf8'), text);
});

const plain: TarMember = {
  path: 'x',
  kind: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  modifiedMs: 0,
  size: 0,
  target: '',
};
const file = (path: string, text = 'evil') => [
  tarHead({...plain, path, size: text.length}),
  Buffer.from(text),
  tarFill(text.length),
];
const link = (path: string, target: string) => [tarHead({...plain, path, kind: 'link', target})];
const complete = [...file(archiveManifestName, '{}'), tarEnd];

for (const {title, parts} of [
  {title: 'a path that leads out', parts: [...file('../out'), ...complete]},
  {title: 'an absolute path', parts: [...file('/etc/evil'), ...complete]},
  {title: 'a file below a link', parts: [...link('out', '/tmp'), ...file('out/evil'), ...complete]},
  {title: 'a file in the place of a link', parts: [...link('out', '/tmp/evil'), ...file('out'), ...complete]},
  {title: 'a file in no directory', parts: [...file('none/evil'), ...complete]},
  {title: 'an early end', parts: file('x').slice(0, 2)},
  {title: 'no manifest', parts: [...file('x'), tarEnd]},
  {title: 'a member after the manifest', parts: [...file(archiveManifestName, '{}'), ...file('x'), tarEnd]},
  {title: 'more after its end', parts: [...complete, ...file('x')]},
  {title: 'a damaged head', parts: [tarHead(plain).fill(0x41, 0, 10), ...complete]},
  {title: 'a name that no file system takes', parts: [...file('x'.repeat(300)), ...complete]},
  {title: 'a link to nowhere', parts: [...link('x', ''), ...complete]},
  {title: 'a device', parts: [deviceHead(), ...complete]},
]) {
  test(`an archive with ${title} is refused, and everything stays as it was`, async (t) => {
    const {root, archive} = await world(t);
    await writeFile(join(root, 'kept'), 'kept');
    const bytes = Buffer.concat(parts);
    await t.throwsAsync(archive.replace(body(bytes)), {code: 'INVALID_BODY'});
    t.deepEqual(await readdir(root), ['kept']);
    t.deepEqual(
      (await readdir(join(root, '..'))).filter((name) => name !== 'work'),
      ['data'],
    );
  });
}

test('what an interrupted replacement left is neither packed nor in the way of the next', async (t) => {
  const {root, archive} = await world(t);
  await mkdir(join(root, '.branchtab-replaced-0123'));
  await writeFile(join(root, '.branchtab-replaced-0123', 'old'), 'old');
  await writeFile(join(root, 'new'), 'new');
  const bytes = await packed({root, archive});
  t.false(Buffer.from(bytes).includes('replaced'));
  await archive.replace(body(bytes));
  t.deepEqual(await readdir(root), ['new']);
});

/** A head whose sum is right, of a kind that nobody packs. */
function deviceHead(): Uint8Array {
  const head = Buffer.from(tarHead({...plain, path: 'device'}));
  const before = head.readUInt8(156);
  head.write('3', 156);
  const sum = Number.parseInt(head.toString('latin1', 148, 154), 8) + head.readUInt8(156) - before;
  head.write(sum.toString(8).padStart(6, '0'), 148);
  return head;
}
