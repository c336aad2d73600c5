import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {PullRequest} from '../../reconciler/forge.ts';
import {type ForkPolicy, openForks} from '../../reconciler/forks.ts';
import {silentLog} from '../../runtime/platform/log.ts';

const [first, second] = ['a'.repeat(40), 'b'.repeat(40)];

async function setup(t: ExecutionContext, policy: Partial<ForkPolicy> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-forks-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const path = join(directory, 'forks.json');
  const open = () =>
    openForks({path, policy: {serve: 'labelled', label: 'preview', most: 10, ...policy}, log: silentLog});
  return {path, open, forks: await open()};
}

const pull = (given: Partial<PullRequest> = {}): PullRequest => ({
  number: 7,
  state: 'open',
  isMerged: false,
  branch: 'main',
  commit: first,
  base: 'main',
  isFork: true,
  labels: ['preview'],
  ...given,
});
const label = (commit: string) => ({number: 7, commit, label: 'preview'});

test('a label alone, without a signed word of where it was put, admits nothing', async (t) => {
  const {forks} = await setup(t);
  t.false(await forks.read([pull()]));
  t.is(forks.admitted().size, 0);
});

test('the labelled commit is admitted, and no later one until it is labelled anew', async (t) => {
  const {forks, open} = await setup(t);
  await forks.labelled(label(first));
  t.is(forks.admitted().size, 0);
  t.true(await forks.read([pull()]));
  t.deepEqual([...forks.admitted()], [[7, first]]);
  t.false(await forks.read([pull({commit: second})]));
  t.deepEqual([...(await open()).admitted()], [[7, first]]);
  await forks.labelled(label(second));
  t.true(await forks.read([pull({commit: second})]));
  t.deepEqual([...forks.admitted()], [[7, second]]);
});

test('a label that is put on while the forge is asked is kept for the next look', async (t) => {
  const {forks} = await setup(t);
  const noted = forks.noted();
  await forks.labelled(label(first));
  t.false(await forks.read([pull({labels: []})], noted));
  t.true(await forks.read([pull()], forks.noted()));
  t.deepEqual([...forks.admitted()], [[7, first]]);
});

test('a push between the label and the look is not what was labelled', async (t) => {
  const {forks} = await setup(t);
  await forks.labelled(label(first));
  t.false(await forks.read([pull({commit: second})]));
  t.is(forks.admitted().size, 0);
  // Going back to what was labelled is going back to what was seen.
  t.true(await forks.read([pull()]));
});

for (const [title, gone] of [
  ['its label is taken away', {labels: []}],
  ['it is closed', {state: 'closed'}],
] as const) {
  test(`a pull request of a fork is served no more when ${title}, and an old label does not bring it back`, async (t) => {
    const {forks} = await setup(t);
    await forks.labelled(label(first));
    await forks.read([pull()]);
    t.true(await forks.read([pull(gone)]));
    t.is(forks.admitted().size, 0);
    t.false(await forks.read([pull()]));
  });
}

test('another label, a branch of the repository itself, and silence change nothing', async (t) => {
  const {forks} = await setup(t);
  await forks.labelled({...label(first), label: 'bug'});
  t.false(await forks.read([pull()]));
  await forks.labelled(label(first));
  t.false(await forks.read([pull({isFork: false})]));
  t.true(await forks.read([pull()]));
  t.false(await forks.read([]));
  t.deepEqual([...forks.admitted()], [[7, first]]);
});

test('with `all` the newest commit is served, and no more pull requests than allowed', async (t) => {
  const {forks} = await setup(t, {serve: 'all', most: 2});
  await forks.read([1, 2, 3].map((number) => pull({number, labels: []})));
  t.deepEqual([...forks.admitted().keys()], [1, 2]);
  await forks.read([pull({number: 1, commit: second, labels: []}), pull({number: 2, state: 'closed'})]);
  t.deepEqual([...forks.admitted()], [[1, second]]);
});

test('a file that cannot be read admits nothing', async (t) => {
  const {path, open} = await setup(t);
  await writeFile(path, '{"admitted": {"7": "--upload-pack=x"}, "labelled": {}}');
  t.is((await open()).admitted().size, 0);
});
