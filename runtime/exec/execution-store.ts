import type {Execution} from '../../schemas/execution.ts';
import type {ExecutionStatus} from '../../schemas/execution-status.ts';
import {type Database, openSqliteFile} from '../platform/sqlite-file.ts';

export interface ExecutionFilter {
  readonly script: string | null;
  readonly status: ExecutionStatus | null;
  readonly commit: string | null;
  readonly runId: string | null;
  /** Started at or after, epoch ms. */
  readonly sinceMs: number | null;
  /** Started before, epoch ms. */
  readonly untilMs: number | null;
  /** The last one of the page before. */
  readonly after: {readonly startedMs: number; readonly id: string} | null;
  readonly limit: number;
}

/** An execution and how long it is kept; null for as long as all. */
export interface StoredExecution {
  readonly execution: Execution;
  readonly retentionDays: number | null;
}

/** Records of calls in one database. What was written within the last second may be lost in a power cut. */
export interface ExecutionStore {
  /** Writes or replaces all of them in one transaction. */
  save(executions: readonly StoredExecution[]): void;
  list(filter: ExecutionFilter): Execution[];
  get(id: string): Execution | null;
  /** Ends what a runtime that died left running. */
  interruptUnfinished(): void;
  /** Removes what is too old or too much. */
  retain(nowMs: number): void;
  close(): void;
}

export interface ExecutionRetention {
  readonly ageDays: number;
  readonly maxCount: number;
  /** Of all records together; beyond it the oldest go. */
  readonly maxBytes: number;
}

interface Row {
  readonly body: string;
}

const dayMs = 24 * 60 * 60_000;
const rowsPerStep = 1000;

export function openExecutionStore(
  path: string,
  {ageDays, maxCount, maxBytes}: ExecutionRetention,
): ExecutionStore {
  const database = openSqliteFile(path);
  // A record is no claim: many calls a second are worth more than the last one before a power cut.
  database.run('PRAGMA synchronous = NORMAL');
  createTable(database);
  const put = database.query(`INSERT OR REPLACE INTO executions
    (id, script, status, commit_id, run_id, started_ms, expires_ms, body)
    VALUES ($id, $script, $status, $commit, $runId, $startedMs, $expiresMs, $body)`);
  const putAll = database.transaction((executions: readonly StoredExecution[]) => {
    for (const {execution, retentionDays} of executions) {
      const startedMs = Date.parse(execution.started_at);
      put.run({
        id: execution.id,
        script: execution.script,
        status: execution.status,
        commit: execution.commit,
        runId: execution.run_id,
        startedMs,
        expiresMs: startedMs + (retentionDays ?? ageDays) * dayMs,
        body: JSON.stringify(execution),
      });
    }
  });
  const page = database.query<Row, Record<string, string | number | null>>(`SELECT body FROM executions
    WHERE ($script IS NULL OR script = $script)
      AND ($status IS NULL OR status = $status)
      AND ($commit IS NULL OR commit_id = $commit)
      AND ($runId IS NULL OR run_id = $runId)
      AND ($sinceMs IS NULL OR started_ms >= $sinceMs)
      AND ($untilMs IS NULL OR started_ms < $untilMs)
      AND ($afterMs IS NULL OR (started_ms, id) < ($afterMs, $afterId))
    ORDER BY started_ms DESC, id DESC LIMIT $limit`);
  const one = database.query<Row, [string]>('SELECT body FROM executions WHERE id = ?');
  const interrupt = database.query(`UPDATE executions SET status = 'interrupted',
    body = json_set(body, '$.status', 'interrupted') WHERE status = 'running'`);
  const expire = database.query(
    `DELETE FROM executions WHERE id IN (SELECT id FROM executions WHERE expires_ms < ? LIMIT ${rowsPerStep})`,
  );
  const oldest = database.query(`DELETE FROM executions WHERE id IN
    (SELECT id FROM executions WHERE status <> 'running' ORDER BY started_ms LIMIT $count)`);
  const count = database.query<{count: number}, []>('SELECT count(*) AS count FROM executions');
  const size = database.query<
    {bytes: number},
    []
  >(`SELECT (p.page_count - f.freelist_count) * s.page_size AS bytes
    FROM pragma_page_count() AS p, pragma_freelist_count() AS f, pragma_page_size() AS s`);

  return {
    save: (executions) => putAll.immediate(executions),
    list({after, ...filter}) {
      const rows = page.all({...filter, afterMs: after?.startedMs ?? null, afterId: after?.id ?? null});
      return rows.map(toExecution);
    },
    get(id) {
      const row = one.get(id);
      return row === null ? null : toExecution(row);
    },
    interruptUnfinished: () => void interrupt.run(),
    retain(nowMs) {
      expire.run(nowMs);
      const surplus = (count.get()?.count ?? 0) - maxCount;
      if (surplus > 0) oldest.run({count: Math.min(surplus, rowsPerStep)});
      if ((size.get()?.bytes ?? 0) > maxBytes) oldest.run({count: rowsPerStep});
      database.run('PRAGMA incremental_vacuum(256)');
    },
    close: () => database.close(),
  };
}

function createTable(database: Database): void {
  database.run(`CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY,
    script TEXT NOT NULL,
    status TEXT NOT NULL,
    commit_id TEXT,
    run_id TEXT,
    started_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    body TEXT NOT NULL
  )`);
  database.run('CREATE INDEX IF NOT EXISTS executions_by_time ON executions (started_ms DESC, id DESC)');
  database.run(
    'CREATE INDEX IF NOT EXISTS executions_by_script ON executions (script, started_ms DESC, id DESC)',
  );
  database.run('CREATE INDEX IF NOT EXISTS executions_by_expiry ON executions (expires_ms)');
  database.run(
    "CREATE INDEX IF NOT EXISTS unfinished_executions ON executions (status) WHERE status = 'running'",
  );
}

/** Written by `save` and by nobody else. */
function toExecution({body}: Row): Execution {
  return JSON.parse(body) as Execution;
}
