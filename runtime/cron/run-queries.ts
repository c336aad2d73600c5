import {parseTimestamp} from '../../schemas/crontab/managed.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Run, RunList} from '../../schemas/run.ts';
import {ambiguousId, checkId, idBeginning, noEntry} from './entries.ts';
import type {Entry} from './entry.ts';
import type {RunFilter, RunStore} from './run-store.ts';
import type {CronUsers} from './users.ts';

export type RunQuery = Omit<RunFilter, 'user' | 'after'> & {readonly cursor: string | null};

/** The records of runs, as they are asked for. */
export interface RunQueries {
  /** `entry` is an id, the beginning of one, or a name. */
  list(user: string, query: RunQuery): Promise<RunList>;
  /** Of an entry by id or beginning of one, also after its end. Throws INVALID_ID, ENTRY_NOT_FOUND. */
  listOf(user: string, id: string, query: RunQuery): Promise<RunList>;
  get(user: string, id: string): Promise<Run>;
}

export function createRunQueries({
  users,
  runs,
  entriesOf,
}: {
  users: CronUsers;
  runs: RunStore;
  entriesOf: (user: string) => readonly Entry[];
}): RunQueries {
  function page(user: string, {cursor, ...query}: RunQuery): RunList {
    const items = runs.list({...query, user, after: decodeCursor(cursor), limit: query.limit + 1});
    const shown = items.slice(0, query.limit);
    const last = shown.at(-1);
    return {
      items: shown,
      next_cursor: items.length > shown.length && last !== undefined ? encodeCursor(last) : null,
    };
  }

  /** Of entries that are and that were; null where there is none. */
  function idFrom(user: string, beginning: string): string | null {
    const present = entriesOf(user).filter(({id}) => id.startsWith(beginning));
    const [id, other] = new Set([...present.map((entry) => entry.id), ...runs.entryIds(user, beginning)]);
    if (other !== undefined) throw ambiguousId(beginning);
    return id ?? null;
  }

  return {
    async list(user, query) {
      const {name} = await users.find(user);
      const wanted = query.entry?.toLowerCase() ?? '';
      const isBeginning = idBeginning.test(wanted) && !runs.hasEntryNamed(name, query.entry ?? '');
      return page(name, isBeginning ? {...query, entry: idFrom(name, wanted) ?? query.entry} : query);
    },

    async listOf(user, id, query) {
      const {name} = await users.find(user);
      const entry = idFrom(name, checkId(id));
      if (entry === null) throw noEntry(id);
      return page(name, {...query, entry});
    },

    async get(user, id) {
      const {name} = await users.find(user);
      const run = runs.get(name, id.toLowerCase());
      if (run === null)
        throw new AppError('RUN_NOT_FOUND', `No run of ${name} has the id \`${id.slice(0, 64)}\`.`);
      return run;
    },
  };
}

function encodeCursor({scheduled_at, id}: Run): string {
  return Buffer.from(JSON.stringify([scheduled_at, id])).toString('base64url');
}

function decodeCursor(cursor: string | null): RunFilter['after'] {
  if (cursor === null) return null;
  const [, scheduledAt = '', id = ''] =
    /^\["([^"]+)","([^"]+)"\]$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  const scheduledMs = parseTimestamp(scheduledAt);
  if (scheduledMs === null) {
    throw new AppError('INVALID_PAGINATION', 'The cursor is not one of ours; begin again without it.');
  }
  return {scheduledMs, id};
}
