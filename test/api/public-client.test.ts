import test, {type ExecutionContext} from 'ava';
import * as z from 'zod';
import {createCronHttp} from '../helpers/cron-http.ts';

/** The fields that the public client's types promise, and no more than those. */
const entryFields = [
  'id',
  'user',
  'name',
  'comment',
  'schedule',
  'schedule_human',
  'command',
  'enabled',
  'expired',
  'expires_at',
  'created_at',
  'updated_at',
] as const;

/** Speaks as the public client does: its paths, bodies, types, wrapping and paging, written anew. */
async function createClient(t: ExecutionContext) {
  const {send, ...world} = await createCronHttp(t);

  async function request<T>(method: string, path: string, schema: z.ZodType<T>, body?: unknown) {
    const response = await send(method, path, body === undefined ? undefined : JSON.stringify(body));
    const data: unknown = await response.json();
    if (!response.ok) {
      const error = z.object({code: z.string(), message: z.string(), details: z.unknown()}).parse(data);
      return {statusCode: response.status, message: error.message, error};
    }
    return {statusCode: response.status, message: 'OK', data: schema.parse(data)};
  }

  /** Fetches pages of 50 until as many were seen as there are. */
  async function all<T>(path: string, key: string, item: z.ZodType<T>): Promise<T[]> {
    const found: T[] = [];
    for (let page = 1; ; page += 1) {
      const schema = z.looseObject({total: z.int(), page: z.literal(page), limit: z.literal(50)});
      const {data} = await request('GET', `${path}?page=${page}&limit=50`, schema);
      if (data === undefined) throw new Error('no page');
      const items = z.array(item).parse(data[key]);
      found.push(...items);
      if (found.length >= data.total || items.length === 0) return found;
    }
  }

  return {...world, request, all};
}

const entrySchema = z.object({
  id: z.uuid(),
  user: z.string(),
  name: z.string().nullable(),
  comment: z.string().nullable(),
  schedule: z.string(),
  schedule_human: z.string(),
  command: z.string(),
  enabled: z.boolean(),
  expired: z.boolean(),
  expires_at: z.iso.datetime({offset: true}).nullable(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
const full = {
  schedule: '0 2 * * *',
  command: 'echo 100% "done"',
  name: null,
  comment: 'nightly',
  enabled: null,
  expires_at: '2026-06-01T00:00:00+02:00',
};

test('create, get, update and delete have the shapes of the public client', async (t) => {
  const {request} = await createClient(t);
  const created = await request('POST', '/users/root/entries', entrySchema, full);
  t.is(created.statusCode, 201);
  const {data: entry} = created;
  t.like(entry, {user: 'root', name: null, comment: 'nightly', enabled: true, command: full.command});
  const path = `/users/root/entries/${entry?.id}`;
  t.deepEqual((await request('GET', path, entrySchema)).data, entry);
  const {data: changed} = await request('PATCH', path, entrySchema, {
    clear_expiration: true,
    expires_at: '2026-07-01T00:00:00Z',
    comment: null,
  });
  t.like(changed, {expires_at: null, comment: 'nightly'});
  const deleted = await request('DELETE', path, z.object({deleted: z.boolean()}));
  t.like(deleted, {statusCode: 200, data: {deleted: true}});
  t.like(await request('GET', path, entrySchema), {statusCode: 404, error: {code: 'ENTRY_NOT_FOUND'}});
});

test('all public fields are there, and lists leave the user out', async (t) => {
  const {request} = await createClient(t);
  const wire = z.record(z.string(), z.unknown());
  const {data = {}} = await request('POST', '/users/root/entries', wire, full);
  for (const name of entryFields) t.true(name in data, name);
  const list = z.object({entries: z.array(wire)});
  const {entries: [item = {}] = []} = (await request('GET', '/users/root/entries', list)).data ?? {};
  t.is(item.type, 'managed');
  for (const name of entryFields) t.is(name in item, name !== 'user', name);
});

test('the iterator finds every entry and raw line once', async (t) => {
  const {request, all, put} = await createClient(t);
  const raw = Array.from({length: 100}, (_, index) => `${index % 60} 3 * * * raw-${index}\n`).join('');
  await put(raw);
  for (let index = 0; index < 20; index += 1)
    await request('POST', '/users/root/entries', entrySchema, {
      schedule: '@daily',
      command: `managed-${index}`,
    });
  const item = z.discriminatedUnion('type', [
    z.object({type: z.literal('managed'), id: z.uuid()}),
    z.object({type: z.literal('raw'), line: z.string()}),
  ]);
  const items = await all('/users/root/entries', 'entries', item);
  t.is(items.length, 120);
  t.is(new Set(items.map((each) => (each.type === 'managed' ? each.id : each.line))).size, 120);
});

test('the iterator over crontabs finds every user', async (t) => {
  const {all} = await createClient(t);
  const items = await all('/crontab', 'items', z.object({user: z.string(), crontab: z.string()}));
  t.is(new Set(items.map(({user}) => user)).size, items.length);
  t.true(items.some(({user, crontab}) => user === 'm.dossantos' && crontab === ''));
});

test('a crontab goes in and out as JSON', async (t) => {
  const {request} = await createClient(t);
  const crontab = '# by hand\n0 4 * * * x\n';
  const stored = z.object({user: z.literal('root'), crontab: z.string(), removed_expired: z.int()});
  t.like(await request('PUT', '/users/root/crontab', stored, {crontab}), {
    statusCode: 200,
    data: {crontab, removed_expired: 0},
  });
  const read = z.strictObject({user: z.string(), crontab: z.string()});
  t.deepEqual((await request('GET', '/users/root/crontab', read)).data, {user: 'root', crontab});
});
