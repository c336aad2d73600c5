import {rename} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readFileChanges} from '../../reconciler/apply.ts';
import {type LocalSource, openLocalSource} from '../../reconciler/sources/git-local.ts';
import {openRemoteSource} from '../../reconciler/sources/git-remote.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {AppError} from '../../schemas/errors.ts';
import {readCommitted} from '../helpers/branch-files-world.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {createGitWorld, type GitWorld} from '../helpers/git-world.ts';
import {createWatchWorld} from '../helpers/watch-world.ts';

const signal = AbortSignal.timeout(100_000);
const crontab = {'.hoody/crontab': '0 3 * * * true\n'};
const lfsPointer = [
  'version https://git-lfs.github.com/spec/v1',
  'oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393',
  'size 12345',
  '',
].join('\n');

/** A real repository, and the records that a watch over it keeps. */
async function watched(t: ExecutionContext, kind: 'local' | 'remote', previews: readonly string[]) {
  const world = await createGitWorld(t, {bare: true});
  for (const branch of ['main', ...previews]) await world.commit(branch, {...crontab, branch}, branch);
  const clock = new FakeClock();
  const options = {environment: world.environment, clock, log: silentLog};
  const source =
    kind === 'local'
      ? await openLocalSource({path: world.path, ...options})
      : await openRemoteSource({
          url: `file://${world.path}`,
          access: {kind: 'address'},
          mirrorDirectory: join(world.directory, 'mirror'),
          ...options,
        });
  const {watch, records} = createWatchWorld(t, {source, clock, live: null});
  await watch.pass();
  return {
    world,
    clock,
    watch,
    record: (name: string) => records.get(name),
    /** Two passes, far enough apart to prove a deletion. */
    async settle() {
      await watch.pass();
      clock.step(2000);
      await watch.pass();
    },
  };
}

async function openLocal(t: ExecutionContext, world: GitWorld): Promise<LocalSource> {
  const {path, environment} = world;
  const source = await openLocalSource({path, environment, clock: new FakeClock(), log: silentLog});
  t.teardown(() => source.close());
  return source;
}

for (const kind of ['local', 'remote'] as const) {
  test(`${kind}: a repository that lost all branches keeps its previews until that is confirmed`, async (t) => {
    const {world, watch, record, settle} = await watched(t, kind, ['p1', 'p2']);
    for (const branch of ['main', 'p1', 'p2']) await world.deleteBranch(branch);
    await settle();
    t.deepEqual(watch.status().held_deletions, {missing: 2, previews: 2});
    for (const branch of ['p1', 'p2']) {
      t.false(record(branch)?.missing?.proven);
      t.true(record(branch)?.missing?.held);
    }
    watch.confirmDeletions();
    await settle();
    t.true(record('p1')?.missing?.proven);
    t.true(record('main')?.live);
  });

  test(`${kind}: a repository that is moved away proves nothing, and is read again at its place`, async (t) => {
    const {world, watch, record, settle} = await watched(t, kind, ['p1']);
    await rename(world.path, `${world.path}.moved`);
    await settle();
    t.is(watch.status().error?.code, 'REPOSITORY_UNREADABLE');
    t.is(record('p1')?.missing, null);
    await rename(`${world.path}.moved`, world.path);
    await settle();
    t.is(watch.status().error, null);
    t.is(record('p1')?.missing, null);
  });

  test(`${kind}: a renamed branch is a new branch, and the old one goes by proof`, async (t) => {
    const {world, record, settle} = await watched(t, kind, ['p1', 'old/name']);
    await world.git('branch', '-m', 'old/name', 'new/name');
    await settle();
    t.true(record('old/name')?.missing?.proven);
    t.is(record('new/name')?.missing, null);
    t.not(record('new/name')?.key, record('old/name')?.key);
  });

  test(`${kind}: a renamed live branch goes on; its new name is live when the old one is forgotten`, async (t) => {
    const {world, watch, record, settle} = await watched(t, kind, ['p1']);
    await world.git('branch', '-m', 'main', 'trunk');
    await settle();
    const main = record('main');
    t.true(main?.live);
    t.is(main?.missing?.cause, 'branch_deleted');
    t.false(record('trunk')?.live);
    if (main !== undefined) watch.forget(main);
    await settle();
    t.true(record('trunk')?.live);
    t.is(watch.status().live, 'trunk');
  });
}

