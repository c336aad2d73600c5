import * as z from 'zod';

const unitMs = {ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000} as const;

/** `500ms`, `30s`, `5m`, `24h`, `7d` or `0`, as milliseconds. */
export const durationSchema = z
  .union([
    z.literal(0),
    z.string().regex(/^(0|\d{1,9}(ms|s|m|h|d))$/, 'write a duration as 30s, 5m, 24h or 0'),
  ])
  .transform((text) => parseDuration(String(text)))
  .meta({description: 'A duration such as 30s, 5m, 24h, 7d, or 0.'});

function parseDuration(text: string): number {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  if (match === null) return 0;
  const unit = match[2] as keyof typeof unitMs;
  return Number(match[1]) * unitMs[unit];
}

/** In the largest unit that divides it, so that `durationSchema` reads it back: `90s`, `1h`, `0`. */
export function printDuration(ms: number): string {
  if (ms === 0) return '0';
  const unit = (['d', 'h', 'm', 's'] as const).find((candidate) => ms % unitMs[candidate] === 0) ?? 'ms';
  return `${ms / unitMs[unit]}${unit}`;
}

/** The two largest units of a duration, for people: `2 h 5 min`, `640 ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const units: [string, number][] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ];
  const first = units.findIndex(([, size]) => ms >= size);
  let leftMs = ms;
  return units
    .slice(first, first + 2)
    .map(([name, size]) => {
      const count = Math.floor(leftMs / size);
      leftMs -= count * size;
      return count === 0 ? '' : `${count} ${name}`;
    })
    .filter((part) => part !== '')
    .join(' ');
}
