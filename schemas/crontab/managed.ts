/** First characters of the two kinds of line that the API writes. */
export const metadataPrefix = '# hoody-cron:';
export const disabledPrefix = '# hoody-cron-disabled:';

/** What the comment line above the rule of a managed entry says. Times are RFC 3339 and kept as they were written. */
export interface Metadata {
  readonly id: string;
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
  readonly expiresAt: string | null;
  readonly name: string | null;
  readonly comment: string | null;
  /** Keys that this version does not know, with their values as written. */
  readonly unknown: readonly (readonly [key: string, value: string])[];
}

export type MetadataResult =
  | {readonly kind: 'metadata'; readonly metadata: Metadata}
  /** The line stays a comment. */
  | {readonly kind: 'unreadable'}
  | {readonly kind: 'duplicate_key'; readonly key: string};

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

/** `text` is what follows `metadataPrefix`, without the line's end. */
export function readMetadata(text: string): MetadataResult {
  const pair = /[ \t]+([a-z_][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|[^ \t"]+)(?=[ \t]|$)/gy;
  const values = new Map<string, string>();
  let end = 0;
  for (const match of text.matchAll(pair)) {
    const [whole, key = '', value = ''] = match;
    if (values.has(key)) return {kind: 'duplicate_key', key};
    values.set(key, value);
    end = match.index + whole.length;
  }
  const metadata = /^[ \t]*$/.test(text.slice(end)) ? toMetadata(values) : null;
  return metadata === null ? {kind: 'unreadable'} : {kind: 'metadata', metadata};
}

/** The line without its end, such that `readMetadata` gives `metadata` back. */
export function printMetadata({
  id,
  createdAt,
  updatedAt,
  expiresAt,
  name,
  comment,
  unknown,
}: Metadata): string {
  const pairs: (readonly [string, string | null])[] = [
    ['id', id],
    ['created_at', createdAt],
    ['updated_at', updatedAt],
    ['expires_at', expiresAt],
    ['name', name === null ? null : JSON.stringify(name)],
    ['comment', comment === null ? null : JSON.stringify(comment)],
    ...unknown,
  ];
  const written = pairs.filter(([, value]) => value !== null).map(([key, value]) => ` ${key}=${value}`);
  return metadataPrefix + written.join('');
}

function toMetadata(values: ReadonlyMap<string, string>): Metadata | null {
  const id = values.get('id');
  const texts = {name: readText(values.get('name')), comment: readText(values.get('comment'))};
  if (id === undefined || !uuidPattern.test(id) || texts.name === undefined || texts.comment === undefined) {
    return null;
  }
  for (const key of ['created_at', 'updated_at', 'expires_at']) {
    const value = values.get(key);
    if (value !== undefined && parseTimestamp(value) === null) return null;
  }
  const known = new Set(['id', 'created_at', 'updated_at', 'expires_at', 'name', 'comment']);
  return {
    id: id.toLowerCase(),
    createdAt: values.get('created_at') ?? null,
    updatedAt: values.get('updated_at') ?? null,
    expiresAt: values.get('expires_at') ?? null,
    name: texts.name,
    comment: texts.comment,
    unknown: [...values].filter(([key]) => !known.has(key)),
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
