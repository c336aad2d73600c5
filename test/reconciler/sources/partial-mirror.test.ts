import {randomBytes} from 'node:crypto';
import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {GitSource} from '../../../reconciler/sources/git-local.ts';
import {openRemoteSource} from '../../../reconciler/sources/git-remote.ts';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import {serveOverHttp} from '../../helpers/git-http.ts';
import {createGitWorld, type GitWorld} from '../../helpers/git-world.ts';

const signal = AbortSignal.timeout(100_000);

interface PartialWorld {
  readonly world: GitWorld;
  readonly source: GitSource;
  readonly mirrorDirectory: string;
  /** Ids of the blobs that the mirror has. */
  blobs(): Promise<string[]>;
  idOf(name: string): Promise<string>;
}

async function start(
  t: ExecutionContext,
  {filters, cutAfterBytes = () => null}: {filters: boolean; cutAfterBytes?: () => number | null},
): Promise<PartialWorld> {
  const world = await createGitWorld(t, {bare: true});
  await world.git('config', 'uploadpack.allowFilter', String(filters));
  await world.commit('main', {
    '.hoody/crontab': '# of main\n',
    'src/a.ts': 'old',
    'large.bin': new Uint8Array(300_000),
  });
  await world.commit('main', {'src/a.ts': 'new'});
  await world.commit('feature/x', {'.hoody/crontab': '# of a feature\n', 'src/b.ts': 'b'});
  await world.commit('without', {'.hoody/crontab': null, 'docs.md': 'text'});
  const mirrorDirectory = join(world.directory, 'mirror');
  const source = await openRemoteSource({
    url: await serveOverHttp(t, world, {cutAfterBytes}),
    access: {kind: 'address'},
    mirrorDirectory,
    environment: world.environment,
    clock: systemClock,
    log: silentLog,
  });
  t.teardown(() => source.close());
  return {
    world,
    source,
    mirrorDirectory,
    async blobs() {
      const format = '--batch-check=%(objecttype) %(objectname)';
      const all = await world.git('--git-dir', mirrorDirectory, 'cat-file', '--batch-all-objects', format);
      return all.split('\n').flatMap((line) => (line.startsWith('blob ') ? [line.slice(5)] : []));
    },
    idOf: (name) => world.git('rev-parse', name),
  };
}

test('the mirror has the contents of exactly those files that were asked for', async (t) => {
  const {world, source, blobs, idOf} = await start(t, {filters: true});
  const {branches} = await source.list({signal});
  const main = branches.get('main') ?? '';
  t.deepEqual(await blobs(), []);
  t.is((await source.hasHoody([...branches.values()], {signal})).size, 2);
  t.deepEqual(await blobs(), [], 'which branches are served is told by directories alone');

  const tree = await source.readHoody(main, {signal});
  t.is(Buffer.from(tree?.files[0]?.bytes ?? []).toString(), '# of main\n');
  t.deepEqual(await blobs(), [await idOf('main:.hoody/crontab')]);

  const changes = await source.diffTrees(null, tree?.rootTree ?? '', {signal});
  const before = source.gitProcesses();
  await source.prepareBlobs(
    changes.flatMap((change) => (change.kind === 'write' ? [change.blob] : [])),
    {signal},
  );
  t.is(source.gitProcesses() - before, 1, 'all files of a workspace come at once');
  t.is((await blobs()).length, 3, 'neither what the history held nor what other branches hold');
  const blob = await idOf('main:src/a.ts');
  t.is(Buffer.from(await source.readBlob(blob, {maxBytes: 10, signal})).toString(), 'new');

  const pushed = await world.commit('main', {'src/c.ts': 'c'});
  await source.list({signal});
  t.is((await blobs()).length, 3, 'a push brings no contents by itself');
  const read = await source.readFile(pushed, 'src/c.ts', {signal});
  t.is(read.kind === 'file' && Buffer.from(read.bytes).toString(), 'c');
  t.is((await blobs()).length, 4);
});

