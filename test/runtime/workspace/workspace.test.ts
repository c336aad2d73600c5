import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openWorkspace} from '../../../runtime/workspace/workspace.ts';
import {AppError} from '../../../schemas/errors.ts';
import {changeSet, type TestChange} from '../../helpers/change-set.ts';

async function setup(t: ExecutionContext) {
  const root = mkdtempSync(join(tmpdir(), 'bt-workspace-'));
  t.teardown(() => rmSync(root, {recursive: true, force: true}));
  const directory = join(root, 'srv');
  const recordFile = join(root, 'workspace.json');
  const open = () => openWorkspace({directory, recordFile});
  return {root, directory, recordFile, open, workspace: await open()};
}

const file = (path: string, bytes: string): TestChange => ({path, kind: 'file', bytes});
const gone = (path: string): TestChange => ({path, kind: 'delete'});

test('writes files, executables and symlinks with git’s modes', async (t) => {
  const {workspace, directory} = await setup(t);
  const changes: TestChange[] = [
    file('a/b.txt', 'hello\n'),
    {path: 'run.sh', kind: 'executable', bytes: '#!/bin/sh\n'},
    {path: 'link', kind: 'symlink', bytes: 'a/b.txt'},
    file('empty', ''),
  ];
  t.deepEqual(await workspace.apply(changeSet({base: null, target: 't1', changes})), {tree: 't1', kept: []});
  t.is(readFileSync(join(directory, 'a/b.txt'), 'utf8'), 'hello\n');
  t.is(statSync(join(directory, 'a/b.txt')).mode & 0o777, 0o644);
  t.is(statSync(join(directory, 'run.sh')).mode & 0o777, 0o755);
  t.is(readlinkSync(join(directory, 'link')), 'a/b.txt');
  t.is(readFileSync(join(directory, 'empty'), 'utf8'), '');
  t.deepEqual(readdirSync(directory).sort(), ['a', 'empty', 'link', 'run.sh']);
});

test('a large file arrives whole', async (t) => {
  const {workspace, directory} = await setup(t);
  const bytes = 'line of text\n'.repeat(100_000);
  await workspace.apply(
    changeSet(
      {base: null, target: 't1', changes: [file('big', bytes), file('after', 'x')]},
      {pieceBytes: 65_536},
    ),
  );
  t.is(readFileSync(join(directory, 'big'), 'utf8'), bytes);
  t.is(readFileSync(join(directory, 'after'), 'utf8'), 'x');
});

test('deletes prune empty directories and keep untracked files', async (t) => {
  const {workspace, directory} = await setup(t);
  await workspace.apply(
    changeSet({base: null, target: 't1', changes: [file('a/b/c', '1'), file('d/e', '2')]}),
  );
  writeFileSync(join(directory, 'd/mine'), 'untracked');
  await workspace.apply(changeSet({base: 't1', target: 't2', changes: [gone('a/b/c'), gone('d/e')]}));
  t.deepEqual(readdirSync(directory), ['d']);
  t.deepEqual(readdirSync(join(directory, 'd')), ['mine']);
});

test('a whole tree removes tracked files that it does not name', async (t) => {
  const {workspace, directory} = await setup(t);
  await workspace.apply(
    changeSet({base: null, target: 't1', changes: [file('old', '1'), file('both', '1')]}),
  );
  writeFileSync(join(directory, 'mine'), 'untracked');
  await workspace.apply(
    changeSet({base: null, target: 't2', changes: [file('both', '2'), file('new', '2')]}),
  );
  t.deepEqual(readdirSync(directory).sort(), ['both', 'mine', 'new']);
});

test('the tree survives a restart', async (t) => {
  const {workspace, open} = await setup(t);
  await workspace.apply(changeSet({base: null, target: 't1', changes: [file('a', '1')]}));
  t.is((await open()).tree(), 't1');
});

test('a change set from another base is refused and names the tree', async (t) => {
  const {workspace} = await setup(t);
  await workspace.apply(changeSet({base: null, target: 't1', changes: []}));
  const error = await t.throwsAsync(workspace.apply(changeSet({base: 't0', target: 't2', changes: []})), {
    instanceOf: AppError,
  });
  t.is(error?.code, 'WORKSPACE_BASE_MISMATCH');
  t.deepEqual(error?.details, {tree: 't1'});
});

test('a body that is cut changes nothing', async (t) => {
  const {workspace, directory} = await setup(t);
  await workspace.apply(changeSet({base: null, target: 't1', changes: [file('a', 'old')]}));
  const next = {base: 't1', target: 't2', changes: [file('a', 'new'), file('b', 'more')]};
  for (const cutAt of [10, 40, 80, 106, 115]) {
    const error = await t.throwsAsync(workspace.apply(changeSet(next, {cutAt})), {instanceOf: AppError});
    t.is(error?.code, 'INVALID_BODY');
  }
  t.is(readFileSync(join(directory, 'a'), 'utf8'), 'old');
  t.deepEqual(readdirSync(directory), ['a']);
  t.is(workspace.tree(), 't1');
});

