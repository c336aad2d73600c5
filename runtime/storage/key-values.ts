import {createHash} from 'node:crypto';
import type {
  CountedValue,
  KeyHistory,
  KeyList,
  KeyOperation,
  PoppedValue,
  PushedValue,
  StoredValue,
} from '../../schemas/key-values.ts';
import type {Database} from '../platform/sqlite-file.ts';
import {type ValuePath, valueAt, withValueAt} from './value-path.ts';

/** What must hold of the present value before it is changed; null for what need not. */
export interface KeyCondition {
  /** The value as it is read, at the path of the request where it has one. */
  readonly ifValue: string | null;
  /** The tag of the whole value. */
  readonly ifTag: string | null;
  readonly ifAbsent: boolean;
}

interface KeyChange {
  readonly key: string;
  readonly path: ValuePath;
  readonly condition: KeyCondition;
  readonly history: boolean;
}

export type KeyRequest =
  | {readonly op: 'get'; readonly key: string; readonly path: ValuePath}
  | {readonly op: 'list'; readonly prefix: string; readonly limit: number; readonly offset: number}
  | {readonly op: 'history'; readonly key: string; readonly limit: number}
  | (KeyChange & {
      readonly op: 'set';
      readonly base64: string;
      readonly contentType: string;
      /** Null: a whole value stays for ever, a part of one leaves the time as it is. */
      readonly ttlMs: number | null;
    })
  | (KeyChange & {readonly op: 'delete'})
  | (KeyChange & {readonly op: 'incr' | 'decr'; readonly delta: number})
  | (KeyChange & {readonly op: 'push'; readonly base64: string})
  | (KeyChange & {readonly op: 'pop'});

/** A value as it is kept; times are Unix seconds. */
export interface KeptValue {
  readonly base64: string;
  readonly contentType: string;
  /** Of the whole value. */
  readonly tag: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expireAt: number | null;
}

export interface KeyAnswers {
  readonly get: KeptValue;
  readonly list: KeyList;
  readonly history: KeyHistory;
  readonly set: StoredValue;
  readonly delete: null;
  readonly incr: CountedValue;
  readonly decr: CountedValue;
  readonly push: PushedValue;
  readonly pop: PoppedValue;
}

/** A request that the present value does not allow. */
export class KeyRefused extends Error {
  readonly code: 'KEY_NOT_FOUND' | 'KEY_CHANGED' | 'KEY_UNSUITABLE' | 'KEY_TOO_LARGE' | 'KEY_NO_JSON';

  constructor(code: KeyRefused['code'], message: string) {
    super(message);
    this.name = 'KeyRefused';
    this.code = code;
  }
}

export const maxValueBytes = 1024 * 1024;
/** Of objects and arrays in each other. */
const maxNesting = 100;
/** Of one key, and of all keys of a table; older ones go. */
const maxKeyHistory = 100;
const maxTableHistory = 10_000;
/** A write removes so many that have expired; the others are not seen any more and wait for the next one. */
const expiredPerWrite = 100;

interface Row {
  readonly value: Uint8Array;
  readonly content_type: string;
  readonly created_ms: bigint;
  readonly updated_ms: bigint;
  readonly expires_ms: bigint | null;
}

/** Does one request in a database that gives integers as bigint. `table` is checked by the caller. */
export function answerKeyRequest(
  database: Database,
  {table, nowMs, request}: {table: string; nowMs: number; request: KeyRequest},
): unknown {
  const store = openKeys(database, table, nowMs);
  switch (request.op) {
    case 'get':
      return store.get(request);
    case 'list':
      return store.list(request);
    case 'history':
      return store.history(request);
    default:
      return store.change(request);
  }
}

/** Makes the tables of a store where they are missing. */
export function createKeyTables(database: Database, table: string): void {
  database.run(`CREATE TABLE IF NOT EXISTS "${table}" (
    key TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL,
    content_type TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    expires_ms INTEGER
  )`);
  database.run(
    `CREATE INDEX IF NOT EXISTS "${table}_expiry" ON "${table}" (expires_ms) WHERE expires_ms IS NOT NULL`,
  );
  database.run(`CREATE TABLE IF NOT EXISTS "${table}_history" (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    op_number INTEGER NOT NULL,
    op TEXT NOT NULL,
    value BLOB,
    at_ms INTEGER NOT NULL,
    UNIQUE (key, op_number)
  )`);
}

