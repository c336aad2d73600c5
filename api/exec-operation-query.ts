import {AppError} from '../schemas/errors.ts';
import {type LogType, logTypes, type ScriptSort, scriptSortSchema} from '../schemas/exec-operations.ts';
import {readOptionalFlag} from './exec-query.ts';

type Query = Readonly<Record<string, string>>;

/** `limit` from 1 to `most`. Throws AppError INVALID_QUERY. */
export function readLimit(query: Query, {most, otherwise}: {most: number; otherwise: number}): number {
  const {limit} = query;
  if (limit === undefined) return otherwise;
  const count = Number(limit);
  if (/^\d{1,9}$/.test(limit) && count >= 1 && count <= most) return count;
  throw new AppError('INVALID_QUERY', `The query parameter \`limit\` is a whole number from 1 to ${most}.`);
}

export function readSort(query: Query): ScriptSort {
  return readChoice(query, 'sort', scriptSortSchema.options) ?? 'calls';
}

export function readLogType(query: Query): LogType | null {
  return readChoice(query, 'type', logTypes);
}

/** The log that is meant. Throws AppError INVALID_QUERY. */
export function readFile(query: Query): string {
  const {file} = query;
  if (file !== undefined && file.length <= 300) return file;
  throw new AppError(
    'INVALID_QUERY',
    'The query parameter `file` names a log as logs/list shows it, for example access/access.log.',
  );
}

/** What `logs/clear` removes. Throws AppError INVALID_QUERY. */
export function readLogsToClear(query: Query): {file: string} | {type: LogType} | {olderThanDays: number} {
  const {file, olderThanDays} = query;
  const type = readLogType(query);
  const given = [file, query.type, olderThanDays].filter((value) => value !== undefined);
  if (given.length === 1) {
    if (file !== undefined) return {file};
    if (type !== null) return {type};
    if (olderThanDays !== undefined && /^\d{1,5}$/.test(olderThanDays))
      return {olderThanDays: Number(olderThanDays)};
  }
  throw new AppError('INVALID_QUERY', 'Name one of `file`, `type` and `olderThanDays`, a number of days.');
}

export function readHistoryQuery(query: Query) {
  const {scriptPath = null, since, cursor = null} = query;
  const sinceMs = since === undefined ? null : Date.parse(since);
  if (sinceMs !== null && Number.isNaN(sinceMs))
    throw new AppError('INVALID_QUERY', 'The query parameter `since` is an RFC 3339 timestamp.');
  return {
    scriptPath,
    sinceMs,
    cursor,
    limit: readLimit(query, {most: 1000, otherwise: 100}),
    includeRotated: readOptionalFlag(query, 'includeRotated') ?? false,
  };
}

function readChoice<const T extends string>(query: Query, name: string, allowed: readonly T[]): T | null {
  const value = query[name];
  if (value === undefined) return null;
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new AppError('INVALID_QUERY', `The query parameter \`${name}\` is one of ${allowed.join(', ')}.`);
}
