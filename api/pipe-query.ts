import type {JoinOptions, SendOptions} from '../runtime/pipe/parties.ts';
import type {Terms} from '../runtime/pipe/rendezvous.ts';
import {AppError} from '../schemas/errors.ts';

type Query = URLSearchParams;

const mostReceivers = 256;
const maxWaitSeconds = 3600;
const defaultSeconds = 300;
const maxIdleSeconds = 4 * 3600;
const defaultHeartbeatSeconds = 15;

/** Throws PIPE_PARAMETER_INVALID. */
export function readJoinOptions(query: Query): JoinOptions {
  const sha256 = readFlag(query, 'sha256') ?? false;
  const terms = readTerms(query);
  if (terms.isLive && sha256) throw conflict('live', 'sha256');
  return {
    terms,
    key: readKey(query),
    waitMs: readSeconds(query, 'wait', defaultSeconds, maxWaitSeconds),
    sha256,
  };
}

/** Throws PIPE_PARAMETER_INVALID. */
export function readSendOptions(query: Query): SendOptions {
  const join = readJoinOptions(query);
  const receipts = readFlag(query, 'receipts') ?? false;
  if (join.terms.isLive && receipts) throw conflict('live', 'receipts');
  return {
    ...join,
    transferId: readTransferId(query),
    bytesPerSecond: readRate(query),
    slow: readSlow(query, join.terms),
    idleMs: readSeconds(query, 'idle', defaultSeconds, maxIdleSeconds),
    heartbeatMs: readHeartbeat(query),
    receipts,
  };
}

/** What a receiver calls itself; null where it does not. Throws PIPE_PARAMETER_INVALID. */
export function readLabel(query: Query): string | null {
  const label = query.get('as');
  if (label === null) return null;
  if (/^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,63}$/u.test(label)) return label;
  throw invalid(
    'as is a name of up to 64 letters, digits, blanks and ._@- and begins with a letter or digit.',
  );
}

/** Throws PIPE_PARAMETER_INVALID. */
export function readTransferId(query: Query): string | null {
  const id = query.get('transfer');
  if (id === null || /^[A-Za-z0-9_-]{16,64}$/.test(id)) return id;
  throw invalid('transfer is 16 to 64 letters, digits, _ and -.');
}

/** Throws PIPE_PARAMETER_INVALID. */
export function readKey(query: Query): string | null {
  const key = query.get('key');
  if (key === null || (key !== '' && key.length <= 256)) return key;
  throw invalid('key is 1 to 256 characters.');
}

/** Bare, `1`, `yes` and whatever else is not `0`, `no` or `false` is true; null where it is absent. */
export function readFlag(query: Query, name: string): boolean | null {
  const text = query.get(name);
  return text === null ? null : !/^(?:0|no|false)$/i.test(text);
}

function readTerms(query: Query): Terms {
  const text = query.get('n') ?? '1';
  const isLive = readFlag(query, 'live') ?? false;
  const [, low = '', high = low] = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(text) ?? [];
  const [min, max] = [Number(low), Number(high)];
  if (low === '' || min < 1 || max < min || max > mostReceivers) {
    throw invalid(
      `n is the number of receivers, a whole number from 1 to ${mostReceivers}, or a range such as 2-8; ${JSON.stringify(text.slice(0, 40))} is not.`,
    );
  }
  if (isLive && max > 1) throw conflict('live', 'n');
  return {receivers: {min, max}, isLive};
}

function readSlow(query: Query, {isLive}: Terms): 'wait' | 'drop' {
  const text = query.get('slow');
  if (text === 'wait' || text === 'drop') return text;
  // Nobody waits for the viewers of a live stream.
  if (text === null) return isLive ? 'drop' : 'wait';
  throw invalid('slow is `wait`, for all to wait for the slowest, or `drop`, to go on without it.');
}

const unitBytes = {'': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3} as const;

/** As pv reads it: `50k` is 50 times 1024 bytes a second. */
function readRate(query: Query): number | null {
  const text = query.get('rate');
  if (text === null) return null;
  const [, number, unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)([kmg]?)$/i.exec(text) ?? [];
  const value = Number(number) * unitBytes[unit.toLowerCase() as keyof typeof unitBytes];
  if (number !== undefined && value >= 1) return value;
  throw invalid('rate is bytes a second, at least 1, with k, m or g for 1024 bytes and so on: rate=50k.');
}

function readHeartbeat(query: Query): number | null {
  const text = query.get('heartbeat');
  if (text === null || readFlag(query, 'heartbeat') === false) return null;
  if (text === '' || text === 'true') return defaultHeartbeatSeconds * 1000;
  return readSeconds(query, 'heartbeat', defaultHeartbeatSeconds, defaultSeconds);
}

const unitSeconds = {'': 1, s: 1, m: 60, h: 3600} as const;

/** Milliseconds. */
function readSeconds(query: Query, name: string, fallback: number, max: number): number {
  const text = query.get(name);
  if (text === null) return fallback * 1000;
  const [, number, unit = ''] = /^(\d{1,6})([smh]?)$/.exec(text) ?? [];
  const seconds = Number(number ?? 0) * unitSeconds[unit as keyof typeof unitSeconds];
  // Only `idle` is long enough for units to be of use; the others are as the public API has them.
  if (seconds >= 1 && seconds <= max && (unit === '' || name === 'idle')) return seconds * 1000;
  throw invalid(`${name} is a whole number of seconds from 1 to ${max}.`);
}

function conflict(one: string, other: string): AppError {
  return invalid(`${one} cannot be used together with ${other}.`);
}

function invalid(message: string): AppError {
  return new AppError('PIPE_PARAMETER_INVALID', message);
}
