import {parseTimestamp} from '../../schemas/crontab/managed.ts';
import {AppError, type ErrorCode} from '../../schemas/errors.ts';
import {parseSchedule} from '../../schemas/schedule/parse.ts';

/** The schedule with single blanks between its fields. Throws INVALID_SCHEDULE. */
export function checkSchedule(text: string): string {
  const result = parseSchedule(text);
  if (result.ok) return result.schedule.text;
  const {column, message} = result.issue;
  throw new AppError('INVALID_SCHEDULE', `Invalid schedule, column ${column}: ${message}`, {
    details: result.issue,
  });
}

/** Blanks before a command mean nothing and go. Throws INVALID_COMMAND. */
export function checkCommand(text: string): string {
  return checkText(text.replace(/^[ \t]+/, ''), 'command', 'INVALID_COMMAND', 4096);
}

export function checkName(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : checkText(text, 'name', 'INVALID_NAME', 120);
}

export function checkComment(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : checkText(text, 'comment', 'INVALID_COMMENT', 500);
}

/** The timestamp as it was given. Throws INVALID_EXPIRES_AT or EXPIRES_IN_PAST. */
export function checkExpiresAt(text: string | null | undefined, nowMs: number): string | null {
  if (text === null || text === undefined) return null;
  const expiresAtMs = parseTimestamp(text);
  if (expiresAtMs === null) {
    throw new AppError(
      'INVALID_EXPIRES_AT',
      'expires_at is not RFC 3339; write, for example, `2026-05-22T09:00:00Z`.',
    );
  }
  if (expiresAtMs <= nowMs) {
    throw new AppError(
      'EXPIRES_IN_PAST',
      `expires_at is not in the future; it is ${new Date(nowMs).toISOString()} now.`,
    );
  }
  return text;
}

function checkText(text: string, field: string, code: ErrorCode, maxLength: number): string {
  if (text === '') throw new AppError(code, `The ${field} is empty.`);
  if (text.length > maxLength)
    throw new AppError(code, `The ${field} is longer than ${maxLength} characters.`);
  const forbidden = /[\n\r\0\v\f\u0085\u2028\u2029]|\p{Surrogate}/u.exec(text);
  if (forbidden === null) return text;
  const hex = (forbidden[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  throw new AppError(code, `The ${field} holds the character U+${hex}, which a crontab line cannot hold.`);
}
