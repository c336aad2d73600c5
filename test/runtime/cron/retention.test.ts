import {Database} from 'bun:sqlite';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openPauseStore} from '../../../runtime/cron/pause-store.ts';
import {openRunDatabase} from '../../../runtime/cron/run-database.ts';
import {createRunRetention} from '../../../runtime/cron/run-retention.ts';
import {createRunStore, type RunClaim, type RunResult} from '../../../runtime/cron/run-store.ts';

const dayMs = 86_400_000;
const limits = {keptPerEntry: 50, ageMs: 30 * dayMs, maxBytes: 64 * 1024 * 1024};
const nowMs = Date.parse('2026-05-18T09:00:00Z');

async function databasePath(t: ExecutionContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cron-retention-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  return join(directory, 'runs.db');
}

async function open(t: ExecutionContext) {
  const database = openRunDatabase(await databasePath(t));
  t.teardown(() => database.close());
  return {database, runs: createRunStore(database)};
}

function claim(entryId: string, scheduledMs: number): RunClaim {
  const rest = {
    schedule: '* * * * *',
    command: 'true',
    attempt: 1,
    revision: null,
    skipped: null,
    cause: null,
  };
  return {id: `${entryId}-${scheduledMs}`, entryId, entryName: null, user: 'root', scheduledMs, ...rest};
}

function result(stdout: string): RunResult {
  const end = {status: 'succeeded', reason: null, exitCode: 0, signal: null} as const;
  return {...end, startedMs: nowMs, finishedMs: nowMs, stdout, stderr: '', truncated: false};
}

function count(database: Database, where = '1'): number {
  return database.query<{n: number}, []>(`SELECT count(*) AS n FROM runs WHERE ${where}`).get()?.n ?? 0;
}

test('S68: of each entry the last fifty stay whatever their age, and all of the last thirty days', async (t) => {
  const {database, runs} = await open(t);
  const old = Array.from({length: 120}, (_, index) => claim('old', nowMs - 60 * dayMs + index * 1000));
  const young = Array.from({length: 120}, (_, index) => claim('young', nowMs - 29 * dayMs + index * 1000));
  const all = [...old, ...young];
  runs.claim(all);
  runs.finished(new Map(all.map(({id}) => [id, result('x')])));
  createRunRetention(database, limits).step(nowMs);
  t.is(count(database, "entry_id = 'old'"), 50);
  t.is(count(database, "entry_id = 'young'"), 120);
  t.is(runs.lastOf('old')?.id, old.at(-1)?.id);
});

test('a step removes no more than a little', async (t) => {
  const {database, runs} = await open(t);
  runs.claim(Array.from({length: 2000}, (_, index) => claim('old', nowMs - 60 * dayMs + index * 1000)));
  runs.interrupt(runs.unfinished());
  const retention = createRunRetention(database, limits);
  retention.step(nowMs);
  t.is(count(database), 1500);
  for (let steps = 0; steps < 3; steps += 1) retention.step(nowMs);
  t.is(count(database), 50);
});

test('above the byte limit old output goes, then old runs; the newest run of each entry keeps its output', async (t) => {
  const {database, runs} = await open(t);
  const maxBytes = 1024 * 1024;
  const entries = Array.from({length: 20}, (_, index) => `entry-${index}`);
  const all = entries.flatMap((id) => [3, 2, 1].map((ago) => claim(id, nowMs - ago * 60_000)));
  runs.claim(all);
  runs.finished(new Map(all.map(({id}) => [id, result('x'.repeat(30_000))])));
  const retention = createRunRetention(database, {...limits, maxBytes});
  for (let steps = 0; steps < 10; steps += 1) retention.step(nowMs);
  const pages = database
    .query<{bytes: number}, []>('SELECT page_count * 4096 AS bytes FROM pragma_page_count()')
    .get();
  t.true((pages?.bytes ?? Infinity) < maxBytes);
  t.is(count(database), 60);
  for (const id of entries) t.is(runs.lastOf(id)?.stdout.length, 30_000);
  t.like(runs.get('root', all[0]?.id ?? ''), {stdout: '', truncated: true});
});

