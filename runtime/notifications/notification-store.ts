import type {Notification, NotifyRequest, Urgency} from '../../schemas/notification.ts';
import {type Database, openSqliteFile} from '../platform/sqlite-file.ts';

/** Names of inboxes; `all` for every inbox there is. */
export type Displays = readonly string[] | 'all';

export interface NotificationFilter {
  readonly displays: Displays;
  /** Only those that came after it; null for the newest ones. */
  readonly afterId: number | null;
  /** Epoch ms; only those of this instant and later ones. */
  readonly sinceMs: number;
  readonly limit: number;
}

/** All inboxes of a container in one database. What it has acknowledged survives a power cut. */
export interface NotificationStore {
  add(request: NotifyRequest, createdMs: number): Notification;
  /** Oldest first. */
  list(filter: NotificationFilter): Notification[];
  /** Those of `displays`, or of them only the ones with these ids. Returns how many there were. */
  remove(displays: Displays, ids: readonly number[] | null): number;
  /** Removes what is older than `beforeMs`, and of one inbox all but the newest `kept`. */
  trim(limits: {beforeMs: number; display: string; kept: number}): void;
  /** Names of inboxes that hold something of `sinceMs` or later, in their order. */
  displays(sinceMs: number): string[];
  isEmpty(display: string): boolean;
  /** Epoch ms of the notification `place` before the newest of an inbox, counted from 1; later ones than `nowMs` do not count. */
  createdMsOf(display: string, place: number, nowMs: number): number | null;
  /** 0 where there never was any. */
  newestId(): number;
  close(): void;
}

interface Row {
  id: number;
  display: string;
  created_ms: number;
  summary: string;
  body: string;
  urgency: Urgency;
  icon: string | null;
  category: string | null;
  expire_time: number | null;
}

const chosen = '($displays IS NULL OR display IN (SELECT value FROM json_each($displays)))';

/** Throws SQLite's error for a file that is no database. */
export function openNotificationStore(path: string): NotificationStore {
  const database = openSqliteFile(path);
  createTables(database);
  const insert = database.query<Row, Record<string, string | number | null>>(`INSERT INTO notifications
    (display, created_ms, summary, body, urgency, icon, category, expire_time)
    VALUES ($display, $createdMs, $summary, $body, $urgency, $icon, $category, $expire_time) RETURNING *`);
  const newest = database.query<Row, Record<string, string | number | null>>(`SELECT * FROM
    (SELECT * FROM notifications WHERE ${chosen} AND created_ms >= $sinceMs ORDER BY id DESC LIMIT $limit)
    ORDER BY id`);
  const after = database.query<Row, Record<string, string | number | null>>(`SELECT * FROM notifications
    WHERE id > $afterId AND ${chosen} AND created_ms >= $sinceMs ORDER BY id LIMIT $limit`);
  const remove = database.query(`DELETE FROM notifications
    WHERE ${chosen} AND ($ids IS NULL OR id IN (SELECT value FROM json_each($ids)))`);
  const removeOld = database.query('DELETE FROM notifications WHERE created_ms < $beforeMs');
  const removeBeyond = database.query(`DELETE FROM notifications WHERE display = $display AND id <=
    (SELECT id FROM notifications WHERE display = $display ORDER BY id DESC LIMIT 1 OFFSET $kept)`);
  const names = database.query<{display: string}, [number]>(
    'SELECT DISTINCT display FROM notifications WHERE created_ms >= ? ORDER BY display',
  );
  const any = database.query<unknown, [string]>('SELECT 1 FROM notifications WHERE display = ? LIMIT 1');
  const place = database.query<{created_ms: number}, Record<string, string | number>>(`SELECT created_ms
    FROM notifications WHERE display = $display AND created_ms <= $nowMs
    ORDER BY id DESC LIMIT 1 OFFSET $offset`);
  const last = database.query<{seq: number}, []>(
    "SELECT seq FROM sqlite_sequence WHERE name = 'notifications'",
  );
  const trim = database.transaction((limits: {beforeMs: number; display: string; kept: number}) => {
    removeOld.run({beforeMs: limits.beforeMs});
    removeBeyond.run({display: limits.display, kept: limits.kept});
  });

  return {
    add({display, ...request}, createdMs) {
      const row = insert.get({...request, display, createdMs});
      if (row === null) throw new Error('The database did not return what it stored.');
      return toNotification(row);
    },
    list({displays, afterId, sinceMs, limit}) {
      const filter = {displays: namesOf(displays), sinceMs, limit};
      const rows = afterId === null ? newest.all(filter) : after.all({...filter, afterId});
      return rows.map(toNotification);
    },
    remove: (displays, ids) =>
      remove.run({displays: namesOf(displays), ids: ids === null ? null : JSON.stringify(ids)}).changes,
    trim: (limits) => trim.immediate(limits),
    displays: (sinceMs) => names.all(sinceMs).map(({display}) => display),
    isEmpty: (display) => any.get(display) === null,
    createdMsOf: (display, nth, nowMs) => place.get({display, nowMs, offset: nth - 1})?.created_ms ?? null,
    newestId: () => last.get()?.seq ?? 0,
    close: () => database.close(),
  };
}

function createTables(database: Database): void {
  // AUTOINCREMENT: a reader that goes on after an id must never meet it again.
  database.run(`CREATE TABLE IF NOT EXISTS notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    display TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    summary TEXT NOT NULL,
    body TEXT NOT NULL,
    urgency TEXT NOT NULL,
    icon TEXT,
    category TEXT,
    expire_time INTEGER
  )`);
  database.run('CREATE INDEX IF NOT EXISTS notifications_by_display ON notifications (display, id)');
  database.run('CREATE INDEX IF NOT EXISTS notifications_by_time ON notifications (created_ms)');
}

function namesOf(displays: Displays): string | null {
  return displays === 'all' ? null : JSON.stringify(displays);
}

function toNotification({display, created_ms, ...row}: Row): Notification {
  return {
    id: row.id,
    display_id: display,
    summary: row.summary,
    body: row.body,
    urgency: row.urgency,
    icon: row.icon,
    category: row.category,
    expire_time: row.expire_time,
    created_at: new Date(created_ms).toISOString(),
  };
}
