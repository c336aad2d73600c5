import type {Database} from '../platform/sqlite-file.ts';
import type {Entry} from './entry.ts';

export interface Pause {
  readonly reason: string | null;
  /** Epoch ms. */
  readonly sinceMs: number;
  /** Epoch ms at which it ends by itself; null for never. */
  readonly untilMs: number | null;
  /** Who wants it. */
  readonly owner: string | null;
}

/** Entries that do not run for a while. Neither a PUT nor a restart ends that. */
export interface PauseStore {
  of(entry: Pick<Entry, 'user' | 'id'>, nowMs: number): Pause | null;
  /** Durable when it returns. */
  set(entry: Pick<Entry, 'user' | 'id' | 'job'>, pause: Pause): void;
  /** A line that has another schedule now is another entry: its pause goes to the only one with its command. */
  follow(user: string, entries: readonly Entry[]): void;
  /** Durable when it returns. */
  clear(entry: Pick<Entry, 'user' | 'id'>): void;
}

interface Row {
  user: string;
  entry_id: string;
  reason: string | null;
  since_ms: number;
  until_ms: number | null;
  owner: string | null;
  command: string | null;
}

interface Stored extends Pause {
  readonly user: string;
  readonly id: string;
  /** Null of a pause that a former version made. */
  readonly command: string | null;
}

export function openPauseStore(database: Database): PauseStore {
  const save =
    database.query(`INSERT OR REPLACE INTO pauses (user, entry_id, reason, since_ms, until_ms, owner, command)
    VALUES ($user, $id, $reason, $sinceMs, $untilMs, $owner, $command)`);
  const remove = database.query('DELETE FROM pauses WHERE user = $user AND entry_id = $id');
  const pauses = new Map(
    database
      .query<Row, []>('SELECT * FROM pauses')
      .all()
      .map(({user, entry_id: id, reason, since_ms, until_ms, owner, command}): [string, Stored] => [
        keyOf({user, id}),
        {user, id, reason, sinceMs: since_ms, untilMs: until_ms, owner, command},
      ]),
  );
  const put = (pause: Stored) => {
    save.run({...pause});
    pauses.set(keyOf(pause), pause);
  };
  const drop = ({user, id}: Pick<Entry, 'user' | 'id'>) => {
    remove.run({user, id});
    pauses.delete(keyOf({user, id}));
  };
  return {
    of(entry, nowMs) {
      const pause = pauses.get(keyOf(entry)) ?? null;
      return pause === null || (pause.untilMs !== null && pause.untilMs <= nowMs) ? null : pause;
    },
    set: ({user, id, job}, pause) => put({...pause, user, id, command: job.command}),
    follow(user, entries) {
      for (const pause of [...pauses.values()]) {
        if (pause.user !== user || entries.some(({id}) => id === pause.id)) continue;
        const [heir, other] = entries.filter(({job}) => job.command === pause.command);
        if (heir === undefined || other !== undefined || pauses.has(keyOf(heir))) continue;
        put({...pause, id: heir.id});
        drop(pause);
      }
    },
    clear: drop,
  };
}

function keyOf({user, id}: Pick<Entry, 'user' | 'id'>): string {
  return `${user}\n${id}`;
}