test('after a crash in the middle the tree is unknown and the same change set or a whole tree heals it', async (t) => {
  const {workspace, directory, recordFile, open} = await setup(t);
  await workspace.apply(
    changeSet({base: null, target: 't1', changes: [file('a', 'old'), file('gone', 'x')]}),
  );
  const record = JSON.parse(readFileSync(recordFile, 'utf8'));
  writeFileSync(
    recordFile,
    JSON.stringify({...record, pending: {base: 't1', target: 't2', paths: ['a', 'half']}}),
  );
  writeFileSync(join(directory, 'half'), 'written before the crash');
  const crashed = await open();
  t.is(crashed.tree(), null);
  await t.throwsAsync(crashed.apply(changeSet({base: 't1', target: 't3', changes: []})), {
    instanceOf: AppError,
  });
  await crashed.apply(
    changeSet({base: 't1', target: 't2', changes: [file('a', 'new'), file('half', 'whole'), gone('gone')]}),
  );
  t.is(crashed.tree(), 't2');
  t.is(readFileSync(join(directory, 'half'), 'utf8'), 'whole');
  t.deepEqual(readdirSync(directory).sort(), ['a', 'half']);

  writeFileSync(
    recordFile,
    JSON.stringify({tree: 't2', paths: ['a'], pending: {base: 't2', target: 't9', paths: ['half']}}),
  );
  const again = await open();
  await again.apply(changeSet({base: null, target: 't3', changes: [file('a', '3')]}));
  t.deepEqual(readdirSync(directory), ['a']);
});

test('what waited when a crash came is removed at the next start', async (t) => {
  const {directory, open} = await setup(t);
  mkdirSync(join(directory, '.branchtab-staging-abc'));
  await open();
  t.deepEqual(readdirSync(directory), []);
});

test('nothing is written or deleted through a symlink', async (t) => {
  const {workspace, directory, root} = await setup(t);
  const outside = join(root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'victim'), 'safe');
  symlinkSync(outside, join(directory, 'link'));
  await workspace.apply(changeSet({base: null, target: 't1', changes: [gone('link/victim')]}));
  t.is(readFileSync(join(outside, 'victim'), 'utf8'), 'safe');
  await workspace.apply(changeSet({base: 't1', target: 't2', changes: [file('link/new', 'x')]}));
  t.deepEqual(readdirSync(outside), ['victim']);
  t.true(statSync(join(directory, 'link')).isDirectory());
  symlinkSync(join(outside, 'victim'), join(directory, 'file'));
  await workspace.apply(changeSet({base: 't2', target: 't3', changes: [file('file', 'mine')]}));
  t.is(readFileSync(join(outside, 'victim'), 'utf8'), 'safe');
});

test('files and directories change places', async (t) => {
  const {workspace, directory} = await setup(t);
  await workspace.apply(changeSet({base: null, target: 't1', changes: [file('x', '1'), file('y/z', '1')]}));
  await workspace.apply(
    changeSet({
      base: 't1',
      target: 't2',
      changes: [gone('x'), file('x/deep', '2'), gone('y/z'), file('y', '2')],
    }),
  );
  t.is(readFileSync(join(directory, 'x/deep'), 'utf8'), '2');
  t.is(readFileSync(join(directory, 'y'), 'utf8'), '2');
});

const hostilePaths = [
  '/etc/passwd',
  '../up',
  'a/../../up',
  'a//b',
  './a',
  '',
  'a/',
  '.git/config',
  'a/.GIT/hooks',
  'nul\0byte',
  'x'.repeat(5000),
];
test('a name or a path longer than a file system takes is refused before anything moves', async (t) => {
  const {workspace, directory} = await setup(t);
  for (const path of ['n'.repeat(256), `a/${'ä'.repeat(128)}/b`, `${'d/'.repeat(2040)}f`]) {
    const changes = [file('good', '1'), file(path, 'x')];
    const error = await t.throwsAsync(workspace.apply(changeSet({base: null, target: 't1', changes})), {
      instanceOf: AppError,
    });
    t.is(error?.code, 'INVALID_BODY');
    t.deepEqual(readdirSync(directory), []);
  }
  const fits = file(`a/${'n'.repeat(255)}`, 'x');
  t.like(await workspace.apply(changeSet({base: null, target: 't1', changes: [fits]})), {tree: 't1'});
});

test('a symlink whose target holds a NUL is refused before anything moves', async (t) => {
  const {workspace, directory} = await setup(t);
  const changes: TestChange[] = [file('good', '1'), {path: 'link', kind: 'symlink', bytes: 'a\0b'}];
  const error = await t.throwsAsync(workspace.apply(changeSet({base: null, target: 't1', changes})), {
    instanceOf: AppError,
  });
  t.is(error?.code, 'INVALID_BODY');
  t.deepEqual(readdirSync(directory), []);
});