test('another default branch makes no other branch live', async (t) => {
  const {world, clock, watch, record, settle} = await watched(t, 'remote', ['p1']);
  await world.git('symbolic-ref', 'HEAD', 'refs/heads/p1');
  clock.step(11 * 60_000);
  await settle();
  t.is(watch.status().live, 'main');
  t.false(record('p1')?.live);
});

test('a force push to an older commit, with an older date, is the newest commit', async (t) => {
  const {world, record, settle} = await watched(t, 'remote', ['p1']);
  const main = await world.git('rev-parse', 'main');
  const tree = await world.git('rev-parse', 'main^{tree}');
  const future = await world.gitWithInput(
    `tree ${tree}\nauthor A <a@b> 4102444800 +0000\ncommitter A <a@b> 4102444800 +0000\n\nin 2100\n`,
    ...['hash-object', '-t', 'commit', '-w', '--stdin'],
  );
  await world.git('update-ref', 'refs/heads/p1', future);
  await settle();
  t.is(record('p1')?.revision, future);
  await world.git('update-ref', 'refs/heads/p1', main);
  await settle();
  t.is(record('p1')?.revision, main);
});

test('a clock that is set back delays the end of a branch by one more look', async (t) => {
  const {world, clock, record, settle, watch} = await watched(t, 'local', ['p1', 'p2']);
  await world.deleteBranch('p1');
  await watch.pass();
  t.false(record('p1')?.missing?.proven);
  clock.step(-86_400_000);
  await watch.pass();
  t.false(record('p1')?.missing?.proven);
  await settle();
  t.true(record('p1')?.missing?.proven);
  t.is(record('p2')?.missing, null);
});

test('where the former tree is gone from a rewritten history, all files are sent', async (t) => {
  const world = await createGitWorld(t, {bare: true});
  await world.commit('main', {...crontab, 'a.txt': 'old'});
  const before = await world.git('rev-parse', 'main^{tree}');
  await world.deleteBranch('main');
  await world.commit('main', {...crontab, 'b.txt': 'new'});
  await world.git('reflog', 'expire', '--expire=now', '--all');
  await world.git('gc', '--quiet', '--prune=now');
  const source = await openLocal(t, world);
  const to = await world.git('rev-parse', 'main^{tree}');
  const changes = await readFileChanges(
    [{kind: 'sync_workspace', from: before, to, reason: 'tree_differs', summary: ''}],
    {source},
    signal,
  );
  t.is(changes?.from, null);
  t.deepEqual(
    changes?.changes.map(({path}) => path),
    ['.hoody/crontab', 'b.txt'],
  );
});

test('a pointer of Git LFS stalls the branch where the file itself is needed, and is a file elsewhere', async (t) => {
  const {issues, crontabs} = await readCommitted(t, {
    '.hoody/crontab': lfsPointer,
    '.hoody/exec/pointer.ts': lfsPointer,
    '.hoody/exec/scripts.yaml': 'version: 1\nscripts:\n  - {path: a, file: src/a.ts}\n',
    'src/a.ts': lfsPointer,
    'assets/film.mp4': lfsPointer,
  });
  t.deepEqual(
    issues.map(({file, code}) => `${file} ${code}`),
    [
      '.hoody/crontab lfs_pointer',
      '.hoody/exec/pointer.ts lfs_pointer',
      '.hoody/exec/scripts.yaml lfs_pointer',
    ],
  );
  t.true(issues.every(({message}) => /Take it out of LFS/.test(message)));
  t.is(crontabs[0]?.text, '');
});

test('a repository of a format that this git does not know says which git does', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  await world.git('config', 'core.repositoryFormatVersion', '1');
  await world.git('config', 'extensions.refStorage', 'of-the-future');
  const {path, environment} = world;
  const error = await t.throwsAsync(
    openLocalSource({path, environment, clock: new FakeClock(), log: silentLog}),
    {instanceOf: AppError},
  );
  t.is(error.code, 'REPOSITORY_UNREADABLE');
  t.regex(error.message, /newer git/);
});

const reftable = await (async () => {
  const version = /(\d+)\.(\d+)/.exec(new TextDecoder().decode(Bun.spawnSync(['git', 'version']).stdout));
  return Number(version?.[1]) * 1000 + Number(version?.[2]) >= 2045;
})();

(reftable ? test : test.skip)('a repository with reftables is listed as any other (git 2.45)', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  await world.git('refs', 'migrate', '--ref-format=reftable');
  t.is((await (await openLocal(t, world)).list({signal})).branches.size, 3);
});
