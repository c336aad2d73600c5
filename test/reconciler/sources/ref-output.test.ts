import test from 'ava';
import {
  defaultBranchOfBare,
  defaultBranchOfWorkTree,
  parseListedRefs,
} from '../../../reconciler/sources/ref-output.ts';

const id = 'c'.repeat(40);
const line = (name: string, {mark = ' ', target = ''} = {}) => `${id}\0${mark}\0${name}\0${target}\n`;
const parse = (text: string) => parseListedRefs(Buffer.from(text));

test('branches, the mark of HEAD and the default branch of origin', (t) => {
  const refs = parse(
    line('refs/heads/a') +
      line('refs/heads/b/c', {mark: '*'}) +
      line('refs/remotes/origin/HEAD', {target: 'refs/remotes/origin/trunk'}),
  );
  t.deepEqual([...refs.branches.keys()], ['a', 'b/c']);
  t.is(refs.head, 'b/c');
  t.is(refs.originHead, 'trunk');
});

test('a name that is not UTF-8 is set apart and the others are listed', (t) => {
  const odd = Buffer.concat([Buffer.from(`${id}\0 \0refs/heads/`), Buffer.from([0xe4]), Buffer.from('\0\n')]);
  const refs = parseListedRefs(
    Buffer.concat([Buffer.from(line('refs/heads/a')), odd, Buffer.from(line('refs/heads/b'))]),
  );
  t.deepEqual([...refs.branches.keys()], ['a', 'b']);
  t.is(refs.unnameable.length, 1);
});

test('output without its last line feed is an error, not a shorter list', (t) => {
  const whole = line('refs/heads/a') + line('refs/heads/b');
  t.throws(() => parse(whole.slice(0, -1)), {message: /cut short/});
  t.throws(() => parse(whole.slice(0, -20)), {message: /cut short/});
});

test('a line of another form is an error', (t) => {
  t.throws(() => parse('<html>\n'), {message: /unexpected line/});
  t.throws(() => parse('\n'), {message: /unexpected line/});
});

const chooses = test.macro((t, {names, head, originHead, workTree, bare}: DefaultCase) => {
  const branches = new Map(names.map((name) => [name, id]));
  t.is(defaultBranchOfWorkTree(branches, {head, originHead}), workTree);
  t.is(defaultBranchOfBare(branches, head), bare);
});

interface DefaultCase {
  readonly names: readonly string[];
  readonly head: string | null;
  readonly originHead: string | null;
  readonly workTree: string | null;
  readonly bare: string | null;
}

test('HEAD is the default of a bare repository; a work tree prefers main', chooses, {
  names: ['main', 'topic'],
  head: 'topic',
  originHead: null,
  workTree: 'main',
  bare: 'topic',
});
test('what origin says comes first in a work tree', chooses, {
  names: ['main', 'trunk'],
  head: 'main',
  originHead: 'trunk',
  workTree: 'trunk',
  bare: 'main',
});
test('master when there is no main, also where HEAD points nowhere', chooses, {
  names: ['master', 'topic'],
  head: 'other',
  originHead: null,
  workTree: 'master',
  bare: 'master',
});
test('the branch of HEAD when nothing else is known', chooses, {
  names: ['topic'],
  head: 'topic',
  originHead: null,
  workTree: 'topic',
  bare: 'topic',
});
test('nothing when HEAD is detached', chooses, {
  names: ['topic'],
  head: null,
  originHead: null,
  workTree: null,
  bare: null,
});
