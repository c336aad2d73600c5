import {durationSchema} from '../duration.ts';

export const overlaps = ['allow', 'forbid', 'replace'] as const;
/** What happens where a run is due and the one before still goes on. */
export type Overlap = (typeof overlaps)[number];

/** How a job runs, beyond what crontab(5) can say. */
export interface JobOptions {
  /** IANA name; null for that of the section or the container. */
  readonly timeZone: string | null;
  readonly overlap: Overlap;
  /** null for no limit. */
  readonly timeoutMs: number | null;
  /** Further tries of a run that failed or timed out. */
  readonly retries: number;
  /** A run that nobody was there to start is made up for within this time; null for never. */
  readonly catchupMs: number | null;
  /** Upper bound of the delay that spreads jobs which are due in the same minute. */
  readonly jitterMs: number;
  /** What the job says itself, be it the usual; an operator's limit treats that as asked for. */
  readonly said: readonly OptionKey[];
}

export const plainOptions: JobOptions = {
  timeZone: null,
  overlap: 'allow',
  timeoutMs: null,
  retries: 0,
  catchupMs: null,
  jitterMs: 0,
  said: [],
};

/** In the order in which they are written. */
export const optionKeys = ['timezone', 'overlap', 'timeout', 'retries', 'catchup', 'jitter'] as const;
export type OptionKey = (typeof optionKeys)[number];

/** Values as they stand in a line. */
export type OptionTexts = Readonly<Partial<Record<OptionKey, string>>>;

export const maxRetries = 10;
const dayMs = 86_400_000;
const longestMs = 30 * dayMs;
const longestJitterMs = dayMs;

/** `timeout_seconds=90` says the same as `timeout=90s`. Anything else that is no option gives null. */
export function asOption(key: string, value: string): {key: OptionKey; value: string} | null {
  if (key === 'timeout_seconds')
    return {key: 'timeout', value: /^\d{1,9}$/.test(value) ? `${value}s` : value};
  const known = optionKeys.find((candidate) => candidate === key);
  return known === undefined ? null : {key: known, value};
}

/** `options` with the one that the text stands for, or a sentence that says what to write instead. Zones are not looked up. */
export function readOption(options: JobOptions, key: OptionKey, text: string): JobOptions | string {
  const read = readValue(options, key, text);
  return typeof read === 'string' ? read : {...read, said: [...options.said, key]};
}

function readValue(options: JobOptions, key: OptionKey, text: string): JobOptions | string {
  switch (key) {
    case 'timezone':
      return {...options, timeZone: text};
    case 'overlap': {
      const overlap = overlaps.find((candidate) => candidate === text);
      return overlap === undefined ? `overlap is one of ${overlaps.join(', ')}.` : {...options, overlap};
    }
    case 'retries': {
      const retries = /^\d{1,2}$/.test(text) ? Number(text) : maxRetries + 1;
      return retries > maxRetries
        ? `retries is a whole number from 0 to ${maxRetries}.`
        : {...options, retries};
    }
    case 'timeout': {
      const timeoutMs = readDuration(text, longestMs);
      if (timeoutMs === null)
        return 'timeout is a time of at most 30 days such as 90s, 10m or 2h; 0 for no limit.';
      return {...options, timeoutMs: timeoutMs === 0 ? null : timeoutMs};
    }
    case 'catchup': {
      const catchupMs = text === 'none' ? 0 : readDuration(text, longestMs);
      if (catchupMs === null) return 'catchup is none, or a time of at most 30 days such as 30m or 1h.';
      return {...options, catchupMs: catchupMs === 0 ? null : catchupMs};
    }
    case 'jitter': {
      const jitterMs = readDuration(text, longestJitterMs);
      return jitterMs === null
        ? 'jitter is a time of at most 24 hours such as 30s or 5m.'
        : {...options, jitterMs};
    }
  }
}

function readDuration(text: string, mostMs: number): number | null {
  const result = durationSchema.safeParse(text);
  return result.success && result.data <= mostMs ? result.data : null;
}
