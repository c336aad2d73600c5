import test from 'ava';
import {diffTrees} from '../../../reconciler/sources/tree-diff.ts';
import type {TreeEntry} from '../../../reconciler/sources/tree-object.ts';

const entry = (kind: TreeEntry['kind'], id: string): TreeEntry => ({kind, id});
const limits = {
  maxEntries: 1000,
  maxPathBytes: 100,
  exceeded: (what: string): never => {
    throw new Error(what);
  },
};

test('equal subtrees are not read', async (t) => {
  const trees = new Map([
    [
      'old',
      new Map([
        ['same', entry('directory', 'S')],
        ['sub', entry('directory', 'A')],
      ]),
    ],
    [
      'new',
      new Map([
        ['same', entry('directory', 'S')],
        ['sub', entry('directory', 'B')],
      ]),
    ],
    ['A', new Map([['f', entry('file', '1')]])],
    ['B', new Map([['f', entry('file', '2')]])],
  ]);
  const read: string[] = [];
  const readTree = async (id: string) => {
    read.push(id);
    return trees.get(id) ?? (t.fail(`tree ${id} was read`) as never);
  };
  const changes = await diffTrees('old', 'new', {readTree, limits});
  t.deepEqual(changes, [{kind: 'write', path: 'sub/f', blob: '2', mode: 'file'}]);
  t.deepEqual(read.sort(), ['A', 'B', 'new', 'old']);
});

test('a tree that repeats itself ends at the limit of entries', async (t) => {
  const names = Array.from({length: 10}, (_, index) => `d${index}`);
  const level = (depth: number) =>
    new Map(names.map((name) => [name, entry('directory', String(depth + 1))]));
  let reads = 0;
  const readTree = async (id: string) => {
    reads += 1;
    return level(Number(id));
  };
  await t.throwsAsync(diffTrees(null, '0', {readTree, limits: {...limits, maxPathBytes: 10_000}}), {
    message: 'more than 1000 entries',
  });
  t.true(reads < 1000);
});

test('a path that grows for ever ends at the limit of its length', async (t) => {
  const readTree = async (id: string) => new Map([['deep', entry('directory', `${id}x`)]]);
  await t.throwsAsync(diffTrees(null, 'x', {readTree, limits}), {message: 'a path of more than 100 bytes'});
});
