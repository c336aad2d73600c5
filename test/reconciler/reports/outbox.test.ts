import {appendFile, mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openOutbox} from '../../../reconciler/reports/outbox.ts';
import type {Report} from '../../../reconciler/reports/report.ts';
import {silentLog} from '../../../runtime/platform/log.ts';

const comment = (body: string): Report => ({
  kind: 'comment',
  repository: 'github.com/acme/shop',
  pull_request: 7,
  marker: '<!-- m -->',
  body,
});
const target = 'comment:github.com/acme/shop#7';
const dayMs = 86_400_000;

async function setup(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-outbox-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const path = join(directory, 'reports.jsonl');
  return {path, open: (nowMs = 0) => openOutbox({path, log: silentLog, nowMs})};
}

test('what was put is there after a restart, the newest alone, with what the forge is known to have', async (t) => {
  const {open} = await setup(t);
  const first = await open();
  t.true(await first.put(comment('one'), {says: '1', notBeforeMs: 0, nowMs: 0}));
  await first.written(target, {says: '1', id: 42});
  t.true(await first.put(comment('two'), {says: '2', notBeforeMs: 0, nowMs: 0}));
  t.false(await first.put(comment('two, later'), {says: '2', notBeforeMs: 0, nowMs: 0}));
  await first.close();
  const second = await open();
  t.like(second.get(target), {says: '2', written: '1', id: 42, attempted: true});
  t.is(second.all().length, 1);
  await second.close();
});

test('what is wanted anew while the old is sent is neither lost nor dropped', async (t) => {
  const {open} = await setup(t);
  const outbox = await open();
  await outbox.put(comment('one'), {says: '1', notBeforeMs: 0, nowMs: 0});
  await outbox.put(comment('two'), {says: '2', notBeforeMs: 0, nowMs: 0});
  await outbox.written(target, {says: '1', id: 42});
  await outbox.drop(target, {says: '1'});
  t.like(outbox.get(target), {says: '2', written: '1', id: 42});
  await outbox.drop(target, {says: '2'});
  t.is(outbox.get(target), undefined);
  await outbox.close();
});

test('a line that a crash tore, or that says nothing, takes no other with it', async (t) => {
  const {path, open} = await setup(t);
  const first = await open();
  await first.put(comment('one'), {says: '1', notBeforeMs: 0, nowMs: 0});
  await first.close();
  await appendFile(path, '{"target":"x"}\n{"target":"comm');
  const second = await open();
  t.deepEqual(
    second.all().map(({says}) => says),
    ['1'],
  );
  await second.close();
});

test('what stood unchanged for 90 days is forgotten, what was never sent is not', async (t) => {
  const {open} = await setup(t);
  const first = await open();
  await first.put(comment('one'), {says: '1', notBeforeMs: 0, nowMs: 0});
  await first.close();
  const second = await open(91 * dayMs);
  t.is(second.all().length, 1);
  await second.written(target, {says: '1', id: 1});
  await second.close();
  const third = await open(91 * dayMs);
  t.is(third.all().length, 0);
  await third.close();
});

test('the file does not grow with every word', async (t) => {
  const {path, open} = await setup(t);
  const outbox = await open();
  const texts = Array.from({length: 2500}, (_, index) => String(index));
  await Promise.all(texts.map((says) => outbox.put(comment(says), {says, notBeforeMs: 0, nowMs: 0})));
  await outbox.close();
  t.true((await readFile(path, 'utf8')).split('\n').length < 1000);
});
