import test, {type ExecutionContext} from 'ava';
import {type BranchRecord, newBranchRecord} from '../../reconciler/branch-record.ts';
import {createMergeFinder} from '../../reconciler/merges.ts';
import {openLocalSource} from '../../reconciler/sources/git-local.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const signal = AbortSignal.timeout(100_000);

/** A repository with `main`, and looks at it as the controller takes them. */
async function setup(t: ExecutionContext, {kept = []}: {kept?: readonly string[]} = {}) {
  const git = await createGitWorld(t, {bare: true});
  await git.commit('main', {a: '1\n', b: '1\n'});
  const source = await openLocalSource({
    path: git.path,
    environment: git.environment,
    clock: systemClock,
    log: silentLog,
  });
  t.teardown(() => source.close());
  const records = new Map<string, BranchRecord>();
  let finder = createMergeFinder({source, isKept: (branch) => kept.includes(branch)});
  let formerLive: string | null = null;
  const look = async () => {
    const listing = await source.list({signal});
    for (const [branch, commit] of listing.branches) {
      const record =
        records.get(branch) ?? newBranchRecord({repository: 'r', path: '.', branch, live: branch === 'main'});
      records.set(branch, record);
      record.revision ??= commit;
    }
    await finder.look(records.values(), listing, {live: 'main', formerLive, signal});
    for (const [branch, commit] of listing.branches) {
      const record = records.get(branch);
      if (record !== undefined) record.revision = commit;
    }
    formerLive = listing.branches.get('main') ?? null;
    return [...records.values()].filter(({merged}) => merged !== null).map(({branch}) => branch);
  };
  const commitOf = (name: string) => git.git('rev-parse', `refs/heads/${name}`);
  return {
    git,
    source,
    look,
    /** A merge commit of the branch into main, with the branch's own tree. */
    async merge(branch: string) {
      const tree = await git.git('rev-parse', `refs/heads/${branch}^{tree}`);
      const [into, from] = [await commitOf('main'), await commitOf(branch)];
      const merged = await git.git('commit-tree', tree, '-p', into, '-p', from, '-m', 'merge');
      await git.git('update-ref', 'refs/heads/main', merged);
    },
    restart() {
      finder = createMergeFinder({source, isKept: (branch) => kept.includes(branch)});
    },
  };
}

test('S33: a branch that was ahead and is merged is found, by a merge commit or a fast-forward', async (t) => {
  const {git, look, merge} = await setup(t);
  await git.commit('feature', {c: '1\n'});
  t.deepEqual(await look(), []);
  await merge('feature');
  t.deepEqual(await look(), ['feature']);
  await git.commit('next', {d: '1\n'});
  t.deepEqual(await look(), ['feature']);
  await git.git('update-ref', 'refs/heads/main', await git.git('rev-parse', 'refs/heads/next'));
  t.deepEqual(await look(), ['feature', 'next']);
});

test('S33: a squash and a rebase are found, also when the live branch has moved on elsewhere', async (t) => {
  const {git, look} = await setup(t);
  await git.commit('squashed', {c: '1\n'});
  await git.commit('squashed', {c: '2\n', a: null});
  await git.commit('rebased', {d: '1\n'});
  await git.commit('open', {e: '1\n'});
  t.deepEqual(await look(), []);
  await git.commit('main', {b: '2\n'});
  t.deepEqual(await look(), []);
  await git.commit('main', {c: '2\n', a: null}, 'squashed (#1)');
  await git.commit('main', {d: '1\n'}, 'rebased');
  t.deepEqual(await look(), ['rebased', 'squashed']);
});

test('a branch without commits of its own is not merged, wherever the live branch goes', async (t) => {
  const {git, look} = await setup(t);
  await git.git('branch', 'fresh', 'main');
  t.deepEqual(await look(), []);
  await git.commit('main', {b: '2\n'});
  t.deepEqual(await look(), []);
});

test('a half of a branch is not a merge of it', async (t) => {
  const {git, look} = await setup(t);
  await git.commit('feature', {c: '1\n', d: '1\n'});
  await look();
  await git.commit('main', {c: '1\n'});
  t.deepEqual(await look(), []);
});

test('a merged branch that gets a new commit is merged no more, until that is too', async (t) => {
  const {git, look, merge} = await setup(t);
  await git.commit('feature', {c: '1\n'});
  await look();
  await merge('feature');
  t.deepEqual(await look(), ['feature']);
  await git.commit('feature', {c: '2\n'});
  t.deepEqual(await look(), []);
  await merge('feature');
  t.deepEqual(await look(), ['feature']);
});

test('a merge that happened while nobody looked is found after a restart', async (t) => {
  const {git, look, restart} = await setup(t);
  await git.commit('feature', {c: '1\n'});
  await look();
  restart();
  await git.commit('main', {c: '1\n'}, 'squashed');
  t.deepEqual(await look(), ['feature']);
});

test('branches that are kept are never merged, and without a move no process is started', async (t) => {
  const {git, source, look, merge} = await setup(t, {kept: ['staging']});
  await git.commit('staging', {c: '1\n'});
  await git.commit('feature', {d: '1\n'});
  await look();
  await merge('staging');
  t.deepEqual(await look(), []);
  const before = source.gitProcesses();
  await look();
  // The listing itself.
  t.is(source.gitProcesses(), before + 1);
});

test('a branch that shares no past with the live one is not merged', async (t) => {
  const {git, look} = await setup(t);
  await git.commit('alone', {c: '1\n'}, 'alone', {from: null});
  await look();
  await git.commit('main', {c: '1\n'});
  t.deepEqual(await look(), []);
});
