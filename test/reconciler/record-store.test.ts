import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {newBranchRecord} from '../../reconciler/branch-record.ts';
import {openRecordStore} from '../../reconciler/record-store.ts';
import {silentLog} from '../../runtime/platform/log.ts';

async function setup(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-records-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  return {directory, open: () => openRecordStore({directory, log: silentLog})};
}

const record = newBranchRecord({repository: '/srv/repo', path: '.', branch: 'main', live: true});

test('a saved record is there after a restart', async (t) => {
  const {open} = await setup(t);
  await (await open()).save(record);
  t.deepEqual((await open()).get(record.key), record);
});

test('writes of one record land in order, the newest last', async (t) => {
  const {open} = await setup(t);
  const store = await open();
  await Promise.all(Array.from({length: 20}, (_, failures) => store.save({...record, failures})));
  t.is((await open()).get(record.key)?.failures, 19);
});

test('a deleted record stays deleted, also when a write was under way', async (t) => {
  const {open} = await setup(t);
  const store = await open();
  const saving = store.save(record);
  await Promise.all([saving, store.delete(record.key)]);
  t.is(store.get(record.key), undefined);
  t.is((await open()).get(record.key), undefined);
});

test('a torn document is set aside, and the others are read', async (t) => {
  const {directory, open} = await setup(t);
  await (await open()).save(record);
  await writeFile(join(directory, 'torn-00000000.json'), '{"schema_version":1,');
  const store = await open();
  t.is([...store.all()].length, 1);
  t.true((await readdir(directory)).includes('torn-00000000.json.unreadable'));
});

test('a document under a foreign name is set aside: its key would be written elsewhere', async (t) => {
  const {directory, open} = await setup(t);
  await writeFile(join(directory, 'other-00000000.json'), JSON.stringify(record));
  t.is([...(await open()).all()].length, 0);
});

test('documents are private', async (t) => {
  const {directory, open} = await setup(t);
  await (await open()).save(record);
  const text = await readFile(join(directory, `${record.key}.json`), 'utf8');
  t.is(JSON.parse(text).branch, 'main');
});
