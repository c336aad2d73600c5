import {type Context, Hono} from 'hono';
import type {Databases} from '../runtime/storage/databases.ts';
import type {KeptValue, KeyCondition} from '../runtime/storage/key-values.ts';
import {AppError} from '../schemas/errors.ts';
import {keySchema, keyTableSchema, valuePathSchema} from '../schemas/key-values.ts';
import {readOptionalFlag} from './exec-query.ts';
import {readBytes} from './json-body.ts';
import {safeContentType} from './pipe-headers.ts';

const maxBodyBytes = 1024 * 1024;
const maxListed = 1000;
const defaultListed = 100;
const defaultHistory = 50;
const maxTtlSeconds = 10 * 365 * 24 * 3600;
const changes = ['incr', 'decr', 'push', 'pop'];

/** The key-value store of a database, with paths below `/api/v1/sqlite/kv`. `nameOf` reads the name of the database. */
export function keyRoutes(databases: Databases, nameOf: (c: Context) => string): Hono {
  const app = new Hono();

  app.get('/', async (c) => {
    refuseTimeTravel(c);
    const prefix = c.req.query('prefix') ?? '';
    const limit = Math.min(readNumber(c, 'limit') ?? defaultListed, maxListed);
    const offset = readNumber(c, 'offset') ?? 0;
    return c.json(await databases.keys(nameOf(c), {op: 'list', prefix, limit, offset}, reading(c)));
  });

  app.get('/:key{[^]+/history}', async (c) => {
    // As in the public API, 0 stands for the usual number.
    const limit = Math.min(readNumber(c, 'limit') || defaultHistory, maxListed);
    return c.json(
      await databases.keys(nameOf(c), {op: 'history', key: keyOf(c, '/history'), limit}, reading(c)),
    );
  });

  app.get('/:key{[^]+}', async (c) => {
    refuseTimeTravel(c);
    const request = {op: 'get', key: keyOf(c), path: pathOf(c)} as const;
    return valueResponse(c, await databases.keys(nameOf(c), request, reading(c)));
  });

  app.put('/:key{[^]+}', async (c) => {
    const change = changeOf(c);
    const ttlSeconds = readNumber(c, 'ttl');
    if (ttlSeconds !== null && (ttlSeconds < 1 || ttlSeconds > maxTtlSeconds))
      throw new AppError(
        'INVALID_QUERY',
        'The query parameter `ttl` is a number of seconds from 1 to 10 years.',
      );
    const request = {
      op: 'set',
      ...change,
      base64: await base64Body(c),
      contentType: safeContentType(c.req.header('content-type') ?? null),
      ttlMs: ttlSeconds === null ? null : ttlSeconds * 1000,
    } as const;
    const stored = await databases.keys(nameOf(c), request, writing(c));
    return c.json(stored, stored.created ? 201 : 200);
  });

  app.delete('/:key{[^]+}', async (c) => {
    // Without the part, the request would delete the whole.
    if (c.req.query('path') !== undefined)
      throw new AppError(
        'NOT_IMPLEMENTED',
        'A part of a value is not deleted by itself here. PUT what is above it.',
      );
    const change = changeOf(c);
    await databases.keys(nameOf(c), {op: 'delete', ...change}, reading(c));
    return c.json({success: true, key: change.key, deleted: true});
  });

  for (const op of ['incr', 'decr'] as const) {
    app.post(`/:key{[^]+/${op}}`, async (c) => {
      const delta = readNumber(c, 'delta') ?? 1;
      if (delta < 1) throw new AppError('INVALID_QUERY', 'delta must be a positive integer');
      return c.json(await databases.keys(nameOf(c), {op, ...changeOf(c, `/${op}`), delta}, writing(c)));
    });
  }

  app.post('/:key{[^]+/push}', async (c) => {
    const request = {op: 'push', ...changeOf(c, '/push'), base64: await base64Body(c)} as const;
    return c.json(await databases.keys(nameOf(c), request, writing(c)));
  });

  app.post('/:key{[^]+/pop}', async (c) =>
    c.json(await databases.keys(nameOf(c), {op: 'pop', ...changeOf(c, '/pop')}, reading(c))),
  );

  app.all('/*', (c) => {
    if (c.req.method !== 'POST')
      throw new AppError('METHOD_NOT_ALLOWED', `A key does not take ${c.req.method}.`);
    throw new AppError(
      'NOT_IMPLEMENTED',
      `Keys take ${changes.join(', ')} here: no batches, rollbacks or removals by value. POST /api/v1/sqlite/db does several things at once.`,
    );
  });

  return app;
}

