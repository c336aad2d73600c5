import * as z from 'zod';
import {
  countedValueSchema,
  createdDatabaseSchema,
  deletedValueSchema,
  keyHistorySchema,
  keyListSchema,
  poppedValueSchema,
  pushedValueSchema,
  storedValueSchema,
} from '../schemas/key-values.ts';
import {
  databaseListSchema,
  deletedFileSchema,
  fileEntrySchema,
  fileFactsSchema,
  fileListSchema,
  queryResultSchema,
  transactionResultSchema,
  transactionSchema,
  writtenFileSchema,
} from '../schemas/storage-api.ts';
import {type Json, openApiDocument, type Parameter, printOpenApi, type Route} from './openapi-document.ts';

const db: Parameter = {
  schema: z.string(),
  description: 'A file of the data directory that ends in .db, .sqlite or .sqlite3.',
  required: true,
};
const sql = ['SQL_FAILED', 'SQL_REFUSED', 'SQL_TIMEOUT'] as const;
const place = ['INVALID_QUERY', 'FILE_NOT_FOUND', 'FILE_NOT_PLAIN'] as const;

const table: Parameter = {
  schema: z.string().default('kv_store'),
  description: 'The table that holds the keys.',
};
const valuePath: Parameter = {
  schema: z.string(),
  description: 'A part of a JSON value: names with dots between, for example prefs.theme.',
};
const change = {
  db,
  table,
  path: valuePath,
  history: {schema: z.boolean().default(true), description: 'Keep the new value in the history.'},
  if_match: {schema: z.string(), description: 'Only where this is the present value, as GET shows it.'},
} as const;
const create_db_if_missing: Parameter = {
  schema: z.boolean(),
  description: 'Make the database where there is none.',
};
const conditions = {
  'If-Match': {schema: z.string(), description: 'Only where this is the tag of the value.'},
  'If-None-Match': {schema: z.literal('*'), description: 'Only where there is no such key.'},
} as const;
const keyErrors = ['INVALID_QUERY', 'DATABASE_NOT_FOUND', 'FILE_NOT_PLAIN', 'SQL_FAILED'] as const;
const changeErrors = [
  ...keyErrors,
  'PRECONDITION_FAILED',
  'VALUE_UNSUITABLE',
  'PAYLOAD_TOO_LARGE',
  'DATABASE_BUSY',
  'STORAGE_FULL',
] as const;
const keyChange = (
  op: string,
  summary: string,
  schema: z.ZodType,
  rest: Pick<Route, 'query' | 'body'> & {errors?: Route['errors']} = {},
): Route => ({
  method: 'post',
  path: `/sqlite/kv/{key}/${op}`,
  summary,
  query: {...change, ...rest.query},
  headers: conditions,
  ...(rest.body === undefined ? {} : {body: rest.body}),
  answer: {schema},
  errors: [...changeErrors, ...(rest.errors ?? [])],
});
const delta: Parameter = {schema: z.int().min(1).default(1), description: 'By how much.'};

