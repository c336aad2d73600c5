import {type Context, Hono} from 'hono';
import type {Databases} from '../runtime/storage/databases.ts';
import {AppError} from '../schemas/errors.ts';
import {transactionSchema} from '../schemas/storage-api.ts';
import {readOptionalFlag} from './exec-query.ts';
import {readJsonBody} from './json-body.ts';
import {keyRoutes, readKeyTable} from './key-routes.ts';

const maxTransactionBytes = 64 * 1024 * 1024;
const maxSqlCharacters = 1024 * 1024;

/** The databases of the data directory, with paths below `/api/v1/sqlite`. */
export function sqliteRoutes(databases: Databases): Hono {
  const app = new Hono();

  app.get('/list', async (c) => c.json(await databases.list()));

  app.get('/query', async (c) => c.json(await databases.query(nameOf(c), sqlOf(c))));

  app.post('/db', async (c) => {
    const transaction = transactionSchema.parse(await readJsonBody(c.req.raw, maxTransactionBytes));
    const create = readOptionalFlag(c.req.query(), 'create_db_if_missing') ?? false;
    return c.json(await databases.transaction(nameOf(c), transaction, {create}));
  });

  app.post('/db/create', async (c) => {
    const query = c.req.query();
    const named = readKeyTable(query.kv_table);
    const table = (readOptionalFlag(query, 'init_kv') ?? named !== null) ? (named ?? 'kv_store') : null;
    const created = await databases.create(databaseName(query.path, 'path'), {table});
    return c.json(created, created.created ? 201 : 200);
  });

  app.route('/kv', keyRoutes(databases, nameOf));

  app.get('/download', async (c) => {
    const name = nameOf(c);
    const {size, body} = await databases.copy(name);
    const fileName = encodeURIComponent(name.slice(name.lastIndexOf('/') + 1));
    return new Response(body, {
      headers: {
        'content-type': 'application/vnd.sqlite3',
        'content-length': String(size),
        'content-disposition': `attachment; filename*=UTF-8''${fileName}`,
      },
    });
  });

  app.get('/openapi.json', async (c) => {
    const {storageOpenApi} = await import('./storage-openapi.ts');
    return c.json(storageOpenApi());
  });

  app.get('/openapi.yaml', async (c) => {
    const {printStorageOpenApi} = await import('./storage-openapi.ts');
    return c.body(printStorageOpenApi(), 200, {'Content-Type': 'application/yaml; charset=utf-8'});
  });

  return app;
}

function nameOf(c: Context): string {
  return databaseName(c.req.query('db'), 'db');
}

/** The directory of databases of the public API is the data directory here. Throws AppError INVALID_QUERY. */
function databaseName(text: string | undefined, parameter: string): string {
  const name = text?.replace(/^(?:\.\/|\/hoody\/databases\/)/, '') ?? '';
  if (name !== '') return name;
  throw new AppError(
    'INVALID_QUERY',
    `The query parameter \`${parameter}\` names a database, for example ${parameter}=events.db.`,
  );
}

/** `sql` as it is, or base64url of it: a text without any blank is no query but may be an encoded one. */
function sqlOf(c: Context): string {
  const sql = c.req.query('sql') ?? '';
  const decoded = /^[A-Za-z0-9_-]+={0,2}$/.test(sql) ? Buffer.from(sql, 'base64url').toString('utf8') : sql;
  const text = /^[\s;(/-]*[a-z]{2,}/i.test(decoded) && !decoded.includes('\ufffd') ? decoded : sql;
  if (text !== '' && text.length <= maxSqlCharacters && !text.includes('\0')) return text;
  throw new AppError('INVALID_QUERY', 'The query parameter `sql` holds one statement, raw or as base64url.');
}
