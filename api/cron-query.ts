import type {RunQuery} from '../runtime/cron/run-queries.ts';
import type {PageRequest, SchedulePreviewRequest} from '../schemas/cron-api.ts';
import {parseTimestamp} from '../schemas/crontab/managed.ts';
import {AppError} from '../schemas/errors.ts';
import {runStatuses} from '../schemas/run-status.ts';

type Query = Readonly<Record<string, string>>;

const maxLimit = 200;
const defaultLimit = 50;
const defaultPreviews = 5;
const maxPage = 1_000_000;

/** Throws INVALID_PAGINATION. */
export function readPage(query: Query): PageRequest {
  return {
    page: readCount(query, 'page', 1, maxPage),
    limit: readCount(query, 'limit', defaultLimit, maxLimit),
  };
}

/** Throws INVALID_PAGINATION or INVALID_QUERY. */
export function readRunQuery(query: Query): RunQuery {
  const {status, entry, cursor} = query;
  const known = runStatuses.find((each) => each === status) ?? null;
  if (status !== undefined && known === null)
    throw new AppError('INVALID_QUERY', `status is one of ${runStatuses.join(', ')}.`);
  return {
    entry: entry ?? null,
    status: known,
    sinceMs: readInstant(query, 'since'),
    untilMs: readInstant(query, 'until'),
    cursor: cursor ?? null,
    limit: readCount(query, 'limit', defaultLimit, maxLimit),
  };
}

/** Throws INVALID_QUERY or INVALID_PAGINATION. */
export function readPreview(query: Query): SchedulePreviewRequest {
  const {schedule, timezone} = query;
  if (schedule === undefined)
    throw new AppError('INVALID_QUERY', 'Give the `schedule` that you want to see.');
  return {
    schedule,
    timeZone: timezone ?? null,
    afterMs: readInstant(query, 'after'),
    count: readCount(query, 'count', defaultPreviews, maxLimit),
  };
}

/** Throws INVALID_QUERY. */
export function readWhy(query: Query): {entry: string; atMs: number} {
  const {entry} = query;
  const atMs = readInstant(query, 'at');
  if (entry === undefined || entry === '' || atMs === null)
    throw new AppError(
      'INVALID_QUERY',
      'Give the `entry`, by id or name, and the minute `at` that you ask about.',
    );
  return {entry, atMs};
}

/** `keep` or absent. Throws INVALID_QUERY. */
export function readManaged({managed}: Query): 'keep' | 'replace' {
  if (managed === undefined) return 'replace';
  if (managed === 'keep') return 'keep';
  throw new AppError(
    'INVALID_QUERY',
    '`managed` can only be `keep`; leave it out to replace the whole file.',
  );
}

/** How many next runs somebody wants to see. Throws INVALID_PAGINATION. */
export function readNextCount(query: Query): number {
  return readCount(query, 'count', defaultPreviews, maxLimit);
}

/** `1`, `true`, or the bare name, against `0`, `false` and absence. Throws INVALID_QUERY. */
export function readFlag(query: Query, name: string): boolean {
  const text = query[name];
  if (text === undefined || text === '0' || text === 'false') return false;
  if (text === '' || text === '1' || text === 'true') return true;
  throw new AppError('INVALID_QUERY', `${name} is \`1\` or \`0\`.`);
}

/** Throws INVALID_PAGINATION. */
export function readCount(query: Query, name: string, fallback: number, max: number): number {
  const text = query[name];
  if (text === undefined) return fallback;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new AppError('INVALID_PAGINATION', `${name} is a whole number from 1 to ${max}.`);
}

export function readInstant(query: Query, name: string): number | null {
  const text = query[name];
  if (text === undefined) return null;
  const epochMs = parseTimestamp(text);
  if (epochMs !== null) return epochMs;
  throw new AppError(
    'INVALID_QUERY',
    `${name} is not RFC 3339; write, for example, \`2026-05-22T09:00:00Z\`.`,
  );
}