/** The routes of the data directory, below `/api/v1`; a test compares the table with what is served. */
export const storageRouteTable: readonly Route[] = [
  {
    method: 'get',
    path: '/sqlite/list',
    summary: 'The databases',
    answer: {schema: databaseListSchema},
    errors: [],
  },
  {
    method: 'get',
    path: '/sqlite/query',
    summary: 'One statement that only reads; at most 10,000 rows',
    query: {db, sql: {schema: z.string(), description: 'SQL, raw or as base64url.', required: true}},
    answer: {schema: queryResultSchema},
    errors: ['INVALID_QUERY', 'DATABASE_NOT_FOUND', 'FILE_NOT_PLAIN', ...sql],
  },
  {
    method: 'post',
    path: '/sqlite/db',
    summary: 'A transaction: all of it or nothing',
    query: {db, create_db_if_missing},
    body: {schema: transactionSchema},
    answer: {schema: transactionResultSchema},
    errors: [
      'INVALID_JSON',
      'INVALID_BODY',
      'PAYLOAD_TOO_LARGE',
      'INVALID_QUERY',
      'DATABASE_NOT_FOUND',
      'DATABASE_BUSY',
      'FILE_NOT_PLAIN',
      'STORAGE_FULL',
      ...sql,
    ],
  },
  {
    method: 'post',
    path: '/sqlite/db/create',
    summary: 'An empty database; one that is there stays as it is',
    query: {
      path: {...db, description: 'The new file: it ends in .db, .sqlite or .sqlite3.'},
      init_kv: {schema: z.boolean(), description: 'With the tables of a key-value store.'},
      kv_table: {schema: z.string(), description: 'The table of that store; kv_store unless given.'},
    },
    answer: {status: 201, schema: createdDatabaseSchema},
    errors: ['INVALID_QUERY', 'FILE_NOT_PLAIN', 'SQL_FAILED', 'STORAGE_FULL'],
  },
  {
    method: 'get',
    path: '/sqlite/kv',
    summary: 'The keys of a store, in order',
    query: {
      db,
      table,
      prefix: {schema: z.string(), description: 'What they begin with.'},
      limit: {schema: z.int().max(1000).default(100), description: 'How many.'},
      offset: {schema: z.int().default(0), description: 'How many to leave out before.'},
    },
    answer: {schema: keyListSchema},
    errors: [...keyErrors, 'NOT_IMPLEMENTED'],
  },
  {
    method: 'get',
    path: '/sqlite/kv/{key}',
    summary: 'A value as it was stored; ETag, X-Created-At, X-Updated-At and X-Expire-At tell more',
    query: {db, table, path: valuePath},
    headers: {'If-None-Match': {schema: z.string(), description: 'A tag; 304 where it still holds.'}},
    answer: {types: ['application/json', 'text/plain', 'application/octet-stream']},
    errors: [...keyErrors, 'KEY_NOT_FOUND', 'VALUE_UNSUITABLE', 'NOT_IMPLEMENTED'],
  },
  {
    method: 'put',
    path: '/sqlite/kv/{key}',
    summary: 'Store a value: the body, at most 1 MiB; 201 where the key is new',
    query: {
      ...change,
      ttl: {schema: z.int().min(1), description: 'Seconds until it expires; without it, never.'},
      create_db_if_missing,
    },
    headers: conditions,
    answer: {schema: storedValueSchema},
    errors: changeErrors,
  },
  {
    method: 'delete',
    path: '/sqlite/kv/{key}',
    summary: 'Delete a key; its history stays',
    query: {db, table, history: change.history, if_match: change.if_match},
    headers: conditions,
    answer: {schema: deletedValueSchema},
    errors: [...changeErrors, 'KEY_NOT_FOUND', 'NOT_IMPLEMENTED'],
  },
  {
    method: 'get',
    path: '/sqlite/kv/{key}/history',
    summary: 'The last changes of a key, at most 100; those of an expired key go with it',
    query: {db, table, limit: {schema: z.int().max(1000).default(50), description: 'How many.'}},
    answer: {schema: keyHistorySchema},
    errors: [...keyErrors, 'KEY_NOT_FOUND'],
  },
  keyChange('incr', 'Add to a number; a missing one is 0', countedValueSchema, {
    query: {delta, create_db_if_missing},
  }),
  keyChange('decr', 'Subtract from a number; a missing one is 0', countedValueSchema, {
    query: {delta, create_db_if_missing},
  }),
  keyChange('push', 'Append the body to an array; a missing one is empty', pushedValueSchema, {
    query: {create_db_if_missing},
    body: {schema: z.unknown().meta({id: 'PushedElement', description: 'Any JSON.'})},
    errors: ['INVALID_JSON'],
  }),
  keyChange('pop', 'Take the last element of an array', poppedValueSchema, {errors: ['KEY_NOT_FOUND']}),
  {
    method: 'get',
    path: '/sqlite/download',
    summary: 'A copy of a database as of one moment, also while others write',
    query: {db},
    answer: {types: ['application/vnd.sqlite3']},
    errors: ['INVALID_QUERY', 'DATABASE_NOT_FOUND', 'FILE_NOT_PLAIN', 'SQL_FAILED', 'SQL_TIMEOUT'],
  },
  {
    method: 'get',
    path: '/sqlite/openapi.json',
    summary: 'This document',
    answer: {},
    errors: [],
  },
  {
    method: 'get',
    path: '/sqlite/openapi.yaml',
    summary: 'This document as YAML',
    answer: {types: ['application/yaml']},
    errors: [],
  },
  {
    method: 'get',
    path: '/files/{path}',
    summary: 'A file, or a range of it; a directory as a list',
    query: {
      list: {schema: z.boolean(), description: 'Ask for a list; a file is then an error.'},
      stat: {schema: z.boolean(), description: 'Facts about a file or directory instead, as `FileFacts`.'},
      lines: {schema: z.string(), description: 'Only these lines, from 1: `10-50`, `10-` or `10`.'},
    },
    headers: {
      Range: {schema: z.string(), description: 'One range of bytes, for example `bytes=0-99`.'},
      'If-None-Match': {schema: z.string(), description: 'A tag; 304 where it still holds.'},
      'If-Range': {schema: z.string(), description: 'A tag; the whole file where it no longer holds.'},
    },
    answer: {schema: fileListSchema, types: ['application/json', 'application/octet-stream']},
    errors: [...place, 'RANGE_NOT_SATISFIABLE', 'NOT_IMPLEMENTED'],
  },
  {
    method: 'put',
    path: '/files/{path}',
    summary: 'Write a file whole or not at all; the body is its bytes, at most 1 GiB',
    query: {append: {schema: z.boolean(), description: 'Add to its end instead, at most 16 MiB.'}},
    answer: {schema: writtenFileSchema},
    errors: ['INVALID_QUERY', 'FILE_NOT_PLAIN', 'PAYLOAD_TOO_LARGE', 'STORAGE_FULL'],
  },
  {
    method: 'patch',
    path: '/files/{path}',
    summary: 'Write a part of a file; the body is its bytes, at most 16 MiB',
    headers: {
      'X-Update-Range': {
        schema: z.string(),
        description: '`append`, or `bytes=100-` to write over byte 100 and on.',
        required: true,
      },
    },
    answer: {schema: writtenFileSchema},
    errors: [...place, 'RANGE_NOT_SATISFIABLE', 'PAYLOAD_TOO_LARGE', 'STORAGE_FULL'],
  },
  {
    method: 'post',
    path: '/files/{path}',
    summary: 'Not offered',
    answer: {},
    errors: ['NOT_IMPLEMENTED'],
  },
  {
    method: 'delete',
    path: '/files/{path}',
    summary: 'Remove a file or a directory',
    query: {recursive: {schema: z.boolean(), description: 'A directory with all that is in it.'}},
    answer: {schema: deletedFileSchema},
    errors: place,
  },
];

/** The OpenAPI 3.1 document of the kits `sqlite` and `files`. */
export function storageOpenApi(): Json {
  const document = openApiDocument({
    title: 'Storage',
    description:
      'The data directory of one container, which its jobs and scripts share. Paths are relative to it; links are not followed.',
    prefix: '/api/v1',
    routes: storageRouteTable,
    furtherSchemas: [fileEntrySchema, fileFactsSchema],
  });
  return {...document, servers: [{url: '/api/v1'}]};
}

/** The same as YAML. */
export function printStorageOpenApi(): string {
  return printOpenApi(storageOpenApi());
}
