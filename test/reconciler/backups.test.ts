import {mkdtemp, readdir, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type BackupStore, openBackupStore} from '../../reconciler/backups.ts';
import {tarEnd, tarFill, tarHead} from '../../runtime/storage/tar.ts';
import {archiveManifestName} from '../../schemas/data-archive.ts';

const key = 'main-00000000';
const atMs = Date.parse('2026-11-21T02:00:00Z');

async function world(t: ExecutionContext): Promise<{store: BackupStore; directory: string}> {
  const directory = await mkdtemp(join(tmpdir(), 'backups-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  return {store: openBackupStore({directory}), directory: join(directory, key)};
}

function archive(text: string): Uint8Array[] {
  const member = {mode: 0o600, uid: 0, gid: 0, modifiedMs: 0, kind: 'file' as const, target: ''};
  const content = Buffer.from(text);
  const files = [tarHead({...member, path: 'x', size: content.length}), content, tarFill(content.length)];
  const archive_bytes = files.reduce((sum, {length}) => sum + length, 0);
  const manifest = Buffer.from(JSON.stringify({archive_bytes, files: 1, databases: 0, uncertain: []}));
  const head = tarHead({...member, path: archiveManifestName, size: manifest.length});
  return [...files, head, manifest, tarFill(manifest.length), tarEnd];
}

async function* stream(parts: readonly Uint8Array[], error?: Error): AsyncGenerator<Uint8Array> {
  yield* parts;
  if (error !== undefined) throw error;
}

test('the newest are kept, and each is read back byte for byte', async (t) => {
  const {store} = await world(t);
  for (let day = 0; day < 9; day += 1)
    await store.save(key, stream(archive(`day ${day}`)), {nowMs: atMs + day * 86_400_000, keep: 7});
  const all = await store.list(key);
  t.deepEqual(
    all.map(({created_at}) => created_at.slice(0, 10)),
    ['2026-11-29', '2026-11-28', '2026-11-27', '2026-11-26', '2026-11-25', '2026-11-24', '2026-11-23'],
  );
  t.like(all[0], {id: '20261129T020000000Z', files: 1, databases: 0});
  const parts: Uint8Array[] = [];
  for await (const part of await store.read(key, all[0]?.id ?? '')) parts.push(part);
  t.deepEqual(Buffer.concat(parts), Buffer.concat(archive('day 8')));
});

test('half a backup is never listed and leaves the former ones', async (t) => {
  const {store, directory} = await world(t);
  await store.save(key, stream(archive('good')), {nowMs: atMs, keep: 1});
  const whole = archive('x'.repeat(5000));
  const broken = new Error('the connection broke');
  await t.throwsAsync(store.save(key, stream(whole.slice(0, 2), broken), {nowMs: atMs + 1, keep: 1}), {
    is: broken,
  });
  // An end that looks like one: every block boundary, and an archive cut out of a longer one.
  const bytes = Buffer.concat(whole);
  for (let end = 0; end < bytes.length; end += 512)
    await t.throwsAsync(store.save(key, stream([bytes.subarray(0, end)]), {nowMs: atMs + 1, keep: 1}), {
      code: 'BACKEND_ERROR',
    });
  await t.throwsAsync(store.save(key, stream([bytes.subarray(512)]), {nowMs: atMs + 1, keep: 1}), {
    code: 'BACKEND_ERROR',
  });
  t.deepEqual(
    (await store.list(key)).map(({id}) => id),
    ['20261121T020000000Z'],
  );
  t.deepEqual(await readdir(directory), ['20261121T020000000Z.tar']);
});

test('what a crash left is removed by the next, and what the disk damaged is not listed', async (t) => {
  const {store, directory} = await world(t);
  await store.save(key, stream(archive('one')), {nowMs: atMs, keep: 7});
  await writeFile(join(directory, '.making-0123'), 'half');
  await writeFile(join(directory, 'notes.txt'), 'of a person');
  await store.save(key, stream(archive('two')), {nowMs: atMs + 1000, keep: 7});
  await truncate(join(directory, '20261121T020000000Z.tar'), 700);
  t.deepEqual(
    (await store.list(key)).map(({id}) => id),
    ['20261121T020001000Z'],
  );
  t.false((await readdir(directory)).includes('.making-0123'));
  t.true((await readdir(directory)).includes('notes.txt'));
});

test('neither a key nor an id names a file elsewhere', async (t) => {
  const {store} = await world(t);
  await store.save(key, stream(archive('one')), {nowMs: atMs, keep: 7});
  for (const id of ['../main-00000000/20261121T020000000Z', '', '.', '20261121T020000000Z.tar', '\0'])
    await t.throwsAsync(store.read(key, id), {code: 'BACKUP_NOT_FOUND'}, id);
  for (const hostile of ['..', '../x', 'A', '', 'a/b'])
    await t.throwsAsync(store.list(hostile), {code: 'BACKUP_NOT_FOUND'}, hostile);
});