/** Throws AppError PAYLOAD_TOO_LARGE. */
async function base64Body(c: Context): Promise<string> {
  return Buffer.from(await readBytes(c.req.raw, maxBodyBytes)).toString('base64');
}

function valueResponse(c: Context, kept: KeptValue): Response {
  const etag = `"${kept.tag}"`;
  const headers = new Headers({
    'cache-control': 'no-cache',
    'content-type': kept.contentType,
    etag,
    'x-content-type-options': 'nosniff',
    'x-created-at': String(kept.createdAt),
    'x-updated-at': String(kept.updatedAt),
    ...(kept.expireAt === null ? {} : {'x-expire-at': String(kept.expireAt)}),
  });
  if (c.req.header('if-none-match') === etag) return new Response(null, {status: 304, headers});
  return new Response(Buffer.from(kept.base64, 'base64'), {headers});
}

/** The key before `behind`, the end of the route. Throws AppError INVALID_QUERY. */
function keyOf(c: Context, behind = ''): string {
  const key = c.req.param('key') ?? '';
  const parsed = keySchema.safeParse(key.slice(0, key.length - behind.length));
  if (parsed.success) return parsed.data;
  throw new AppError('INVALID_QUERY', parsed.error.issues[0]?.message ?? 'The key is not valid.');
}

function pathOf(c: Context): string[] {
  const path = c.req.query('path');
  if (path === undefined) return [];
  const parsed = valuePathSchema.safeParse(path);
  if (parsed.success) return parsed.data;
  throw new AppError(
    'INVALID_QUERY',
    'The query parameter `path` is names with dots between, for example path=prefs.theme.',
  );
}

function tableOf(c: Context): string {
  return readKeyTable(c.req.query('table')) ?? 'kv_store';
}

/** Null where none is named. Throws AppError INVALID_QUERY. */
export function readKeyTable(table: string | undefined): string | null {
  if (table === undefined) return null;
  const parsed = keyTableSchema.safeParse(table);
  if (parsed.success) return parsed.data;
  throw new AppError('INVALID_QUERY', parsed.error.issues[0]?.message ?? 'The table is not valid.');
}

function reading(c: Context) {
  return {table: tableOf(c), create: false};
}

function writing(c: Context) {
  return {table: tableOf(c), create: readOptionalFlag(c.req.query(), 'create_db_if_missing') ?? false};
}

function changeOf(c: Context, behind = '') {
  const history = readOptionalFlag(c.req.query(), 'history') ?? true;
  return {key: keyOf(c, behind), path: pathOf(c), condition: conditionOf(c), history};
}

function conditionOf(c: Context): KeyCondition {
  const [ifMatch, ifNoneMatch] = [c.req.header('if-match'), c.req.header('if-none-match')];
  const tag = ifMatch === undefined ? null : /^"([0-9a-f]{32})"$/.exec(ifMatch)?.[1];
  if (tag === undefined) throw new AppError('INVALID_QUERY', 'If-Match names the tag that ETag showed.');
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*')
    throw new AppError('INVALID_QUERY', 'If-None-Match is * where a key is written: only a new one.');
  return {ifValue: c.req.query('if_match') ?? null, ifTag: tag, ifAbsent: ifNoneMatch === '*'};
}

/** Null where it is absent. Throws AppError INVALID_QUERY. */
function readNumber(c: Context, name: string): number | null {
  const text = c.req.query(name);
  if (text === undefined) return null;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new AppError(
    'INVALID_QUERY',
    name === 'delta'
      ? 'delta must be a positive integer'
      : `The query parameter \`${name}\` is a whole number.`,
  );
}

function refuseTimeTravel(c: Context): void {
  if (c.req.query('at_timestamp') === undefined) return;
  throw new AppError('NOT_IMPLEMENTED', 'Former values are read from /kv/{key}/history here.');
}
