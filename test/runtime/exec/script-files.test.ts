import test from 'ava';
import {AppError} from '../../../schemas/errors.ts';
import {execHttp} from '../../helpers/exec-http.ts';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';

const scripts = {
  'hello.ts': '// @label greeting\n// @tags a, b\n// @description Says hello.\nreturn 1',
  'api/users/[id].ts': '// @mode worker\n// @websocket\nreturn 1',
  'api/off.js': '// @enabled false\nreturn 1',
  'api/notes.md': '# @label none',
};

const listing = test.macro(
  async (t, {query, expect}: {query: Record<string, unknown>; expect: readonly string[]}) => {
    const {exec} = await execWorld(t);
    await exec.deploy(deploymentOf(scripts));
    const {scripts: listed, count} = await exec.list({directory: '', recursive: true, ...query});
    t.deepEqual(
      listed.map(({path}) => path),
      [...expect],
    );
    t.is(count, expect.length);
  },
);

test('lists everything in order', listing, {
  query: {},
  expect: ['api/notes.md', 'api/off.js', 'api/users/[id].ts', 'hello.ts'],
});
test('lists one directory', listing, {
  query: {directory: 'api/', recursive: false},
  expect: ['api/notes.md', 'api/off.js'],
});
test('lists by part of the path', listing, {query: {filter: 'users'}, expect: ['api/users/[id].ts']});
test('lists by label', listing, {query: {label: 'greeting'}, expect: ['hello.ts']});
test('lists by all tags', listing, {query: {tags: 'b,a'}, expect: ['hello.ts']});
test('lists nothing where one tag is missing', listing, {query: {tags: 'b,c'}, expect: []});
test('lists by mode', listing, {query: {mode: 'worker'}, expect: ['api/users/[id].ts']});
test('lists by websocket', listing, {query: {websocket: true}, expect: ['api/users/[id].ts']});
test('lists what is switched off', listing, {query: {enabled: false}, expect: ['api/off.js']});

test('a tree has directories first, as deep as was asked for', async (t) => {
  const {exec} = await execWorld(t);
  await exec.deploy(deploymentOf(scripts));
  const deep = await exec.tree({baseDir: '', maxDepth: 10, includeMetadata: false});
  t.deepEqual(
    deep.map(({name, type}) => [name, type]),
    [
      ['api', 'directory'],
      ['hello.ts', 'file'],
    ],
  );
  t.deepEqual(
    deep[0]?.children?.map(({path}) => path),
    ['api/users', 'api/notes.md', 'api/off.js'],
  );
  const [flat] = await exec.tree({baseDir: '', maxDepth: 1, includeMetadata: false});
  t.deepEqual(flat?.children, []);
  const [users] = await exec.tree({baseDir: 'api', maxDepth: 2, includeMetadata: true});
  t.like(users?.children?.[0], {path: 'api/users/[id].ts', metadata: {mode: 'worker'}});
});

test('a moved script answers at its new path only', async (t) => {
  const {exec, call, json} = await execHttp(t);
  await exec.deploy(deploymentOf({'a.ts': 'return "a"', 'c.ts': 'return "c"'}));
  t.like(await exec.move({from: 'a.ts', to: 'deep/b.ts', overwrite: false}), {
    moved: true,
    from: 'a.ts',
    to: 'deep/b.ts',
    size: 10,
  });
  t.is(await (await call('/deep/b')).text(), 'a');
  t.like(await json('GET', '/a'), {status: 404, body: {code: 'SCRIPT_NOT_FOUND'}});
  const clash = await t.throwsAsync(exec.move({from: 'c.ts', to: 'deep/b.ts', overwrite: false}), {
    instanceOf: AppError,
  });
  t.is(clash?.code, 'SCRIPT_EXISTS');
  await exec.move({from: 'c.ts', to: 'deep/b.ts', overwrite: true});
  t.is(await (await call('/deep/b')).text(), 'c');
});

test('without createDirs a script goes only where there is a directory', async (t) => {
  const {exec} = await execWorld(t);
  await exec.deploy(deploymentOf({'lib/a.ts': ''}));
  const error = await t.throwsAsync(exec.write({path: 'new/b.ts', content: '', createDirs: false}), {
    instanceOf: AppError,
  });
  t.is(error?.code, 'SCRIPT_NOT_FOUND');
  t.like(await exec.write({path: 'lib/b.ts', content: '', createDirs: false}), {created: true});
  t.like(await exec.write({path: 'top.ts', content: '', createDirs: false}), {created: true});
});

test('of two writers with ifNotExists one wins', async (t) => {
  const {exec} = await execWorld(t);
  const write = (content: string) => exec.write({path: 'a.ts', content, validate: false, ifNotExists: true});
  const settled = await Promise.allSettled([write('1'), write('2'), write('3')]);
  t.is(settled.filter(({status}) => status === 'fulfilled').length, 1);
});

test('a write says what became of the schedule of the script', async (t) => {
  const {exec} = await execWorld(t);
  const actions: unknown[] = [];
  for (const words of ['@hourly', '@hourly', '@daily', '61 * * * *', null, null]) {
    const content = words === null ? 'return 1' : `// @schedule ${words}\nreturn 1`;
    actions.push((await exec.write({path: 'a.ts', content})).schedule?.action);
  }
  t.deepEqual(actions, ['registered', 'kept', 'updated', 'rejected', 'removed', undefined]);
});