test('branches that are read at the same time share requests', async (t) => {
  const {world, source} = await start(t, {filters: true});
  const names = Array.from({length: 12}, (_, index) => `topic/${index}`);
  for (const name of names) await world.commit(name, {'.hoody/crontab': `# ${name}\n`});
  const {branches} = await source.list({signal});
  const before = source.gitProcesses();
  const trees = await Promise.all(names.map((name) => source.readHoody(branches.get(name) ?? '', {signal})));
  t.deepEqual(
    trees.map((tree) => Buffer.from(tree?.files[0]?.bytes ?? []).toString()),
    names.map((name) => `# ${name}\n`),
  );
  t.true(source.gitProcesses() - before < 6, `${source.gitProcesses() - before} processes`);
});

test('a file that the remote has lost fails its own branch and no other', async (t) => {
  const {source, idOf} = await start(t, {filters: true});
  const {branches} = await source.list({signal});
  const [lost, good] = await Promise.allSettled([
    source.readBlob('deadbeef'.repeat(5), {maxBytes: 10, signal}),
    source.readHoody(branches.get('main') ?? '', {signal}),
  ]);
  t.is(lost.status, 'rejected');
  t.is(
    lost.status === 'rejected' && lost.reason instanceof AppError && lost.reason.code,
    'REPOSITORY_UNREADABLE',
  );
  t.is(good.status === 'fulfilled' && good.value?.files[0]?.blob, await idOf('main:.hoody/crontab'));
});

test('reading a lost remote says so, and goes on when it is back', async (t) => {
  const {world, source} = await start(t, {filters: true});
  const {branches} = await source.list({signal});
  const main = branches.get('main') ?? '';
  await world.git('config', 'http.uploadpack', 'false');
  const error = await t.throwsAsync(source.readHoody(main, {signal}), {instanceOf: AppError});
  t.is(error.code, 'REPOSITORY_UNREADABLE');
  await world.git('config', 'http.uploadpack', 'true');
  t.is((await source.readHoody(main, {signal}))?.files.length, 1);
});

test('who leaves while files are fetched does not stop those who wait for others', async (t) => {
  const {source, idOf} = await start(t, {filters: true});
  await source.list({signal});
  const leaving = new AbortController();
  const [large, small] = [await idOf('main:large.bin'), await idOf('main:src/a.ts')];
  const left = source.readBlob(large, {maxBytes: 1, signal: leaving.signal});
  const stays = source.readBlob(small, {maxBytes: 10, signal});
  leaving.abort(new Error('a newer commit takes over'));
  await t.throwsAsync(left, {message: 'a newer commit takes over'});
  t.is(Buffer.from(await stays).toString(), 'new');
});

test('a server that leaves nothing out is read all the same', async (t) => {
  const {source, blobs} = await start(t, {filters: false});
  const {branches} = await source.list({signal});
  t.is((await source.readHoody(branches.get('main') ?? '', {signal}))?.files.length, 1);
  t.true((await blobs()).length > 3);
});

for (const {filters, what} of [
  {filters: true, what: 'files'},
  {filters: false, what: 'commits'},
]) {
  test(`fetches of ${what} that end in the middle, again and again, leave nothing on the disk`, async (t) => {
    let cutAt: number | null = null;
    const {world, source, mirrorDirectory, idOf} = await start(t, {filters, cutAfterBytes: () => cutAt});
    await source.list({signal});
    const tip = await world.commit('main', {'large.bin': randomBytes(3_000_000)});
    // Where files are left out, commits come whole and the file is what is cut.
    if (filters) await source.list({signal});
    const blob = await idOf('main:large.bin');
    const fetch = async () => {
      const {branches} = await source.list({signal});
      t.is(branches.get('main'), tip);
      await source.prepareBlobs([blob], {signal});
    };
    const bytesOf = async () => {
      let bytes = 0;
      for (const file of await readdir(mirrorDirectory, {recursive: true, withFileTypes: true}))
        if (file.isFile()) bytes += (await stat(join(file.parentPath, file.name))).size;
      return bytes;
    };
    const before = await bytesOf();
    cutAt = 1_000_000;
    for (let round = 0; round < 3; round += 1) {
      await t.throwsAsync(fetch(), {instanceOf: AppError, code: 'REPOSITORY_UNREADABLE'});
      const left = (await bytesOf()) - before;
      t.true(left < 20_000, `${left} bytes are left after round ${round}`);
    }
    cutAt = null;
    await fetch();
    t.is((await source.readBlob(blob, {maxBytes: 4_000_000, signal})).byteLength, 3_000_000);
  });
}
