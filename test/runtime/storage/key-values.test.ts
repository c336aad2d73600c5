import {Database} from 'bun:sqlite';
import test from 'ava';
import {answerKeyRequest, type KeyRequest} from '../../../runtime/storage/key-values.ts';

const table = 'kv_store';
const condition = {ifValue: null, ifTag: null, ifAbsent: false};

function openStore() {
  const database = new Database(':memory:', {safeIntegers: true, strict: true});
  return {
    database,
    ask: (nowMs: number, request: KeyRequest) => answerKeyRequest(database, {table, nowMs, request}),
  };
}

const set = (key: string, text: string, ttlMs: number | null = null, path: string[] = []): KeyRequest => ({
  op: 'set',
  key,
  path,
  condition,
  history: true,
  base64: Buffer.from(text).toString('base64'),
  contentType: 'application/json',
  ttlMs,
});
const get = (key: string): KeyRequest => ({op: 'get', key, path: []});
const list: KeyRequest = {op: 'list', prefix: '', limit: 100, offset: 0};

test('a key expires to the millisecond: it is read, listed and counted no more', (t) => {
  const {ask} = openStore();
  t.like(ask(1000, set('a', '1', 2000)), {expire_at: 3});
  t.like(ask(2999, get('a')), {expireAt: 3});
  t.throws(() => ask(3000, get('a')), {message: /expired/});
  t.like(ask(3000, list), {keys: [], count: 0});
  const change = {key: 'a', path: [], condition, history: true};
  t.like(ask(3000, {op: 'incr', ...change, delta: 5}), {value: 5});
  t.throws(() => ask(9000, {op: 'delete', ...change, key: 'none'}), {message: /no key/});
  t.like(ask(9000, get('a')), {expireAt: null});
});

test('counting and changing a part leave the time of a key, a new whole value ends it', (t) => {
  const {ask} = openStore();
  ask(0, set('a', '{"n":1}', 10_000));
  ask(1000, {op: 'incr', key: 'a', path: ['n'], condition, history: true, delta: 1});
  ask(1000, set('a', '5', null, ['m']));
  t.like(ask(2000, get('a')), {expireAt: 10});
  ask(2000, set('a', '6', 20_000, ['m']));
  t.like(ask(2000, get('a')), {expireAt: 22});
  ask(3000, set('a', '7'));
  t.like(ask(3000, get('a')), {expireAt: null});
});

test('keys that expired are removed with their history, a hundred with each write', (t) => {
  const {ask, database} = openStore();
  for (let n = 0; n < 150; n += 1) ask(0, set(`session-${n}`, '1', 1000));
  const rows = () =>
    ['kv_store', 'kv_store_history'].map((name) =>
      Number(database.query<{n: bigint}, []>(`SELECT count(*) AS n FROM ${name}`).get()?.n),
    );
  t.deepEqual(rows(), [150, 150]);
  ask(5000, set('other', '1'));
  t.deepEqual(rows(), [51, 51]);
  ask(5000, set('other', '2'));
  t.deepEqual(rows(), [1, 2]);
});

test('a key that is written again after it expired begins anew', (t) => {
  const {ask} = openStore();
  ask(0, set('a', '{"x":1}', 1000));
  t.like(ask(4000, set('a', '2', null, ['y'])), {created: true});
  t.is(Buffer.from((ask(4000, get('a')) as {base64: string}).base64, 'base64').toString(), '{"y":2}');
});

test('a value that would grow too large stays as it is', (t) => {
  const {ask} = openStore();
  ask(0, set('a', JSON.stringify(['x'.repeat(1024 * 1024 - 10)])));
  const base64 = Buffer.from(JSON.stringify('y'.repeat(20))).toString('base64');
  t.throws(() => ask(0, {op: 'push', key: 'a', path: [], condition, history: true, base64}), {
    message: /larger than/,
  });
  t.is((ask(0, {op: 'history', key: 'a', limit: 10}) as {count: number}).count, 1);
});
