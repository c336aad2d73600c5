import {mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {newBranchRecord} from '../../reconciler/branch-record.ts';
import {filterRuns, findArchived, openRunArchive, withFormer} from '../../reconciler/run-archive.ts';
import type {RuntimeClient} from '../../reconciler/runtime-client.ts';
import type {Run} from '../../schemas/run.ts';
import {FakeClock} from '../helpers/fake-clock.ts';

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
  const archive = openRunArchive({
    directory: join(directory, 'runs'),
    clock: new FakeClock('2026-01-02T00:00:00Z'),
  });
  for (const key of ['../outside', 'x/../../outside', '', '.', '\0', 'x'.repeat(5000), 'Feature/X', '%2e%2e'])
    t.deepEqual(await archive.read(key), []);
  t.is((await archive.read('main-00000000')).length, 1);
});

/** As far as the archive asks a runtime. */
function clientWith(runs: readonly Run[]): RuntimeClient {
  const unused = () => {
    throw new Error('the archive does not ask for this');
  };
  return {
    state: unused,
    setSchedule: unused,
    setLease: unused,
    setEnvironment: unused,
    syncWorkspace: unused,
    deploy: unused,
    deployedScripts: unused,
    readDeployedScript: unused,
    putCrontab: unused,
    crontab: unused,
    putWholeCrontab: unused,
    packData: unused,
    replaceData: unused,
    seed: unused,
    openShell: unused,
    shellInput: unused,
    resizeShell: unused,
    stopJobs: unused,
    events: unused,
    runs: async () => ({items: [...runs], next_cursor: null}),
  };
}

const signal = new AbortController().signal;

test('records of a branch that is gone are found by its name, and are gone themselves after 90 days', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-archive-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const clock = new FakeClock('2026-01-10T00:00:00Z');
  const archive = openRunArchive({directory, clock});
  const record = newBranchRecord({repository: '/r', path: '.', branch: 'feature/x', live: false});
  const later = {...run, id: '2', scheduled_at: '2026-01-09T00:00:00.000Z'};
  await archive.keep(record, clientWith([later, run]), ['root'], {signal});
  t.deepEqual(
    (await findArchived(archive, 'feature/x'))?.map(({id}) => id),
    ['2', run.id],
  );
  t.is(await findArchived(archive, 'feature/y'), null);

  await clock.advance(83 * 86_400_000);
  t.is((await archive.read(record.key)).length, 1);
  await archive.prune();
  t.is((await readFile(join(directory, `${record.key}.jsonl`), 'utf8')).split('\n').length, 2);
  await clock.advance(10 * 86_400_000);
  await archive.prune();
  t.deepEqual(await readdir(directory), []);
  t.is(await findArchived(archive, 'feature/x'), null);
});

test('a name that two repositories had is not guessed at', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-archive-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const archive = openRunArchive({directory, clock: new FakeClock('2026-01-02T00:00:00Z')});
  for (const repository of ['/one', '/two']) {
    const record = newBranchRecord({repository, path: '.', branch: 'feature/x', live: false});
    await archive.keep(record, clientWith([run]), ['root'], {signal});
  }
  await t.throwsAsync(findArchived(archive, 'feature/x'), {code: 'BRANCH_AMBIGUOUS'});
});

test('kept records answer the query of a container', (t) => {
  const other = {
    ...run,
    id: '2',
    user: 'ann',
    status: 'failed' as const,
    scheduled_at: '2026-01-02T00:00:00Z',
  };
  const ids = (query: Record<string, string>) => filterRuns([other, run], query).map(({id}) => id);
  t.deepEqual(ids({}), ['2', run.id]);
  t.deepEqual(ids({user: 'ann'}), ['2']);
  t.deepEqual(ids({status: 'succeeded'}), [run.id]);
  t.deepEqual(ids({since: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z'}), [run.id]);
  t.deepEqual(ids({limit: '1'}), ['2']);
  t.throws(() => ids({since: 'yesterday'}), {code: 'INVALID_QUERY'});
  t.deepEqual(
    withFormer([other], [other, run], {}).items.map(({id}) => id),
    ['2', run.id],
  );
});
