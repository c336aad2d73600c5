import {
  asOption,
  type JobOptions,
  type OptionKey,
  type OptionTexts,
  optionKeys,
  plainOptions,
  readOption,
} from './options.ts';

/** First characters of the two kinds of line that the API writes. */
export const metadataPrefix = '# hoody-cron:';
export const disabledPrefix = '# hoody-cron-disabled:';

/** What the comment line above the rule of a managed entry says. Times are RFC 3339 and kept as they were written. */
export interface Metadata {
  readonly id: string;
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
  readonly expiresAt: string | null;
  /** The one instant at which the entry runs, whatever its rule says; null for a repeating one. */
  readonly runAt: string | null;
  readonly name: string | null;
  readonly comment: string | null;
  /** As written; `options` is what they stand for. */
  readonly optionTexts: OptionTexts;
  /** Keys that this version does not know, with their values as written. */
  readonly unknown: readonly (readonly [key: string, value: string])[];
}

export type MetadataResult =
  | {readonly kind: 'metadata'; readonly metadata: Metadata}
  /** The line stays a comment. */
  | {readonly kind: 'unreadable'}
  | {readonly kind: 'duplicate_key'; readonly key: string; readonly start: number}
  | {readonly kind: 'option_invalid'; readonly start: number; readonly message: string};

export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const timestampPattern =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:[Zz]|[+-](\d\d):(\d\d))$/;

/** Epoch ms of an RFC 3339 timestamp; null for anything else, also for days that no calendar has. */
export function parseTimestamp(text: string): number | null {
  const match = timestampPattern.exec(text);
  if (match === null) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, zoneHour = 0, zoneMinute = 0] = match
    .slice(1)
    .map((digits) => Number(digits ?? 0));
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  const inRange =
    month >= 1 && month <= 12 && day >= 1 && day <= days && hour < 24 && minute < 60 && second < 60;
  if (!inRange || zoneHour > 23 || zoneMinute > 59) return null;
  const epochMs = Date.parse(text.toUpperCase());
  return Number.isNaN(epochMs) ? null : epochMs;
}

/** `text` is what follows `metadataPrefix`, without the line's end. `start` counts its UTF-16 code units from 0. */
export function readMetadata(text: string): MetadataResult {
  const pair = /[ \t]+([a-z_][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|[^ \t"]+)(?=[ \t]|$)/gy;
  const values = new Map<string, {value: string; start: number}>();
  let end = 0;
  for (const match of text.matchAll(pair)) {
    const [whole, key = '', value = ''] = match;
    end = match.index + whole.length;
    const start = end - value.length - key.length - 1;
    const known = asOption(key, value) ?? {key, value};
    if (values.has(known.key)) return {kind: 'duplicate_key', key: known.key, start};
    values.set(known.key, {value: known.value, start});
  }
  const metadata = /^[ \t]*$/.test(text.slice(end)) ? toMetadata(values) : null;
  if (metadata === null) return {kind: 'unreadable'};
  for (const key of optionKeys) {
    const written = values.get(key);
    const read = written === undefined ? plainOptions : readOption(plainOptions, key, written.value);
    if (typeof read === 'string') return {kind: 'option_invalid', start: written?.start ?? 0, message: read};
  }
  return {kind: 'metadata', metadata};
}

/** The line without its end, such that `readMetadata` gives `metadata` back. */
export function printMetadata(metadata: Metadata): string {
  const {id, createdAt, updatedAt, expiresAt, runAt, name, comment, optionTexts, unknown} = metadata;
  const pairs: (readonly [string, string | null])[] = [
    ['id', id],
    ['created_at', createdAt],
    ['updated_at', updatedAt],
    ['expires_at', expiresAt],
    ['run_at', runAt],
    ['name', name === null ? null : JSON.stringify(name)],
    ['comment', comment === null ? null : JSON.stringify(comment)],
    ...optionKeys.map((key) => [key, optionTexts[key] ?? null] as const),
    ...unknown,
  ];
  const written = pairs.filter(([, value]) => value !== null).map(([key, value]) => ` ${key}=${value}`);
  return metadataPrefix + written.join('');
}

/** What the texts stand for. A text that says nothing is left out; `readMetadata` and the API let none in. */
export function optionsOf({optionTexts}: Pick<Metadata, 'optionTexts'>): JobOptions {
  return optionKeys.reduce((options, key) => {
    const text = optionTexts[key];
    const read = text === undefined ? options : readOption(options, key, text);
    return typeof read === 'string' ? options : read;
  }, plainOptions);
}

const knownKeys: readonly string[] = [
  'id',
  'created_at',
  'updated_at',
  'expires_at',
  'run_at',
  'name',
  'comment',
  ...optionKeys,
];

function toMetadata(written: ReadonlyMap<string, {readonly value: string}>): Metadata | null {
  const textOf = (key: string) => written.get(key)?.value;
  const id = textOf('id');
  const texts = {name: readText(textOf('name')), comment: readText(textOf('comment'))};
  if (id === undefined || !uuidPattern.test(id) || texts.name === undefined || texts.comment === undefined) {
    return null;
  }
  for (const key of ['created_at', 'updated_at', 'expires_at', 'run_at']) {
    const value = textOf(key);
    if (value !== undefined && parseTimestamp(value) === null) return null;
  }
  const options = optionKeys.flatMap((key): [OptionKey, string][] => {
    const value = textOf(key);
    return value === undefined ? [] : [[key, value]];
  });
  return {
    id: id.toLowerCase(),
    createdAt: textOf('created_at') ?? null,
    updatedAt: textOf('updated_at') ?? null,
    expiresAt: textOf('expires_at') ?? null,
    runAt: textOf('run_at') ?? null,
    name: texts.name,
    comment: texts.comment,
    optionTexts: Object.fromEntries(options),
    unknown: [...written].filter(([key]) => !knownKeys.includes(key)).map(([key, {value}]) => [key, value]),
  };
}

/** A JSON string or a bare word; null when absent, undefined when unreadable. */
function readText(value: string | undefined): string | null | undefined {
  if (value === undefined) return null;
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    // Text from a crontab; an unreadable value makes the whole line an ordinary comment.
    return undefined;
  }
}
