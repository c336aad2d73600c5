const units = [
  'microsecond',
  'milliseconds',
  'second',
  'minute',
  'hour',
  'day',
  'week',
  'month',
  'quarter',
  'year',
  'decade',
  'century',
  'millennium',
] as const;
type Unit = (typeof units)[number];

/**
 * PostgreSQL's `date_trunc(unit, time)` for SQLite. Reads `YYYY-MM-DD[( |T)hh:mm[:ss[.f]]][Z|±hh:mm]` or unix
 * seconds or milliseconds, all as UTC, and gives `YYYY-MM-DD HH:MM:SS` as SQLite's `datetime()` does.
 * Null for null and for what cannot be read; an unknown unit throws.
 */
export function dateTrunc(unit: unknown, time: unknown): string | null {
  const known = knownUnit(unit);
  const ms = epochMs(time);
  return ms === null ? null : print(truncate(new Date(ms), known));
}

function knownUnit(unit: unknown): Unit {
  const name = String(unit)
    .toLowerCase()
    .replace(/^(second|minute|hour|day|week|month|quarter|year|decade|microsecond)s$/, '$1');
  const known = units.find((candidate) => candidate === name || candidate === `${name}s`);
  if (known === undefined)
    throw new Error(`date_trunc: unknown unit "${String(unit)}". Use one of ${units.join(', ')}.`);
  return known;
}

const timePattern =
  /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/i;

function epochMs(time: unknown): number | null {
  if (typeof time === 'bigint') return epochMs(Number(time));
  // Seconds reach the year 5138 below this; milliseconds above it begin in 1973.
  if (typeof time === 'number')
    return Number.isFinite(time) ? (Math.abs(time) < 1e11 ? time * 1000 : time) : null;
  if (typeof time !== 'string') return null;
  const [, date, minutes = '00:00', seconds = '00', fraction = '', zone = 'Z'] =
    timePattern.exec(time.trim()) ?? [];
  if (date === undefined) return null;
  const offset = /^[+-]\d{4}$/.test(zone) ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone.toUpperCase();
  const ms = Date.parse(`${date}T${minutes}:${seconds}${fraction.slice(0, 4)}${offset}`);
  return Number.isNaN(ms) ? null : ms;
}

function truncate(date: Date, unit: Unit): Date {
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  switch (unit) {
    case 'microsecond':
    case 'milliseconds':
      return date;
    case 'second':
      return new Date(Math.floor(date.getTime() / 1000) * 1000);
    case 'minute':
      return new Date(Math.floor(date.getTime() / 60_000) * 60_000);
    case 'hour':
      return new Date(Math.floor(date.getTime() / 3_600_000) * 3_600_000);
    case 'day':
      return utc(year, month, day);
    case 'week':
      return utc(year, month, day - ((date.getUTCDay() + 6) % 7));
    case 'month':
      return utc(year, month, 1);
    case 'quarter':
      return utc(year, month - (month % 3), 1);
    case 'year':
      return utc(year, 0, 1);
    case 'decade':
      return utc(year - (year % 10), 0, 1);
    case 'century':
      return utc(year - ((year - 1) % 100), 0, 1);
    case 'millennium':
      return utc(year - ((year - 1) % 1000), 0, 1);
  }
}

function utc(year: number, month: number, day: number): Date {
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  return date;
}

function print(date: Date): string {
  return date.toISOString().slice(0, 19).replace('T', ' ');
}