test('runs that go on are not removed', async (t) => {
  const {database, runs} = await open(t);
  runs.claim([claim('long', nowMs - 90 * dayMs)]);
  createRunRetention(database, {...limits, keptPerEntry: 1, maxBytes: 1}).step(nowMs);
  t.is(count(database), 1);
});

test('records of the first layout are taken over', async (t) => {
  const path = await databasePath(t);
  const former = new Database(path, {create: true});
  former.run(`CREATE TABLE runs (id TEXT PRIMARY KEY, entry_id TEXT NOT NULL, entry_name TEXT, user TEXT NOT NULL,
    schedule TEXT NOT NULL, command TEXT NOT NULL, status TEXT NOT NULL, reason TEXT, scheduled_ms INTEGER NOT NULL,
    started_ms INTEGER, finished_ms INTEGER, exit_code INTEGER, signal TEXT, stdout TEXT NOT NULL DEFAULT '',
    stderr TEXT NOT NULL DEFAULT '', truncated INTEGER NOT NULL DEFAULT 0, revision TEXT,
    UNIQUE (entry_id, scheduled_ms))`);
  former.run('CREATE INDEX runs_by_user ON runs (user, scheduled_ms DESC, id DESC)');
  former.run(`INSERT INTO runs (id, entry_id, user, schedule, command, status, scheduled_ms, stdout)
    VALUES ('a', 'e', 'root', '* * * * *', 'true', 'succeeded', 0, 'kept')`);
  former.close();
  const database = openRunDatabase(path);
  t.like(createRunStore(database).get('root', 'a'), {stdout: 'kept', attempt: 1, status: 'succeeded'});
  database.close();
  const again = openRunDatabase(path);
  t.like(createRunStore(again).get('root', 'a'), {stdout: 'kept'});
  again.close();
});

test('a layout without calls gets them, and keeps its records, pauses and crontabs', async (t) => {
  const path = await databasePath(t);
  const former = openRunDatabase(path);
  former.run('ALTER TABLE runs DROP COLUMN calls');
  former.run('ALTER TABLE pauses DROP COLUMN owner');
  former.run('ALTER TABLE pauses DROP COLUMN command');
  former.run('PRAGMA user_version = 1');
  former.run(`INSERT INTO runs (id, entry_id, user, schedule, command, status, scheduled_ms, stdout)
    VALUES ('a', 'e', 'root', '* * * * *', 'true', 'succeeded', 0, 'kept')`);
  former.run("INSERT INTO pauses (user, entry_id, since_ms) VALUES ('root', 'e', 1)");
  former.run("INSERT INTO crontab_versions VALUES ('root', 1, 'h', x'00')");
  former.close();
  const database = openRunDatabase(path);
  t.teardown(() => database.close());
  const runs = createRunStore(database);
  const call = {url: '/x', status: 500, body: 'no', execution_id: 'i'};
  t.like(runs.get('root', 'a'), {stdout: 'kept', calls: []});
  runs.addCall('a', call);
  t.deepEqual(runs.get('root', 'a')?.calls, [call]);
  t.is(database.query('SELECT 1 FROM pauses').all().length, 1);
  t.is(database.query('SELECT 1 FROM crontab_versions').all().length, 1);
});

test('a layout whose pauses have no owner gets one, and keeps them', async (t) => {
  const path = await databasePath(t);
  const former = openRunDatabase(path);
  former.run('ALTER TABLE pauses DROP COLUMN owner');
  former.run('ALTER TABLE pauses DROP COLUMN command');
  former.run('PRAGMA user_version = 2');
  former.run("INSERT INTO pauses (user, entry_id, reason, since_ms) VALUES ('root', 'e', 'why', 1)");
  former.close();
  const database = openRunDatabase(path);
  t.teardown(() => database.close());
  const pause = openPauseStore(database).of({user: 'root', id: 'e'}, 2);
  t.like(pause, {reason: 'why', owner: null, untilMs: null});
});
