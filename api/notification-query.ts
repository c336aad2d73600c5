import type {Displays} from '../runtime/notifications/notification-store.ts';
import {parseTimestamp} from '../schemas/crontab/managed.ts';
import {AppError} from '../schemas/errors.ts';
import {displaySchema} from '../schemas/notification.ts';
import {readCount} from './cron-query.ts';
import {defaultUser} from './cron-user.ts';

type Query = Readonly<Record<string, string>>;

const defaultLimit = 100;
const maxLimit = 1000;
const mostDisplays = 100;

/** One inbox; `me` is the container's default user. Throws INVALID_NAME. */
export function readInbox(name: string): string {
  if (name === 'me') return defaultUser;
  const parsed = displaySchema.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new AppError(
    'INVALID_NAME',
    `${JSON.stringify(name.slice(0, 80))} names no inbox. Write 1 to 64 letters, digits, dots, underscores or hyphens, and not \`all\`.`,
  );
}

/** `a`, `a,b` or `all`. Throws INVALID_NAME. */
export function readDisplays(text: string): Displays {
  if (text === 'all') return 'all';
  const names = text.split(',');
  if (names.length > mostDisplays)
    throw new AppError(
      'INVALID_NAME',
      `${names.length} inboxes at once are too many; write ${mostDisplays} or \`all\`.`,
    );
  return [...new Set(names.map(readInbox))];
}

/** Throws INVALID_QUERY or INVALID_PAGINATION. */
export function readListQuery(query: Query): {afterId: number | null; sinceMs: number | null; limit: number} {
  return {
    afterId: query.after_id === undefined ? null : readId(query.after_id, 'after_id'),
    sinceMs: readSince(query.since),
    limit: readCount(query, 'limit', defaultLimit, maxLimit),
  };
}

/** Throws INVALID_QUERY. */
export function readId(text: string, name: string): number {
  const id = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(id)) return id;
  throw new AppError('INVALID_QUERY', `${name} is the id of a notification, a whole number.`);
}

function readSince(text: string | undefined): number | null {
  if (text === undefined) return null;
  const epochMs = /^\d{1,15}$/.test(text) ? Number(text) : parseTimestamp(text);
  if (epochMs !== null) return epochMs;
  throw new AppError(
    'INVALID_QUERY',
    'since is a time in milliseconds since 1970 or in RFC 3339, for example `2026-05-22T09:00:00Z`.',
  );
}
