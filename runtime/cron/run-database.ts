import {type Database, openSqliteFile} from '../platform/sqlite-file.ts';

/** Counts the layouts; kept in the file as `user_version`. */
const layout = 3;

/** Opens the database of runs, and takes over the records of former layouts. */
export function openRunDatabase(path: string): Database {
  const database = openSqliteFile(path);
  const version = database.query<{user_version: number}, []>('PRAGMA user_version').get()?.user_version ?? 0;
  if (version >= layout) return database;
  if (version > 0) {
    database
      .transaction(() => {
        if (version < 2) database.run("ALTER TABLE runs ADD COLUMN calls TEXT NOT NULL DEFAULT '[]'");
        database.run('ALTER TABLE pauses ADD COLUMN owner TEXT');
        database.run('ALTER TABLE pauses ADD COLUMN command TEXT');
        database.run(`PRAGMA user_version = ${layout}`);
      })
      .immediate();
    return database;
  }
  const hasOld =
    database.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'runs'").get() !== null;
  database
    .transaction(() => {
      if (hasOld) {
        for (const index of ['runs_by_user', 'runs_by_time', 'unfinished_runs'])
          database.run(`DROP INDEX IF EXISTS ${index}`);
        database.run('ALTER TABLE runs RENAME TO former_runs');
      }
      createTables(database);
      if (hasOld) {
        database.run(`INSERT INTO runs (${formerColumns}, bytes)
          SELECT ${formerColumns}, length(stdout) + length(stderr) FROM former_runs`);
        database.run('DROP TABLE former_runs');
      }
      database.run(`PRAGMA user_version = ${layout}`);
    })
    .immediate();
  return database;
}

const formerColumns = `id, entry_id, entry_name, user, schedule, command, status, reason, scheduled_ms, started_ms,
  finished_ms, exit_code, signal, stdout, stderr, truncated, revision`;

function createTables(database: Database): void {
  database.run(`CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    entry_id TEXT NOT NULL,
    entry_name TEXT,
    user TEXT NOT NULL,
    schedule TEXT NOT NULL,
    command TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    attempt INTEGER NOT NULL DEFAULT 1,
    scheduled_ms INTEGER NOT NULL,
    started_ms INTEGER,
    finished_ms INTEGER,
    exit_code INTEGER,
    signal TEXT,
    stdout TEXT NOT NULL DEFAULT '',
    stderr TEXT NOT NULL DEFAULT '',
    truncated INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    revision TEXT,
    calls TEXT NOT NULL DEFAULT '[]'
  )`);
  database.run('CREATE INDEX runs_by_entry ON runs (entry_id, scheduled_ms DESC, id DESC)');
  database.run('CREATE INDEX runs_by_user ON runs (user, scheduled_ms DESC, id DESC)');
  database.run('CREATE INDEX runs_by_time ON runs (scheduled_ms DESC)');
  database.run('CREATE INDEX runs_with_output ON runs (scheduled_ms) WHERE bytes > 0');
  database.run("CREATE INDEX unfinished_runs ON runs (status) WHERE status = 'running'");
  database.run(`CREATE TABLE pauses (
    user TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    reason TEXT,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER,
    owner TEXT,
    command TEXT,
    PRIMARY KEY (user, entry_id)
  )`);
  database.run(`CREATE TABLE crontab_versions (
    user TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    hash TEXT NOT NULL,
    packed BLOB NOT NULL,
    PRIMARY KEY (user, from_ms)
  )`);
}