type Change = Exclude<KeyRequest, {op: 'get' | 'list' | 'history'}>;

function openKeys(database: Database, table: string, nowMs: number) {
  const all = <T>(sql: string, ...values: (string | number | Uint8Array | null)[]): T[] => {
    const statement = database.prepare<T, typeof values>(sql);
    try {
      return statement.all(...values);
    } finally {
      statement.finalize();
    }
  };
  const isThere = (name: string) =>
    all('SELECT 1 FROM sqlite_schema WHERE type = ? AND lower(name) = lower(?)', 'table', name).length > 0;

  function find(key: string): Row | null {
    if (!isThere(table)) return null;
    const [row] = all<Row>(
      `SELECT value, content_type, created_ms, updated_ms, expires_ms FROM "${table}"
        WHERE key = ? AND (expires_ms IS NULL OR expires_ms > ?)`,
      key,
      nowMs,
    );
    return row ?? null;
  }

  function existing(key: string): Row {
    const row = find(key);
    if (row !== null) return row;
    throw new KeyRefused('KEY_NOT_FOUND', `There is no key ${key}; it may have expired.`);
  }

  function note(key: string, op: KeyOperation, value: Uint8Array | null): void {
    const history = `"${table}_history"`;
    all(
      `INSERT INTO ${history} (key, op_number, op, value, at_ms)
        SELECT ?1, coalesce(max(op_number), 0) + 1, ?2, ?3, ?4 FROM ${history} WHERE key = ?1`,
      key,
      op,
      value,
      nowMs,
    );
    all(
      `DELETE FROM ${history} WHERE key = ?1 AND op_number <=
        (SELECT max(op_number) FROM ${history} WHERE key = ?1) - ${maxKeyHistory}`,
      key,
    );
    all(
      `DELETE FROM ${history} WHERE id <=
        (SELECT id FROM ${history} ORDER BY id DESC LIMIT 1 OFFSET ${maxTableHistory})`,
    );
  }

  /** What was kept of them goes too: keys that expire are often of many names. */
  function removeExpired(): void {
    const expired = all<{key: string}>(
      `DELETE FROM "${table}" WHERE key IN
        (SELECT key FROM "${table}" WHERE expires_ms <= ? LIMIT ${expiredPerWrite}) RETURNING key`,
      nowMs,
    );
    for (const {key} of expired) all(`DELETE FROM "${table}_history" WHERE key = ?`, key);
  }

  function put(key: string, kept: {value: Uint8Array; contentType: string; expiresMs: number | null}): void {
    if (kept.value.byteLength > maxValueBytes)
      throw new KeyRefused('KEY_TOO_LARGE', `The value would be larger than ${maxValueBytes} bytes.`);
    all(
      `INSERT INTO "${table}" (key, value, content_type, created_ms, updated_ms, expires_ms)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, content_type = excluded.content_type,
          updated_ms = excluded.updated_ms, expires_ms = excluded.expires_ms`,
      key,
      kept.value,
      kept.contentType,
      nowMs,
      kept.expiresMs,
    );
  }

  function changeOne(request: Change): unknown {
    const {key, path, op} = request;
    removeExpired();
    // Of those that were too many for one write: an expired value is none.
    all(`DELETE FROM "${table}" WHERE key = ? AND expires_ms <= ?`, key, nowMs);
    const row = find(key);
    checkCondition(request, row);
    const keep = (value: Uint8Array, contentType: string, expiresMs: number | null) => {
      put(key, {value, contentType, expiresMs});
      if (request.history) note(key, op, value);
    };
    const keepPart = (leaf: unknown, ttlMs: number | null = null) => {
      const whole = withValueAt(row === null ? undefined : jsonOf(key, row.value), path, leaf);
      if (whole === null)
        throw new KeyRefused('KEY_UNSUITABLE', `The value of ${key} has no place ${path.join('.')}.`);
      const expiresMs = ttlMs === null ? numberOf(row?.expires_ms ?? null) : nowMs + ttlMs;
      const isCounter = path.length === 0 && typeof leaf === 'number';
      const contentType = row?.content_type ?? (isCounter ? 'text/plain' : 'application/json');
      keep(Buffer.from(JSON.stringify(whole.value)), contentType, expiresMs);
    };
    switch (op) {
      case 'set': {
        const {ttlMs} = request;
        const value = Buffer.from(request.base64, 'base64');
        if (path.length > 0) keepPart(sentJson(value), ttlMs);
        else keep(value, request.contentType, ttlMs === null ? null : nowMs + ttlMs);
        const {expires_ms: expiresMs} = existing(key);
        return {
          success: true,
          key,
          created: row === null,
          updated_at: seconds(nowMs),
          expire_at: secondsOf(expiresMs),
        } satisfies StoredValue;
      }
      case 'delete':
        existing(key);
        all(`DELETE FROM "${table}" WHERE key = ?`, key);
        if (request.history) note(key, op, null);
        return null;
      case 'incr':
      case 'decr': {
        const part = partOf(key, row, path);
        const present = part === undefined ? 0 : part;
        const value = Number(present) + (op === 'incr' ? request.delta : -request.delta);
        if (typeof present !== 'number' || !Number.isSafeInteger(present) || !Number.isSafeInteger(value))
          throw new KeyRefused('KEY_UNSUITABLE', `${placeOf(key, path)} is not an integer below 2^53.`);
        keepPart(value);
        return {success: true, key, value} satisfies CountedValue;
      }
      case 'push': {
        const element = sentJson(Buffer.from(request.base64, 'base64'));
        const list = [...arrayAt(key, row, path), element];
        keepPart(list);
        return {success: true, key, newLength: list.length} satisfies PushedValue;
      }
      case 'pop': {
        const list = arrayAt(key, existing(key), path);
        if (list.length === 0)
          throw new KeyRefused('KEY_NOT_FOUND', `${placeOf(key, path)} is an empty array.`);
        keepPart(list.slice(0, -1));
        return {success: true, key, value: list.at(-1), newLength: list.length - 1} satisfies PoppedValue;
      }
      default:
        return request satisfies never;
    }
  }

  return {
    get({key, path}: {key: string; path: ValuePath}): KeptValue {
      const row = existing(key);
      const part = path.length === 0 ? null : partText(key, row, path);
      if (part === undefined)
        throw new KeyRefused('KEY_NOT_FOUND', `The value of ${key} has nothing at ${path.join('.')}.`);
      return {
        base64: Buffer.from(part ?? row.value).toString('base64'),
        contentType: part === null ? row.content_type : 'application/json',
        tag: tagOf(row.value),
        createdAt: seconds(Number(row.created_ms)),
        updatedAt: seconds(Number(row.updated_ms)),
        expireAt: secondsOf(row.expires_ms),
      };
    },
    list({prefix, limit, offset}: {prefix: string; limit: number; offset: number}): KeyList {
      const found = isThere(table)
        ? all<{key: string}>(
            `SELECT key FROM "${table}" WHERE substr(key, 1, length(?1)) = ?1
              AND (expires_ms IS NULL OR expires_ms > ?2) ORDER BY key LIMIT ?3 OFFSET ?4`,
            prefix,
            nowMs,
            limit,
            offset,
          )
        : [];
      return {keys: found.map(({key}) => key), count: found.length, limit, offset, prefix};
    },
    history({key, limit}: {key: string; limit: number}): KeyHistory {
      const rows = isThere(`${table}_history`)
        ? all<{op_number: bigint; op: KeyOperation; value: Uint8Array | null; at_ms: bigint}>(
            `SELECT op_number, op, value, at_ms FROM "${table}_history"
              WHERE key = ? ORDER BY op_number DESC LIMIT ?`,
            key,
            limit,
          )
        : [];
      if (rows.length === 0) throw new KeyRefused('KEY_NOT_FOUND', `Nothing is kept of a key ${key}.`);
      const operations = rows.map(({op_number, op, value, at_ms}) => ({
        op_number: Number(op_number),
        timestamp: seconds(Number(at_ms)),
        operation: {op, ...(value === null ? {} : shown(value))},
      }));
      return {key, count: operations.length, operations};
    },
    change(request: Change): unknown {
      database.run('BEGIN IMMEDIATE');
      try {
        createKeyTables(database, table);
        const answer = changeOne(request);
        database.run('COMMIT');
        return answer;
      } catch (error) {
        if (database.inTransaction) database.run('ROLLBACK');
        throw error;
      }
    },
  };
}

