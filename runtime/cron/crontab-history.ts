import {createHash} from 'node:crypto';
import {packText, unpackText} from '../platform/compression.ts';
import type {Database} from '../platform/sqlite-file.ts';

/** A text that was in force from `fromMs` (inclusive) to `untilMs` (exclusive), epoch ms; null for until now. */
export interface CrontabVersion {
  readonly text: string;
  readonly fromMs: number;
  readonly untilMs: number | null;
}

/** What the crontabs were, as far back as there is room for it. */
export interface CrontabHistory {
  /** Does nothing where `text` is the newest one already. */
  record(user: string, text: string, fromMs: number): void;
  /** null before the first one that is remembered. */
  at(user: string, epochMs: number): CrontabVersion | null;
  /** Up to `count` versions that ended at or before `epochMs`, newest first. */
  before(user: string, epochMs: number, count: number): CrontabVersion[];
  /** Up to `count` versions that began after `epochMs`, oldest first. */
  after(user: string, epochMs: number, count: number): CrontabVersion[];
}

interface Row {
  packed: Uint8Array;
  from_ms: number;
  until_ms: number | null;
}

const keptPerUser = 200;
const keptBytes = 8 * 1024 * 1024;

export function createCrontabHistory(database: Database): CrontabHistory {
  const newest = database.query<{hash: string; from_ms: number}, [string]>(
    'SELECT hash, from_ms FROM crontab_versions WHERE user = ? ORDER BY from_ms DESC LIMIT 1',
  );
  const save = database.query(`INSERT OR REPLACE INTO crontab_versions (user, from_ms, hash, packed)
    VALUES ($user, $fromMs, $hash, $packed)`);
  const removeBeyond = database.query(`DELETE FROM crontab_versions WHERE user = $user AND from_ms <
    (SELECT from_ms FROM crontab_versions WHERE user = $user ORDER BY from_ms DESC LIMIT 1 OFFSET $kept)`);
  const bytes = database.query<{bytes: number | null}, []>(
    'SELECT sum(length(packed)) AS bytes FROM crontab_versions',
  );
  // The newest of a user stays: it is the one in force.
  const removeOldest = database.query(`DELETE FROM crontab_versions WHERE rowid IN (
    SELECT rowid FROM crontab_versions AS old WHERE EXISTS (SELECT 1 FROM crontab_versions AS newer
      WHERE newer.user = old.user AND newer.from_ms > old.from_ms) ORDER BY from_ms LIMIT 8)`);
  const selectVersion = `SELECT packed, from_ms, (SELECT min(newer.from_ms) FROM crontab_versions AS newer
    WHERE newer.user = version.user AND newer.from_ms > version.from_ms) AS until_ms FROM crontab_versions AS version`;
  const inForce = database.query<Row, [string, number]>(
    `${selectVersion} WHERE user = ? AND from_ms <= ? ORDER BY from_ms DESC LIMIT 1`,
  );
  const older = database.query<Row, [string, number, number]>(
    `${selectVersion} WHERE user = ? AND until_ms <= ? ORDER BY from_ms DESC LIMIT ?`,
  );
  const younger = database.query<Row, [string, number, number]>(
    `${selectVersion} WHERE user = ? AND from_ms > ? ORDER BY from_ms LIMIT ?`,
  );

  return {
    record(user, text, fromMs) {
      const hash = createHash('sha256').update(text).digest('hex');
      const last = newest.get(user);
      if (last?.hash === hash) return;
      database
        .transaction(() => {
          // A clock that was set back must not put the newest text behind an older one.
          save.run({user, fromMs: Math.max(fromMs, last?.from_ms ?? fromMs), hash, packed: packText(text)});
          removeBeyond.run({user, kept: keptPerUser - 1});
          while ((bytes.get()?.bytes ?? 0) > keptBytes && removeOldest.run().changes > 0);
        })
        .immediate();
    },
    at(user, epochMs) {
      const row = inForce.get(user, epochMs);
      return row === null ? null : toVersion(row);
    },
    before: (user, epochMs, count) => older.all(user, epochMs, count).map(toVersion),
    after: (user, epochMs, count) => younger.all(user, epochMs, count).map(toVersion),
  };
}

function toVersion({packed, from_ms, until_ms}: Row): CrontabVersion {
  return {text: unpackText(packed), fromMs: from_ms, untilMs: until_ms};
}
