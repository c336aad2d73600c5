import type {EntryOptions} from '../../schemas/cron-api.ts';
import {parseTimestamp} from '../../schemas/crontab/managed.ts';
import {type OptionKey, type OptionTexts, plainOptions, readOption} from '../../schemas/crontab/options.ts';
import {AppError} from '../../schemas/errors.ts';
import {isTimeZone, type Zone} from '../../schemas/schedule/zone.ts';

/** The texts with what `input` gives; null and absent change nothing. Throws INVALID_BODY. */
export function changeOptions(texts: OptionTexts, input: EntryOptions): OptionTexts {
  const {timezone, overlap, timeout_seconds, retries, catchup, jitter} = input;
  const given: readonly [OptionKey, string | null | undefined, unset: readonly string[]][] = [
    ['timezone', timezone, ['']],
    ['overlap', overlap, ['allow']],
    ['timeout', typeof timeout_seconds === 'number' ? `${timeout_seconds}s` : null, ['0s']],
    ['retries', typeof retries === 'number' ? String(retries) : null, ['0']],
    ['catchup', catchup, ['none', '0']],
    ['jitter', jitter, ['0']],
  ];
  const changed = new Map(Object.entries(texts));
  for (const [key, text, unset] of given) {
    if (text === null || text === undefined) continue;
    if (unset.includes(text)) changed.delete(key);
    else changed.set(key, checkOption(key, text));
  }
  return Object.fromEntries(changed);
}

/** The timestamp as it was given. Throws INVALID_RUN_AT. */
export function checkRunAt(text: string | null | undefined, nowMs: number): string | null {
  if (text === null || text === undefined) return null;
  const runAtMs = parseTimestamp(text);
  if (runAtMs === null)
    throw new AppError(
      'INVALID_RUN_AT',
      'run_at is not RFC 3339; write, for example, `2026-05-22T09:00:00Z`.',
    );
  if (runAtMs > nowMs) return text;
  throw new AppError(
    'INVALID_RUN_AT',
    `run_at is not in the future; it is ${new Date(nowMs).toISOString()} now.`,
  );
}

/** The rule that says the same to a plain cron, but for the year. `runAt` is RFC 3339. */
export function scheduleOfInstant(runAt: string, zone: Zone): string {
  const epochMs = Date.parse(runAt);
  const wall = new Date(epochMs + zone.segmentAt(epochMs).offsetMs);
  return `${wall.getUTCMinutes()} ${wall.getUTCHours()} ${wall.getUTCDate()} ${wall.getUTCMonth() + 1} *`;
}

function checkOption(key: OptionKey, text: string): string {
  const read = readOption(plainOptions, key, text);
  const problem =
    typeof read === 'string' ? read : key === 'timezone' && !isTimeZone(text) ? zoneProblem(text) : null;
  if (problem === null) return text;
  throw new AppError('INVALID_BODY', problem, {details: {field: key}});
}

function zoneProblem(text: string): string {
  return `\`${text.slice(0, 64)}\` is not an IANA time zone; write one such as \`Europe/Berlin\` or \`UTC\`.`;
}
