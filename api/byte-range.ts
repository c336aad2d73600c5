import {AppError} from '../schemas/errors.ts';

/**
 * The one range that a `Range` header asks for, or null for the whole: without a header, for several ranges, and for
 * other units (RFC 9110, 14.2). Throws AppError RANGE_NOT_SATISFIABLE with `details.size`.
 */
export function parseRange(
  header: string | null,
  size: number,
): {readonly first: number; readonly last: number} | null {
  const [, from = '', to = ''] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(header ?? '') ?? [];
  if (from === '' && to === '') return null;
  if (from !== '' && to !== '' && Number(to) < Number(from)) return null;
  const first = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const last = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (first < size && !(from === '' && Number(to) === 0)) return {first, last};
  throw new AppError('RANGE_NOT_SATISFIABLE', `The file has ${size} bytes; the range begins behind them.`, {
    details: {size},
  });
}
