import type {LastRun} from '../../schemas/control.ts';
import type {Run, RunStatus} from '../../schemas/run.ts';
import {openSqliteFile} from '../platform/sqlite-file.ts';

/** A run that is due. */
export interface RunClaim {
  readonly id: string;
  readonly entryId: string;
  readonly entryName: string | null;
  readonly user: string;
  readonly schedule: string;
  readonly command: string;
  readonly scheduledMs: number;
  readonly revision: string | null;
  /** Why the run shall not happen; null where it shall. */
  readonly skipped: string | null;
}

export interface RunResult {
  readonly status: Exclude<RunStatus, 'running' | 'skipped'>;
  readonly reason: string | null;
  readonly finishedMs: number;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

export interface RunFilter {
  readonly user: string;
  readonly entryId: string | null;
  readonly status: RunStatus | null;
  /** Scheduled at or after, epoch ms. */
  readonly sinceMs: number | null;
  /** Scheduled before, epoch ms. */
  readonly untilMs: number | null;
  /** The last run of the page before. */
  readonly after: {readonly scheduledMs: number; readonly id: string} | null;
  readonly limit: number;
}

/** All records of runs in one database. Whatever it has acknowledged survives a power cut. */
export interface RunStore {
  /** Writes the claims in one transaction and gives back those that nobody had claimed before. */
  claim(claims: readonly RunClaim[]): RunClaim[];
  started(id: string, startedMs: number): void;
  finished(id: string, result: RunResult): void;
  /** Ends what a runtime that died left running. Returns the number of runs. */
  interruptUnfinished(): number;
  list(filter: RunFilter): Run[];
  get(user: string, id: string): Run | null;
  lastOf(entryId: string): Run | null;
  /** The newest run that is over, of whatever entry. */
  last(): LastRun | null;
  /** Removes runs scheduled before `beforeMs`, but never one of an entry's newest `keptPerEntry`. */
  prune(beforeMs: number, keptPerEntry: number): void;
  close(): void;
}

interface Row {
  id: string;
  entry_id: string;
  entry_name: string | null;
  user: string;
  schedule: string;
  command: string;
  status: RunStatus;
  reason: string | null;
  scheduled_ms: number;
  started_ms: number | null;
  finished_ms: number | null;
  exit_code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  truncated: number;
  revision: string | null;
}

export function openRunStore(path: string): RunStore {
  const database = openSqliteFile(path);
  database.run(`CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY,
    entry_id TEXT NOT NULL,
    entry_name TEXT,
    user TEXT NOT NULL,
    schedule TEXT NOT NULL,
    command TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    scheduled_ms INTEGER NOT NULL,
    started_ms INTEGER,
    finished_ms INTEGER,
    exit_code INTEGER,
    signal TEXT,
    stdout TEXT NOT NULL DEFAULT '',
    stderr TEXT NOT NULL DEFAULT '',
    truncated INTEGER NOT NULL DEFAULT 0,
    revision TEXT,
    UNIQUE (entry_id, scheduled_ms)
  )`);
  database.run('CREATE INDEX IF NOT EXISTS runs_by_user ON runs (user, scheduled_ms DESC, id DESC)');
  database.run('CREATE INDEX IF NOT EXISTS runs_by_time ON runs (scheduled_ms DESC)');
  database.run("CREATE INDEX IF NOT EXISTS unfinished_runs ON runs (status) WHERE status = 'running'");

  const insert = database.query(`INSERT OR IGNORE INTO runs
    (id, entry_id, entry_name, user, schedule, command, status, reason, scheduled_ms, revision)
    VALUES ($id, $entryId, $entryName, $user, $schedule, $command, $status, $skipped, $scheduledMs, $revision)`);
  const claimAll = database.transaction((claims: readonly RunClaim[]) =>
    claims.filter((claim) => {
      const status: RunStatus = claim.skipped === null ? 'running' : 'skipped';
      return insert.run({...claim, status}).changes > 0;
    }),
  );
  const start = database.query('UPDATE runs SET started_ms = $startedMs WHERE id = $id');
  const finish =
    database.query(`UPDATE runs SET status = $status, reason = $reason, finished_ms = $finishedMs,
    exit_code = $exitCode, signal = $signal, stdout = $stdout, stderr = $stderr, truncated = $truncated
    WHERE id = $id`);
  const interrupt = database.query(`UPDATE runs SET status = 'interrupted',
    reason = CASE WHEN started_ms IS NULL THEN 'runtime_died_before_start' ELSE 'runtime_died' END
    WHERE status = 'running'`);
  const byId = database.query<Row, [string, string]>('SELECT * FROM runs WHERE user = ? AND id = ?');
  const newestOf = database.query<Row, [string]>(
    'SELECT * FROM runs WHERE entry_id = ? ORDER BY scheduled_ms DESC LIMIT 1',
  );
  const newest = database.query<Row, []>(
    "SELECT * FROM runs WHERE status <> 'running' ORDER BY scheduled_ms DESC LIMIT 1",
  );
  const page = database.query<Row, Record<string, string | number | null>>(`SELECT * FROM runs
    WHERE user = $user
      AND ($entryId IS NULL OR entry_id = $entryId OR entry_name = $entryId)
      AND ($status IS NULL OR status = $status)
      AND ($sinceMs IS NULL OR scheduled_ms >= $sinceMs)
      AND ($untilMs IS NULL OR scheduled_ms < $untilMs)
      AND ($afterMs IS NULL OR (scheduled_ms, id) < ($afterMs, $afterId))
    ORDER BY scheduled_ms DESC, id DESC LIMIT $limit`);
  const removeOld = database.query(`DELETE FROM runs WHERE scheduled_ms < $beforeMs AND status <> 'running'
    AND scheduled_ms < (SELECT newer.scheduled_ms FROM runs AS newer WHERE newer.entry_id = runs.entry_id
      ORDER BY newer.scheduled_ms DESC LIMIT 1 OFFSET $kept)`);

  return {
    claim: (claims) => claimAll.immediate(claims),
    started(id, startedMs) {
      start.run({id, startedMs});
    },
    finished(id, result) {
      finish.run({id, ...result, truncated: Number(result.truncated)});
    },
    interruptUnfinished: () => interrupt.run().changes,
    list({after, ...filter}) {
      return page
        .all({...filter, afterMs: after?.scheduledMs ?? null, afterId: after?.id ?? null})
        .map(toRun);
    },
    get: (user, id) => optionalRun(byId.get(user, id)),
    lastOf: (entryId) => optionalRun(newestOf.get(entryId)),
    last() {
      const run = optionalRun(newest.get());
      return run === null ? null : toLastRun(run);
    },
    prune(beforeMs, keptPerEntry) {
      removeOld.run({beforeMs, kept: keptPerEntry - 1});
    },
    close: () => database.close(),
  };
}

function optionalRun(row: Row | null): Run | null {
  return row === null ? null : toRun(row);
}

function toLastRun({id, entry_id, entry_name, status, exit_code, scheduled_at, finished_at}: Run): LastRun {
  return {id, entry_id, entry_name, status, exit_code, scheduled_at, finished_at};
}

function toRun({scheduled_ms, started_ms, finished_ms, truncated, ...row}: Row): Run {
  return {
    ...row,
    scheduled_at: new Date(scheduled_ms).toISOString(),
    started_at: started_ms === null ? null : new Date(started_ms).toISOString(),
    finished_at: finished_ms === null ? null : new Date(finished_ms).toISOString(),
    duration_ms: started_ms === null || finished_ms === null ? null : finished_ms - started_ms,
    lateness_ms: started_ms === null ? null : started_ms - scheduled_ms,
    truncated: truncated === 1,
  };
}
