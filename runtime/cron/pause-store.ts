import type {Database} from '../platform/sqlite-file.ts';
import type {Entry} from './entry.ts';

export interface Pause {
  readonly reason: string | null;
  /** Epoch ms. */
  readonly sinceMs: number;
  /** Epoch ms at which it ends by itself; null for never. */
  readonly untilMs: number | null;
}

/** Entries that do not run for a while. Hangs on the entry's id, so that neither a PUT nor a restart ends it. */
export interface PauseStore {
  of(entry: Pick<Entry, 'user' | 'id'>, nowMs: number): Pause | null;
  /** Durable when it returns. */
  set(entry: Pick<Entry, 'user' | 'id'>, pause: Pause): void;
  /** Durable when it returns. */
  clear(entry: Pick<Entry, 'user' | 'id'>): void;
}

interface Row {
  user: string;
  entry_id: string;
  reason: string | null;
  since_ms: number;
  until_ms: number | null;
}

export function openPauseStore(database: Database): PauseStore {
  const save = database.query(`INSERT OR REPLACE INTO pauses (user, entry_id, reason, since_ms, until_ms)
    VALUES ($user, $id, $reason, $sinceMs, $untilMs)`);
  const remove = database.query('DELETE FROM pauses WHERE user = $user AND entry_id = $id');
  const pauses = new Map(
    database
      .query<Row, []>('SELECT * FROM pauses')
      .all()
      .map(({user, entry_id, reason, since_ms, until_ms}): [string, Pause] => [
        keyOf({user, id: entry_id}),
        {reason, sinceMs: since_ms, untilMs: until_ms},
      ]),
  );
  return {
    of(entry, nowMs) {
      const pause = pauses.get(keyOf(entry)) ?? null;
      return pause === null || (pause.untilMs !== null && pause.untilMs <= nowMs) ? null : pause;
    },
    set({user, id}, pause) {
      save.run({user, id, ...pause});
      pauses.set(keyOf({user, id}), pause);
    },
    clear({user, id}) {
      remove.run({user, id});
      pauses.delete(keyOf({user, id}));
    },
  };
}

function keyOf({user, id}: Pick<Entry, 'user' | 'id'>): string {
  return `${user}\n${id}`;
}
