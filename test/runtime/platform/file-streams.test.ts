import {mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readBytes} from '../../../runtime/platform/file-streams.ts';

function setup(t: ExecutionContext, bytes: number) {
  const directory = mkdtempSync(join(tmpdir(), 'bt-streams-'));
  t.teardown(() => rmSync(directory, {recursive: true, force: true}));
  const path = join(directory, 'file');
  writeFileSync(path, Buffer.alloc(bytes, 'x'));
  const isOpen = () =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path;
      } catch {
        // The descriptor by which the directory was listed.
        return false;
      }
    });
  return {path, isOpen};
}

test('a stream that nobody reads holds no file open', (t) => {
  const {path, isOpen} = setup(t, 10);
  readBytes(path, {first: 0, last: 9});
  t.false(isOpen());
});

test('the file is closed with its last byte, and when the reader leaves', async (t) => {
  const {path, isOpen} = setup(t, 1_000_000);
  t.is((await new Response(readBytes(path, {first: 5, last: 999_999})).arrayBuffer()).byteLength, 999_995);
  t.false(isOpen());
  const reader = readBytes(path, {first: 0, last: 999_999}).getReader();
  await reader.read();
  t.true(isOpen());
  await reader.cancel();
  t.false(isOpen());
});

test('a file that became shorter ends early and is closed', async (t) => {
  const {path, isOpen} = setup(t, 10);
  t.is((await new Response(readBytes(path, {first: 0, last: 99})).arrayBuffer()).byteLength, 10);
  t.false(isOpen());
});

test('a file that is gone is an error of the reader', async (t) => {
  const {path} = setup(t, 10);
  const stream = readBytes(`${path}-gone`, {first: 0, last: 9});
  await t.throwsAsync(new Response(stream).arrayBuffer());
});
