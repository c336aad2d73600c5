import {parseTimestamp} from '../../schemas/crontab/managed.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Run, RunList} from '../../schemas/run.ts';
import type {RunFilter, RunStore} from './run-store.ts';
import type {CronUsers} from './users.ts';

export type RunQuery = Omit<RunFilter, 'user' | 'after'> & {readonly cursor: string | null};

/** The records of runs, as they are asked for. */
export interface RunQueries {
  list(user: string, query: RunQuery): Promise<RunList>;
  get(user: string, id: string): Promise<Run>;
}

export function createRunQueries({users, runs}: {users: CronUsers; runs: RunStore}): RunQueries {
  return {
    async list(user, {cursor, ...query}) {
      const {name} = await users.find(user);
      const items = runs.list({...query, user: name, after: decodeCursor(cursor), limit: query.limit + 1});
      const page = items.slice(0, query.limit);
      const last = page.at(-1);
      return {
        items: page,
        next_cursor: items.length > page.length && last !== undefined ? encodeCursor(last) : null,
      };
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