function checkCondition({key, path, condition}: Change, row: Row | null): void {
  const {ifValue, ifTag, ifAbsent} = condition;
  if (ifAbsent && row !== null) throw new KeyRefused('KEY_CHANGED', `The key ${key} exists already.`);
  if (ifValue === null && ifTag === null) return;
  if (row === null) throw new KeyRefused('KEY_CHANGED', 'Key does not exist for CAS');
  const present = path.length === 0 ? Buffer.from(row.value).toString() : partText(key, row, path);
  const isSame = (ifValue ?? present) === present && (ifTag ?? tagOf(row.value)) === tagOf(row.value);
  if (!isSame) throw new KeyRefused('KEY_CHANGED', 'Value mismatch for CAS');
}

/** Throws KeyRefused for a value that is not JSON. */
function jsonOf(key: string, value: Uint8Array): unknown {
  const parsed = parseJson(value);
  if (parsed !== null) return parsed.value;
  throw new KeyRefused(
    'KEY_UNSUITABLE',
    `The value of ${key} is not JSON, or nested deeper than ${maxNesting}.`,
  );
}

/** The same of what the request brought. */
function sentJson(value: Uint8Array): unknown {
  const parsed = parseJson(value);
  if (parsed !== null) return parsed.value;
  throw new KeyRefused('KEY_NO_JSON', `The body is not JSON in UTF-8, or nested deeper than ${maxNesting}.`);
}

