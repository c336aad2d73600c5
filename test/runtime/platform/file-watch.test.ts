import {mkdir, mkdtemp, rename, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {watchDirectories} from '../../../runtime/platform/file-watch.ts';

async function start(t: ExecutionContext, {recursive}: {recursive: boolean}) {
  const path = await mkdtemp(join(tmpdir(), 'branchtab-watch-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  let calls = 0;
  let wake: () => void = () => {};
  const errors: Error[] = [];
  const stop = watchDirectories([{path, recursive, concerns: (name) => !name.endsWith('.lock')}], {
    onChange: () => {
      calls += 1;
      wake();
    },
    onError: (error) => errors.push(error),
  });
  t.teardown(stop);
  return {
    path,
    stop,
    errors,
    calls: () => calls,
    /** Resolves at the next call after `cause` began. */
    async changeAfter(cause: () => Promise<unknown>): Promise<void> {
      const {promise, resolve, reject} = Promise.withResolvers<void>();
      const deadline = setTimeout(() => reject(new Error('no event came')), 20_000);
      wake = resolve;
      await cause();
      await promise.finally(() => clearTimeout(deadline));
    },
  };
}

test('the end of the watched directory itself is a change, not a crash', async (t) => {
  const {path, changeAfter} = await start(t, {recursive: true});
  await changeAfter(() => rm(path, {recursive: true}));
  t.pass();
});

test('a file made, changed, renamed or removed is a change', async (t) => {
  const {path, changeAfter, errors} = await start(t, {recursive: false});
  await changeAfter(() => writeFile(join(path, 'old'), 'a'));
  await changeAfter(() => writeFile(join(path, 'changed'), 'a'));
  await changeAfter(() => rename(join(path, 'changed'), join(path, 'renamed')));
  await changeAfter(() => rm(join(path, 'old')));
  t.deepEqual(errors, []);
});

test('what does not concern is no change', async (t) => {
  const {path, changeAfter, calls} = await start(t, {recursive: false});
  await writeFile(join(path, 'x.lock'), '');
  t.is(calls(), 0);
  await changeAfter(() => writeFile(join(path, 'x'), ''));
  t.true(calls() >= 1);
});

test('directories made later are watched, also when they are removed and made again', async (t) => {
  const {path, changeAfter} = await start(t, {recursive: true});
  const deep = join(path, 'a', 'b');
  for (const round of [1, 2, 3]) {
    await changeAfter(() => mkdir(deep, {recursive: true}));
    await changeAfter(() => writeFile(join(deep, `first-${round}`), 'x'));
    await changeAfter(() => writeFile(join(deep, `second-${round}`), 'y'));
    await changeAfter(() => rm(join(path, 'a'), {recursive: true}));
  }
  t.pass();
});

test('after stop nothing is called', async (t) => {
  const {path, stop, calls} = await start(t, {recursive: true});
  await writeFile(join(path, 'file'), '');
  stop();
  const before = calls();
  await writeFile(join(path, 'other'), '');
  await new Promise((resolve) => setImmediate(resolve));
  t.is(calls(), before);
});

test('a directory that does not exist is left out', (t) => {
  const errors: Error[] = [];
  const stop = watchDirectories([{path: '/nowhere/at/all', recursive: true, concerns: () => true}], {
    onChange: () => {},
    onError: (error) => errors.push(error),
  });
  stop();
  t.deepEqual(errors, []);
});
