import {parseTimestamp} from '../schemas/crontab/managed.ts';
import {AppError} from '../schemas/errors.ts';

const dayMs = 24 * 60 * 60_000;
const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/** Flags by which people name a time; days are those of UTC. */
export interface TimeFlags {
  readonly on?: string;
  readonly since?: string;
  readonly until?: string;
}

/** As the API takes it: RFC 3339, `until` exclusive. Throws CONFIG_INVALID. */
export function timeRange({on, since, until}: TimeFlags, nowMs: number): {since?: string; until?: string} {
  if (on !== undefined) {
    if (since !== undefined || until !== undefined)
      throw new AppError('CONFIG_INVALID', '--on names a whole day; leave --since and --until out.');
    const startMs = dayOf(on, nowMs);
    if (startMs === null)
      throw new AppError('CONFIG_INVALID', `--on ${on} is no day; write 2026-11-17, yesterday or tuesday.`);
    return {since: iso(startMs), until: iso(startMs + dayMs)};
  }
  return {
    ...(since === undefined ? {} : {since: instant('--since', since, nowMs)}),
    ...(until === undefined ? {} : {until: instant('--until', until, nowMs)}),
  };
}

function instant(flag: string, text: string, nowMs: number): string {
  const atMs = parseTimestamp(text) ?? dayOf(text, nowMs);
  if (atMs !== null) return iso(atMs);
  throw new AppError(
    'CONFIG_INVALID',
    `${flag} ${text} is no time; write 2026-11-17T09:00:00Z, 2026-11-17 or tuesday.`,
  );
}

/** The beginning of a day: `2026-11-17`, `today`, `yesterday`, or the last one of a weekday before today. */
export function dayOf(text: string, nowMs: number): number | null {
  const todayMs = nowMs - (nowMs % dayMs);
  const word = text.toLowerCase();
  if (word === 'today') return todayMs;
  if (word === 'yesterday') return todayMs - dayMs;
  const weekday = weekdays.indexOf(word);
  if (weekday !== -1) {
    const daysAgo = (new Date(todayMs).getUTCDay() - weekday + 7) % 7;
    return todayMs - (daysAgo === 0 ? 7 : daysAgo) * dayMs;
  }
  return /^\d{4}-\d\d-\d\d$/.test(text) ? parseTimestamp(`${text}T00:00:00Z`) : null;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
