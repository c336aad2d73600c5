import test, {type ExecutionContext} from 'ava';
import type {BranchRecord} from '../../reconciler/branch-record.ts';
import {openLocalSource} from '../../reconciler/sources/git-local.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {branchName} from '../../schemas/branch-name.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {createGitWorld, type WorldFiles} from '../helpers/git-world.ts';
import {createWatchWorld} from '../helpers/watch-world.ts';

const crontab = (service: string) => ({[`services/${service}/.hoody/crontab`]: `# of ${service}\n`});
const signal = AbortSignal.timeout(100_000);

/** A watch over a real monorepo of services, from its first listing on. */
async function monorepo(
  t: ExecutionContext,
  branches: Readonly<Record<string, WorldFiles>>,
  paths: readonly string[] | null = ['services/*'],
) {
  const world = await createGitWorld(t, {bare: true});
  await world.commit('main', {
    ...crontab('a'),
    ...crontab('b'),
    'services/none/readme.md': 'no schedule',
    'services/readme.md': 'no directory',
    'tools/c/.hoody/crontab': '# of a tool\n',
  });
  for (const [branch, files] of Object.entries(branches)) await world.commit(branch, files);
  const clock = new FakeClock();
  const {path, environment} = world;
  const source = await openLocalSource({path, environment, clock, log: silentLog});
  t.teardown(() => source.close());
  const records = new Map<string, BranchRecord>();
  const open = (globs: readonly string[] | null) =>
    createWatchWorld(t, {source, clock, live: null, paths: globs, records}).watch;
  let watch = open(paths);
  await watch.pass();
  return {
    world,
    source,
    record: (name: string) => records.get(name),
    names: () => [...records.keys()].sort(),
    /** Those that shall have a container. */
    present: () =>
      [...records.values()]
        .filter(({missing}) => missing === null)
        .map(branchName)
        .sort(),
    async settle() {
      await watch.pass();
      clock.step(2000);
      await watch.pass();
    },
    status: () => watch.status(),
    /** As after a restart with another configuration. */
    async restart(globs: readonly string[] | null) {
      watch = open(globs);
      await watch.pass();
    },
    gone(name: string) {
      const record = records.get(name);
      if (record !== undefined) watch.forget(record);
      records.delete(name);
    },
  };
}

const live = ['main:services/a', 'main:services/b'];

test('live has a container for each directory, a preview for those that it changes', async (t) => {
  const {names} = await monorepo(t, {
    'feature/x': {'services/a/job.sh': 'true'},
    'feature/both': {'services/a/job.sh': 'true', ...crontab('b'), 'services/b/.hoody/crontab': '# other\n'},
    'feature/docs': {'readme.md': 'text', 'tools/c/job.sh': 'true'},
    'feature/new': crontab('d'),
  });
  t.deepEqual(names(), [
    'feature/both:services/a',
    'feature/both:services/b',
    'feature/new:services/d',
    'feature/x:services/a',
    ...live,
  ]);
});

test('each has a key of its own, readable by branch and directory', async (t) => {
  const {record} = await monorepo(t, {'feature/x': {'services/a/job.sh': 'true'}});
  const keys = [...live, 'feature/x:services/a'].map((name) => record(name)?.key ?? '');
  t.is(new Set(keys).size, 3);
  t.regex(keys[2] ?? '', /^feature-x-services-a-[0-9a-f]{8}$/);
});

test('what live changes later is no change of the branch', async (t) => {
  const {world, settle, present} = await monorepo(t, {'feature/x': {'services/a/job.sh': 'true'}});
  await world.commit('main', {'services/a/live.sh': 'true', 'services/b/live.sh': 'true'});
  await settle();
  t.deepEqual(present(), ['feature/x:services/a', ...live]);
  await world.commit('feature/x', {'readme.md': 'text'});
  await settle();
  t.deepEqual(present(), ['feature/x:services/a', ...live]);
});

test('a branch that takes its change back loses the container, and gets it back with the next change', async (t) => {
  const {world, settle, record, present} = await monorepo(t, {'feature/x': {'services/a/job.sh': 'true'}});
  const back = await world.commit('feature/x', {'services/a/job.sh': null});
  await settle();
  t.deepEqual(record('feature/x:services/a')?.missing?.cause, 'path_unchanged');
  t.true(record('feature/x:services/a')?.missing?.proven);
  t.is(record('feature/x:services/a')?.revision, back);
  await world.commit('feature/x', {'services/a/job.sh': 'again'});
  await settle();
  t.deepEqual(present(), ['feature/x:services/a', ...live]);
});