/** Null for what is none. What is nested without end brings down whoever walks through it. */
function parseJson(value: Uint8Array): {readonly value: unknown} | null {
  try {
    const text = new TextDecoder('utf-8', {fatal: true}).decode(value);
    return isDeep(text) ? null : {value: JSON.parse(text)};
  } catch {
    // Told by the callers.
    return null;
  }
}

/** By hand: an expression for strings takes a time that grows with the square of a hostile text. */
function isDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '"') inString = !inString;
    else if (inString) at += character === '\\' ? 1 : 0;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (depth > maxNesting) return true;
  }
  return false;
}

function partOf(key: string, row: Row | null, path: ValuePath): unknown {
  return row === null ? undefined : valueAt(jsonOf(key, row.value), path);
}

function partText(key: string, row: Row, path: ValuePath): string | undefined {
  const part = partOf(key, row, path);
  return part === undefined ? undefined : JSON.stringify(part);
}

function arrayAt(key: string, row: Row | null, path: ValuePath): unknown[] {
  const list = partOf(key, row, path);
  if (list === undefined) return [];
  if (Array.isArray(list)) return list;
  throw new KeyRefused('KEY_UNSUITABLE', `${placeOf(key, path)} is not an array.`);
}

function placeOf(key: string, path: ValuePath): string {
  return path.length === 0 ? `The value of ${key}` : `${path.join('.')} of ${key}`;
}

function shown(value: Uint8Array): {new_value: unknown} | {raw_new_value: string} {
  const parsed = parseJson(value);
  if (parsed !== null) return {new_value: parsed.value};
  return {raw_new_value: Buffer.from(value).toString('base64')};
}

function tagOf(value: Uint8Array): string {
  return createHash('sha256').update(value).digest('hex').slice(0, 32);
}

function numberOf(value: bigint | null): number | null {
  return value === null ? null : Number(value);
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function secondsOf(ms: bigint | null): number | null {
  return ms === null ? null : Math.ceil(Number(ms) / 1000);
}
