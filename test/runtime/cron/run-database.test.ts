import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {openRunDatabase} from '../../../runtime/cron/run-database.ts';
import {createRunStore} from '../../../runtime/cron/run-store.ts';

const claim = {
  id: 'a',
  entryId: 'e',
  entryName: null,
  user: 'root',
  schedule: '* * * * *',
  command: 'true',
  scheduledMs: 0,
  attempt: 1,
  revision: null,
  skipped: null,
  cause: null,
};
const call = {url: '/x', status: 500, body: '{"a":"\u{1d11e}"}', execution_id: 'x'};

test('records of the layout without calls are taken over, and take calls', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'bt-runs-'));
  t.teardown(() => rmSync(directory, {recursive: true, force: true}));
  const path = join(directory, 'runs.db');
  const former = openRunDatabase(path);
  createRunStore(former).claim([claim]);
  former.run('ALTER TABLE runs DROP COLUMN calls');
  for (const column of ['owner', 'command']) former.run(`ALTER TABLE pauses DROP COLUMN ${column}`);
  former.run('PRAGMA user_version = 1');
  former.close();

  const database = openRunDatabase(path);
  const runs = createRunStore(database);
  t.deepEqual(runs.get('root', 'a')?.calls, []);
  runs.addCall('a', call);
  t.deepEqual(runs.get('root', 'a')?.calls, [call]);
  for (let count = 0; count < 60; count += 1) runs.addCall('a', call);
  t.is(runs.get('root', 'a')?.calls.length, 50);
  runs.addCall('nobody', call);
  database.close();
});
