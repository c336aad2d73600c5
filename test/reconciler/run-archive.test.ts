import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {openRunArchive} from '../../reconciler/run-archive.ts';
import type {Run} from '../../schemas/run.ts';

const run: Run = {
  id: '6f1c1f0e-0000-4000-8000-000000000001',
  entry_id: 'raw_1',
  entry_name: null,
  user: 'root',
  schedule: '* * * * *',
  command: 'true',
  status: 'succeeded',
  reason: null,
  attempt: 1,
  scheduled_at: '2026-01-01T00:00:00Z',
  started_at: null,
  finished_at: null,
  duration_ms: null,
  lateness_ms: null,
  exit_code: 0,
  signal: null,
  stdout: '',
  stderr: '',
  truncated: false,
  revision: null,
  calls: [],
};

test('only keys of branches name a file: nothing outside of the archive is read', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-archive-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  await writeFile(join(directory, 'outside.jsonl'), `${JSON.stringify(run)}\n`);
  await mkdir(join(directory, 'runs'));
  await writeFile(join(directory, 'runs', 'main-00000000.jsonl'), `${JSON.stringify(run)}\n`);
  const archive = openRunArchive({directory: join(directory, 'runs')});
  for (const key of ['../outside', 'x/../../outside', '', '.', '\0', 'x'.repeat(5000), 'Feature/X', '%2e%2e'])
    t.deepEqual(await archive.read(key), []);
  t.is((await archive.read('main-00000000')).length, 1);
});
