import type {LastRun} from '../../schemas/control-state.ts';
import type {Run, RunCall} from '../../schemas/run.ts';
import type {RunStatus} from '../../schemas/run-status.ts';
import type {Database} from '../platform/sqlite-file.ts';

/** A run that is due. */
export interface RunClaim {
  readonly id: string;
  readonly entryId: string;
  readonly entryName: string | null;
  readonly user: string;
  readonly schedule: string;
  readonly command: string;
  /** Of a further attempt: when it is due, not when the first was. */
  readonly scheduledMs: number;
  /** Counted from 1. */
  readonly attempt: number;
  readonly revision: string | null;
  /** Why the run shall not happen; null where it shall. */
  readonly skipped: string | null;
  /** Why the run happens, where that is not the plain schedule: `manual`, `retry`, `catchup`, `dst_gap`. */
  readonly cause: string | null;
}

export interface RunOutput {
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

export interface RunResult extends RunOutput {
  readonly status: Exclude<RunStatus, 'running'>;
  /** null leaves the cause of the run in its place. */
  readonly reason: string | null;
  readonly startedMs: number | null;
  readonly finishedMs: number;
  readonly exitCode: number | null;
  readonly signal: string | null;
}

export interface RunFilter {
  readonly user: string;
  /** Id or name of a job. */
  readonly entry: string | null;
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
  started(ids: readonly string[], startedMs: number): void;
  /** Output of runs that go on. */
  outputs(outputs: ReadonlyMap<string, RunOutput>): void;
  finished(results: ReadonlyMap<string, RunResult>): void;
  /** Adds a call of a script that the run made; beyond a number of them they are left out. */
  addCall(id: string, call: RunCall): void;
  /** Ids of the runs that have no end; before the first claim these are what a runtime that died left running. */
  unfinished(): string[];
  /** Ends runs whose runtime died. */
  interrupt(ids: readonly string[]): void;
  list(filter: RunFilter): Run[];
  get(user: string, id: string): Run | null;
  has(id: string): boolean;
  /** How many were started at or after an instant, epoch ms, or claimed to be. */
  startedSince(sinceMs: number): number;
  lastOf(entryId: string): Run | null;
  /** Ids of entries that begin with `prefix`, whether they still exist or not; no more than two. */
  entryIds(user: string, prefix: string): string[];
  hasEntryNamed(user: string, name: string): boolean;
  /** Epoch ms of the newest run of the schedule; neither a further try nor a run by hand, where there is another. */
  lastScheduledMs(entryId: string): number | null;
  /** The newest run that is over, of whatever entry. */
  last(): LastRun | null;
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
  attempt: number;
  scheduled_ms: number;
  started_ms: number | null;
  finished_ms: number | null;
  exit_code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  truncated: number;
  revision: string | null;
  calls: string;
}

const mostCalls = 50;

const columns = `id, entry_id, entry_name, user, schedule, command, status, reason, attempt, scheduled_ms, started_ms,
  finished_ms, exit_code, signal, stdout, stderr, truncated, revision, calls`;

export function createRunStore(database: Database): RunStore {
  const insert = database.query(`INSERT OR IGNORE INTO runs
    (id, entry_id, entry_name, user, schedule, command, status, reason, attempt, scheduled_ms, revision) VALUES
    ($id, $entryId, $entryName, $user, $schedule, $command, $status, $reason, $attempt, $scheduledMs, $revision)`);
  const claimAll = database.transaction((claims: readonly RunClaim[]) =>
    claims.filter(({skipped, cause, ...claim}) => {
      const status = skipped === null ? 'running' : 'skipped';
      return insert.run({...claim, status, reason: skipped ?? cause}).changes > 0;
    }),
  );
  const start = database.query('UPDATE runs SET started_ms = $startedMs WHERE id = $id');
  const startAll = database.transaction((ids: readonly string[], startedMs: number) => {
    for (const id of ids) start.run({id, startedMs});
  });
  const output = database.query(`UPDATE runs SET stdout = $stdout, stderr = $stderr, truncated = $truncated,
    bytes = $bytes WHERE id = $id AND status = 'running'`);
  const outputAll = database.transaction((outputs: ReadonlyMap<string, RunOutput>) => {
    for (const [id, each] of outputs) output.run({id, ...columnsOf(each)});
  });
  const finish = database.query(`UPDATE runs SET status = $status, reason = coalesce($reason, reason),
    started_ms = $startedMs, finished_ms = $finishedMs, exit_code = $exitCode, signal = $signal,
    stdout = $stdout, stderr = $stderr, truncated = $truncated, bytes = $bytes WHERE id = $id`);
  const finishAll = database.transaction((results: ReadonlyMap<string, RunResult>) => {
    for (const [id, {stdout, stderr, truncated, ...result}] of results)
      finish.run({id, ...result, ...columnsOf({stdout, stderr, truncated})});
  });
  const addCall = database.query(`UPDATE runs SET calls = json_insert(calls, '$[#]', json($call))
    WHERE id = $id AND json_array_length(calls) < ${mostCalls}`);
  const interrupt = database.query(`UPDATE runs SET status = 'interrupted',
    reason = CASE WHEN started_ms IS NULL THEN 'runtime_died_before_start' ELSE 'runtime_died' END
    WHERE id = ? AND status = 'running'`);
  const interruptAll = database.transaction((ids: readonly string[]) => {
    for (const id of ids) interrupt.run(id);
  });
  const open = database.query<{id: string}, []>("SELECT id FROM runs WHERE status = 'running'");
  const byId = database.query<Row, [string, string]>(`SELECT ${columns} FROM runs WHERE user = ? AND id = ?`);
  const exists = database.query<unknown, [string]>('SELECT 1 FROM runs WHERE id = ?');
  const started = database.query<{runs: number}, [number]>(
    "SELECT count(*) AS runs FROM runs WHERE scheduled_ms >= ? AND status <> 'skipped'",
  );
  const newestOf = database.query<Row, [string]>(
    `SELECT ${columns} FROM runs WHERE entry_id = ? ORDER BY scheduled_ms DESC, id DESC LIMIT 1`,
  );
  // The id of a run by hand is random, and the digit at this place says so.
  const newestScheduledOf = database.query<{scheduled_ms: number}, [string]>(
    `SELECT scheduled_ms FROM runs WHERE entry_id = ? AND attempt = 1 AND substr(id, 15, 1) = '5'
      ORDER BY scheduled_ms DESC LIMIT 1`,
  );
  const newest = database.query<Row, []>(
    `SELECT ${columns} FROM runs WHERE status <> 'running' ORDER BY scheduled_ms DESC LIMIT 1`,
  );
  const ids = database.query<{entry_id: string}, [string, string, string]>(
    'SELECT DISTINCT entry_id FROM runs WHERE entry_id >= ? AND entry_id < ? AND user = ? LIMIT 2',
  );
  const named = database.query<unknown, [string, string]>(
    'SELECT 1 FROM runs WHERE user = ? AND entry_name = ? LIMIT 1',
  );
  const page = database.query<Row, Record<string, string | number | null>>(`SELECT ${columns} FROM runs
    WHERE user = $user
      AND ($entry IS NULL OR entry_id = lower($entry) OR entry_name = $entry)
      AND ($status IS NULL OR status = $status)
      AND ($sinceMs IS NULL OR scheduled_ms >= $sinceMs)
      AND ($untilMs IS NULL OR scheduled_ms < $untilMs)
      AND ($afterMs IS NULL OR (scheduled_ms, id) < ($afterMs, $afterId))
    ORDER BY scheduled_ms DESC, id DESC LIMIT $limit`);

  return {
    claim: (claims) => claimAll.immediate(claims),
    started: (ids, startedMs) => startAll.immediate(ids, startedMs),
    outputs: (outputs) => outputAll.immediate(outputs),
    finished: (results) => finishAll.immediate(results),
    addCall: (id, call) => void addCall.run({id, call: JSON.stringify(call)}),
    unfinished: () => open.all().map(({id}) => id),
    interrupt: (ids) => interruptAll.immediate(ids),
    list({after, ...filter}) {
      return page
        .all({...filter, afterMs: after?.scheduledMs ?? null, afterId: after?.id ?? null})
        .map(toRun);
    },
    get: (user, id) => optionalRun(byId.get(user, id)),
    startedSince: (sinceMs) => started.get(sinceMs)?.runs ?? 0,
    has: (id) => exists.get(id) !== null,
    lastOf: (entryId) => optionalRun(newestOf.get(entryId)),
    // `g` comes right after the last digit of an id.
    entryIds: (user, prefix) => ids.all(prefix, `${prefix}g`, user).map(({entry_id}) => entry_id),
    hasEntryNamed: (user, name) => named.get(user, name) !== null,
    lastScheduledMs(entryId) {
      const row = newestScheduledOf.get(entryId) ?? newestOf.get(entryId);
      return row === null ? null : row.scheduled_ms;
    },
    last() {
      const run = optionalRun(newest.get());
      return run === null ? null : toLastRun(run);
    },
  };
}

function columnsOf({stdout, stderr, truncated}: RunOutput) {
  return {
    stdout,
    stderr,
    truncated: Number(truncated),
    bytes: Buffer.byteLength(stdout) + Buffer.byteLength(stderr),
  };
}

function optionalRun(row: Row | null): Run | null {
  return row === null ? null : toRun(row);
}

function toLastRun({id, entry_id, entry_name, status, exit_code, scheduled_at, finished_at}: Run): LastRun {
  return {id, entry_id, entry_name, status, exit_code, scheduled_at, finished_at};
}

function toRun({scheduled_ms, started_ms, finished_ms, truncated, calls, ...row}: Row): Run {
  return {
    ...row,
    // Written by `addCall` and by nobody else.
    calls: JSON.parse(calls) as RunCall[],
    scheduled_at: new Date(scheduled_ms).toISOString(),
    started_at: started_ms === null ? null : new Date(started_ms).toISOString(),
    finished_at: finished_ms === null ? null : new Date(finished_ms).toISOString(),
    duration_ms: started_ms === null || finished_ms === null ? null : finished_ms - started_ms,
    lateness_ms: started_ms === null ? null : started_ms - scheduled_ms,
    truncated: truncated === 1,
  };
}