test('where live has come to what the branch changed, the container goes', async (t) => {
  const {world, settle, record} = await monorepo(t, {
    'feature/x': {'services/a/job.sh': 'true', 'services/b/job.sh': 'true'},
  });
  await world.commit('main', {'services/a/job.sh': 'true'});
  await settle();
  t.is(record('feature/x:services/a')?.missing?.cause, 'path_unchanged');
  t.is(record('feature/x:services/b')?.missing, null);
});

test('a directory that a branch removes is not there any more; live keeps its record', async (t) => {
  const {world, source, settle, record} = await monorepo(t, {'feature/x': {'services/a/job.sh': 'true'}});
  const without = {'services/a/.hoody/crontab': null, 'services/a/job.sh': null};
  const commit = await world.commit('feature/x', without);
  const liveCommit = await world.commit('main', {'services/a/.hoody/crontab': null});
  await settle();
  t.is(record('feature/x:services/a')?.revision, commit);
  t.is(record('main:services/a')?.revision, liveCommit);
  t.is(await source.readHoody(commit, {path: 'services/a', signal}), null);
  t.is(await source.readHoody(liveCommit, {path: 'services/a', signal}), null);
});

test('a branch that is deleted goes with all its directories, and counts once for the breaker', async (t) => {
  const change = {'services/a/job.sh': 'true', 'services/b/job.sh': 'true'};
  const {world, settle, record, status} = await monorepo(t, {
    p1: change,
    p2: change,
    p3: {...change, more: ''},
  });
  await world.deleteBranch('p1');
  await world.deleteBranch('p2');
  await settle();
  t.is(status().held_deletions, null);
  for (const name of ['p1:services/a', 'p1:services/b', 'p2:services/a'])
    t.true(record(name)?.missing?.proven, name);
  t.is(record('p3:services/a')?.missing, null);
});

test('a branch that comes back at its former commit has its directories again', async (t) => {
  const {world, settle, present, gone} = await monorepo(t, {'feature/x': {'services/a/job.sh': 'true'}});
  const commit = await world.git('rev-parse', 'feature/x');
  await world.deleteBranch('feature/x');
  await settle();
  gone('feature/x:services/a');
  await world.git('branch', 'feature/x', commit);
  await settle();
  t.deepEqual(present(), ['feature/x:services/a', ...live]);
});

test('the workspace and .hoody are those of the directory', async (t) => {
  const {world, source} = await monorepo(t, {});
  const commit = await world.git('rev-parse', 'main');
  const tree = await source.readHoody(commit, {path: 'services/a', signal});
  t.deepEqual(
    tree?.files.map(({path}) => path),
    ['.hoody/crontab'],
  );
  t.is(tree?.rootTree, await world.git('rev-parse', 'main:services/a'));
  for (const path of [
    'services/none',
    'services/readme.md',
    'services/absent',
    '..',
    'services/a/.hoody/crontab',
  ])
    t.is(await source.readHoody(commit, {path, signal}), null, path);
});

test('links, submodules and names that nobody can show are no directories', async (t) => {
  const {world, source} = await monorepo(t, {});
  await world.commit('main', {
    'services/link': {mode: 'symlink', content: 'a'},
    'services/module': {mode: 'submodule', content: 'a'.repeat(40)},
    [`services/${'x'.repeat(250)}/.hoody/crontab`]: '',
    'services/\u0007bell/.hoody/crontab': '',
  });
  const commit = await world.git('rev-parse', 'main');
  const paths = await source.hoodyPaths(commit, {globs: ['services/*', '!services/b', 'tools/?'], signal});
  t.deepEqual([...paths.keys()], ['services/a', 'tools/c']);
});

test('a branch with too many directories is left as it is, and no other is delayed', async (t) => {
  const {world, settle, names} = await monorepo(t, {'feature/x': {'services/a/job.sh': 'true'}});
  const many = Array.from({length: 1100}, (_, index) => [`services/s${index}/.hoody/crontab`, ''] as const);
  await world.commit('feature/many', Object.fromEntries(many));
  await world.commit('feature/y', {'services/b/job.sh': 'true'});
  await settle();
  t.deepEqual(names(), ['feature/x:services/a', 'feature/y:services/b', ...live]);
});

test('a repository that becomes a monorepo, and one that is none any more', async (t) => {
  const {world, restart, record, present} = await monorepo(t, {'feature/x': {'services/a/job.sh': 'true'}});
  await world.commit('main', {'.hoody/crontab': '# of all\n'});
  await restart(null);
  t.deepEqual(present(), ['main']);
  t.is(record('feature/x:services/a')?.missing?.cause, 'branch_excluded');
  await restart(['services/*']);
  t.deepEqual(present(), ['feature/x:services/a', ...live]);
  t.is(record('main')?.missing?.cause, 'branch_excluded');
});