for (const path of hostilePaths) {
  test(`refuses the path ${JSON.stringify(path.slice(0, 20))}`, async (t) => {
    const {workspace, directory} = await setup(t);
    const error = await t.throwsAsync(
      workspace.apply(
        changeSet(
          {base: null, target: 't1', changes: [file('good', '1'), file(path, 'x')]},
          {pieceBytes: 4096},
        ),
      ),
      {instanceOf: AppError},
    );
    t.is(error?.code, 'INVALID_BODY');
    t.deepEqual(readdirSync(directory), []);
  });
}

test('refuses a file below a file and a path named twice', async (t) => {
  const {workspace, directory} = await setup(t);
  for (const changes of [
    [file('a', '1'), file('a/b', '1')],
    [file('a', '1'), file('a', '2')],
  ]) {
    await t.throwsAsync(workspace.apply(changeSet({base: null, target: 't1', changes})), {
      instanceOf: AppError,
    });
  }
  t.deepEqual(readdirSync(directory), []);
});

test('a file that a job changed is kept beside what the branch makes of it, and reported while it is there', async (t) => {
  const {workspace, directory, open} = await setup(t);
  const first = [
    file('a.txt', 'one\n'),
    file('b.txt', 'one\n'),
    file('c.txt', 'one\n'),
    file('d/e', 'one\n'),
  ];
  await workspace.apply(changeSet({base: null, target: 't1', changes: first}));
  const write = (path: string, text: string) => writeFileSync(join(directory, path), text);
  const read = (path: string) => readFileSync(join(directory, path), 'utf8');
  write('a.txt', 'by a job\n');
  write('c.txt', 'by a job\n');
  write('new.txt', 'by a job\n');
  write('same.txt', 'two\n');
  const reopened = await open();
  const {kept} = await reopened.apply(
    changeSet({
      base: 't1',
      target: 't2',
      changes: [
        file('a.txt', 'two\n'),
        file('b.txt', 'two\n'),
        gone('c.txt'),
        file('new.txt', 'two\n'),
        file('same.txt', 'two\n'),
      ],
    }),
  );
  t.deepEqual(kept, [
    {path: 'c.txt', as: 'c.txt.local-1'},
    {path: 'a.txt', as: 'a.txt.local-1'},
    {path: 'new.txt', as: 'new.txt.local-1'},
  ]);
  t.deepEqual([read('a.txt'), read('a.txt.local-1'), read('b.txt')], ['two\n', 'by a job\n', 'two\n']);
  t.deepEqual(readdirSync(directory).sort(), [
    'a.txt',
    'a.txt.local-1',
    'b.txt',
    'c.txt.local-1',
    'd',
    'new.txt',
    'new.txt.local-1',
    'same.txt',
  ]);
  rmSync(join(directory, 'c.txt.local-1'));
  t.deepEqual(
    (await open()).kept().map(({as}) => as),
    ['a.txt.local-1', 'new.txt.local-1'],
  );

  // Changed again: the next number; a whole tree keeps them as well.
  write('a.txt', 'again\n');
  const whole = await reopened.apply(
    changeSet({base: null, target: 't3', changes: [file('a.txt', 'three\n'), file('b.txt', 'two\n')]}),
  );
  t.deepEqual(whole.kept, [{path: 'a.txt', as: 'a.txt.local-2'}]);
  t.deepEqual([read('a.txt.local-1'), read('a.txt.local-2')], ['by a job\n', 'again\n']);
});

test('what a job made in the way of the branch is moved aside, never through a link', async (t) => {
  const {workspace, directory, root} = await setup(t);
  await workspace.apply(changeSet({base: null, target: 't1', changes: [file('a.txt', 'one\n')]}));
  rmSync(join(directory, 'a.txt'));
  symlinkSync(root, join(directory, 'a.txt'));
  writeFileSync(join(directory, 'dir'), 'a file of a job\n');
  const name = 'n'.repeat(255);
  writeFileSync(join(directory, name), 'of a job\n');
  const {kept} = await workspace.apply(
    changeSet({
      base: 't1',
      target: 't2',
      changes: [file('a.txt', 'two\n'), file('dir/x', 'two\n'), file(name, 'two\n')],
    }),
  );
  t.deepEqual(
    kept.map(({as}) => as),
    ['a.txt.local-1', 'dir.local-1', `${'n'.repeat(235)}.local-1`],
  );
  t.is(readlinkSync(join(directory, 'a.txt.local-1')), root);
  t.is(readFileSync(join(directory, 'a.txt'), 'utf8'), 'two\n');
  t.is(readFileSync(join(directory, 'dir/x'), 'utf8'), 'two\n');
});

test('a record of a version that took no stamps keeps nothing aside', async (t) => {
  const {directory, recordFile, open, workspace} = await setup(t);
  await workspace.apply(changeSet({base: null, target: 't1', changes: [file('a.txt', 'one\n')]}));
  const {stamps: _later, kept: _too, ...older} = JSON.parse(readFileSync(recordFile, 'utf8'));
  writeFileSync(recordFile, JSON.stringify(older));
  writeFileSync(join(directory, 'a.txt'), 'by a job\n');
  const {kept} = await (await open()).apply(
    changeSet({base: 't1', target: 't2', changes: [file('a.txt', 'two\n')]}),
  );
  t.deepEqual(kept, []);
});
