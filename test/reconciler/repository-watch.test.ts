import test, {type ExecutionContext} from 'ava';
import {type BranchRecord, newBranchRecord} from '../../reconciler/branch-record.ts';
import {wordMs} from '../../reconciler/deletion.ts';
import type {Source} from '../../reconciler/sources/source.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {createWatchWorld} from '../helpers/watch-world.ts';

/** A watch over a listing that the test sets; nothing else of the source is asked in these cases. */
function setup(t: ExecutionContext, names: readonly string[], kind: Source['kind'] = 'remote') {
  const clock = new FakeClock();
  const listed = new Map(names.map((name) => [name, 'a'.repeat(40)]));
  const unused = () => Promise.reject(new Error('not asked here'));
  const source: Source = {
    repository: '/srv/repo',
    kind,
    identity: '/srv/repo',
    ownerRef: {where: 'nowhere', intervalMs: 0, read: unused, replace: unused},
    list: async () => ({branches: new Map(listed), defaultBranch: 'main', listedAtMs: clock.now()}),
    obtainPull: async () => false,
    readRef: async (branch) => listed.get(branch) ?? null,
    readHoody: unused,
    readFile: unused,
    hasHoody: async (commits) => new Set(commits),
    hoodyPaths: unused,
    mergeBase: unused,
    diffTrees: unused,
    prepareBlobs: unused,
    readBlob: unused,
    watch: () => () => {},
    newestFirst: async () => [...listed.keys()],
    findInHistory: unused,
    branchesContainedIn: async () => new Set(),
    branchesEqualIn: async () => new Set(),
    close: async () => {},
  };
  const records = new Map<string, BranchRecord>();
  for (const branch of names) {
    const record = newBranchRecord({repository: '/srv/repo', path: '.', branch, live: branch === 'main'});
    records.set(branch, {...record, revision: 'a'.repeat(40)});
  }
  const open = () => createWatchWorld(t, {source, clock, records}).watch;
  return {watch: open(), open, clock, listed, record: (name: string) => records.get(name)};
}

const previews = ['p1', 'p2', 'p3', 'p4'];

test('of a remote, two listings two seconds apart prove that a branch is gone', async (t) => {
  const {watch, clock, listed, record} = setup(t, ['main', 'p1', 'p2']);
  listed.delete('p1');
  await watch.pass();
  t.is(record('p1')?.missing?.proven, false);
  clock.step(2000);
  await watch.pass();
  t.is(record('p1')?.missing?.proven, true);
  t.is(record('p2')?.missing, null);
});

test("a forge's word and a listing that was begun after it prove together that a branch is gone", async (t) => {
  const {watch, clock, listed, record} = setup(t, ['main', 'p1', 'p2', 'p3']);
  watch.toldGone('p2');
  await watch.pass();
  t.is(record('p2')?.missing, null);
  listed.delete('p1');
  watch.toldGone('p1');
  listed.delete('p2');
  await watch.pass();
  t.is(record('p1')?.missing?.proven, true);
  // It was there after the word, which was about another deletion then.
  t.is(record('p2')?.missing?.proven, false);
  watch.toldGone('p3');
  clock.step(wordMs);
  listed.delete('p3');
  await watch.pass();
  t.is(record('p3')?.missing?.proven, false);
});

test("a forge's word about most previews does not get past the breaker", async (t) => {
  const {watch, listed, record} = setup(t, ['main', ...previews]);
  for (const name of previews) {
    listed.delete(name);
    watch.toldGone(name);
  }
  await watch.pass();
  t.deepEqual(
    previews.map((name) => record(name)?.missing?.proven),
    [false, false, false, false],
  );
});

test('the breaker holds most previews back until that is confirmed, and then for good', async (t) => {
  const {watch, clock, listed, record} = setup(t, ['main', ...previews]);
  for (const name of previews) listed.delete(name);
  await watch.pass();
  clock.step(10_000);
  await watch.pass();
  t.deepEqual(
    previews.map((name) => record(name)?.missing?.proven),
    [false, false, false, false],
  );
  t.deepEqual(watch.status().held_deletions, {missing: 4, previews: 4});
  watch.confirmDeletions();
  await watch.pass();
  // A pass that comes while the containers are being removed takes nothing back.
  await watch.pass();
  t.deepEqual(
    previews.map((name) => record(name)?.missing?.proven),
    [true, true, true, true],
  );
  t.is(watch.status().held_deletions, null);
});

test('a confirmation holds until the branches that are missing with it are certain to be gone', async (t) => {
  const {watch, clock, listed, record} = setup(t, ['main', ...previews]);
  for (const name of previews) listed.delete(name);
  watch.confirmDeletions();
  await watch.pass();
  clock.step(2000);
  await watch.pass();
  t.deepEqual(
    previews.map((name) => record(name)?.missing?.proven),
    [true, true, true, true],
  );
});

test('a confirmation serves one wave of deletions', async (t) => {
  const {watch, clock, listed, record} = setup(t, ['main', ...previews, 'q1', 'q2', 'q3', 'q4', 'q5']);
  watch.confirmDeletions();
  await watch.pass();
  for (const name of ['q1', 'q2', 'q3', 'q4', 'q5']) listed.delete(name);
  await watch.pass();
  clock.step(10_000);
  await watch.pass();
  t.is(record('q1')?.missing?.proven, false);
});

test('of a local repository, a listing and a later direct read prove that a branch is gone', async (t) => {
  const {watch, clock, listed, record} = setup(t, ['main', 'p1', 'p2'], 'local');
  listed.delete('p1');
  await watch.pass();
  t.is(record('p1')?.missing?.proven, false);
  clock.step(250);
  await watch.pass();
  t.is(record('p1')?.missing?.proven, true);
});

for (const kind of ['local', 'remote'] as const) {
  test(`branches of a ${kind} repository that vanish one by one are one wave`, async (t) => {
    const {watch, clock, listed, record} = setup(t, ['main', ...previews], kind);
    for (const name of previews) {
      listed.delete(name);
      await watch.pass();
      clock.step(2000);
    }
    t.deepEqual(watch.status().held_deletions, {missing: 4, previews: 4});
    t.is(record('p4')?.missing?.proven, false);
    t.true(record('p4')?.missing?.held);
  });
}

test('a hold outlives its wave and the controller', async (t) => {
  const {watch, open, clock, listed, record} = setup(t, ['main', ...previews]);
  for (const name of previews) listed.delete(name);
  await watch.pass();
  listed.set('p1', 'a'.repeat(40));
  await watch.close();
  clock.step(60_000);
  const next = open();
  await next.pass();
  t.is(record('p1')?.missing, null);
  t.is(record('p2')?.missing?.proven, false);
  t.deepEqual(next.status().held_deletions, {missing: 3, previews: 4});
});

test('a branch that is listed again is missing no more', async (t) => {
  const {watch, listed, record} = setup(t, ['main', 'p1']);
  listed.delete('p1');
  await watch.pass();
  listed.set('p1', 'b'.repeat(40));
  await watch.pass();
  t.is(record('p1')?.missing, null);
  t.is(record('p1')?.revision, 'b'.repeat(40));
});
