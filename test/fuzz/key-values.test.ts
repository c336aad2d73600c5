import {Database} from 'bun:sqlite';
import test from 'ava';
import fc from 'fast-check';
import {
  answerKeyRequest,
  createKeyTables,
  KeyRefused,
  type KeyRequest,
} from '../../runtime/storage/key-values.ts';
import {valueAt, withValueAt} from '../../runtime/storage/value-path.ts';
import {fuzz} from '../helpers/fuzz.ts';

const key = fc.constantFrom('a', 'b', "it's", '"; DROP TABLE kv_store; --', '%', '__proto__');
const path = fc.array(fc.constantFrom('a', '0', '1', '__proto__', 'constructor', 'length', '-1'), {
  maxLength: 3,
});
const value = fc.oneof(fc.jsonValue({maxDepth: 3}), fc.constantFrom([], {}, [1, 2], {a: [{}]}, 41));
const condition = fc.constant({ifValue: null, ifTag: null, ifAbsent: false});
const change = {key, path, condition, history: fc.boolean()};

const request: fc.Arbitrary<KeyRequest> = fc.oneof(
  fc.record({op: fc.constant('get' as const), key, path}),
  fc
    .record({...change, value, ttlMs: fc.option(fc.integer({min: 1, max: 50}), {nil: null})})
    .map(({value: set, ...rest}) => ({
      op: 'set' as const,
      ...rest,
      base64: encoded(set),
      contentType: 'application/json',
    })),
  fc.record({op: fc.constant('delete' as const), ...change}),
  fc.record({
    op: fc.constantFrom('incr' as const, 'decr' as const),
    ...change,
    delta: fc.integer({min: 1, max: 9}),
  }),
  fc.record({op: fc.constant('push' as const), ...change, base64: value.map(encoded)}),
  fc.record({op: fc.constant('pop' as const), ...change}),
);

function encoded(json: unknown): string {
  return Buffer.from(JSON.stringify(json)).toString('base64');
}

function decoded(base64: string): unknown {
  return JSON.parse(Buffer.from(base64, 'base64').toString());
}

interface Kept {
  readonly text: string;
  readonly expiresMs: number | null;
}

/** What a store of the simplest kind would hold afterwards; null where the request is refused. */
function expected(kept: Kept | undefined, asked: KeyRequest, nowMs: number): Kept | 'gone' | null {
  if (asked.op === 'get' || asked.op === 'list' || asked.op === 'history') return kept ?? null;
  if (asked.op === 'delete') return kept === undefined ? null : 'gone';
  const whole: unknown = kept === undefined ? undefined : JSON.parse(kept.text);
  const part = valueAt(whole, asked.path);
  const keep = (leaf: unknown, expiresMs = kept?.expiresMs ?? null): Kept | null => {
    const next = withValueAt(whole, asked.path, leaf);
    return next === null ? null : {text: JSON.stringify(next.value), expiresMs};
  };
  switch (asked.op) {
    case 'set': {
      const text = Buffer.from(asked.base64, 'base64').toString();
      const expiresMs = asked.ttlMs === null ? null : nowMs + asked.ttlMs;
      if (asked.path.length === 0) return {text, expiresMs};
      return keep(JSON.parse(text), expiresMs ?? kept?.expiresMs ?? null);
    }
    case 'push':
      return part === undefined || Array.isArray(part)
        ? keep([...(part ?? []), decoded(asked.base64)])
        : null;
    case 'pop':
      return Array.isArray(part) && part.length > 0 ? keep(part.slice(0, -1)) : null;
    default: {
      if (part !== undefined && !Number.isSafeInteger(part)) return null;
      const sum = Number(part ?? 0) + (asked.op === 'incr' ? asked.delta : -asked.delta);
      return Number.isSafeInteger(sum) ? keep(sum) : null;
    }
  }
}

test('a store of keys does what a map does, and refuses the rest without a change', async (t) => {
  const steps = fc.array(fc.tuple(request, fc.integer({min: 0, max: 30})), {maxLength: 25});
  await fuzz(
    t,
    fc.property(steps, (asked) => {
      const database = new Database(':memory:', {safeIntegers: true, strict: true});
      createKeyTables(database, 'kv_store');
      const model = new Map<string, Kept>();
      let nowMs = 0;
      for (const [one, passedMs] of asked) {
        nowMs += passedMs;
        for (const [name, {expiresMs}] of model)
          if (expiresMs !== null && expiresMs <= nowMs) model.delete(name);
        const name = 'key' in one ? one.key : '';
        const next = expected(model.get(name), one, nowMs);
        let refused: unknown = null;
        try {
          answerKeyRequest(database, {table: 'kv_store', nowMs, request: one});
        } catch (error) {
          refused = error;
          if (!(error instanceof KeyRefused)) throw error;
        }
        if (one.op === 'get') continue;
        if ((refused === null) !== (next !== null))
          throw new Error(`${one.op} of ${name}: ${String(refused)}`);
        if (next === 'gone') model.delete(name);
        else if (next !== null) model.set(name, next);
        const rows = database
          .query<{key: string; value: Uint8Array}, [number]>(
            'SELECT key, value FROM kv_store WHERE expires_ms IS NULL OR expires_ms > ?',
          )
          .all(nowMs);
        const found = new Map(rows.map((row) => [row.key, Buffer.from(row.value).toString()]));
        if (found.size !== model.size) throw new Error(`${found.size} keys instead of ${model.size}`);
        for (const [kept, {text}] of model)
          if (JSON.stringify(JSON.parse(found.get(kept) ?? 'null')) !== JSON.stringify(JSON.parse(text)))
            throw new Error(`${kept} is ${found.get(kept)} instead of ${text}`);
      }
      database.close();
    }),
    {runs: 200},
  );
});
