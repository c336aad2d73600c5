import * as z from 'zod';
import {
  databaseListSchema,
  deletedFileSchema,
  fileEntrySchema,
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
    query: {
      db,
      create_db_if_missing: {schema: z.boolean(), description: 'Make the database where there is none.'},
    },
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
    query: {list: {schema: z.boolean(), description: 'Ask for a list; a file is then an error.'}},
    headers: {
      Range: {schema: z.string(), description: 'One range of bytes, for example `bytes=0-99`.'},
      'If-None-Match': {schema: z.string(), description: 'A tag; 304 where it still holds.'},
      'If-Range': {schema: z.string(), description: 'A tag; the whole file where it no longer holds.'},
    },
    answer: {schema: fileListSchema, types: ['application/json', 'application/octet-stream']},
    errors: [...place, 'RANGE_NOT_SATISFIABLE'],
  },
  {
    method: 'put',
    path: '/files/{path}',
    summary: 'Write a file whole or not at all; the body is its bytes, at most 1 GiB',
    answer: {schema: writtenFileSchema},
    errors: ['INVALID_QUERY', 'FILE_NOT_PLAIN', 'PAYLOAD_TOO_LARGE', 'STORAGE_FULL'],
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
    furtherSchemas: [fileEntrySchema],
  });
  return {...document, servers: [{url: '/api/v1'}]};
}

/** The same as YAML. */
export function printStorageOpenApi(): string {
  return printOpenApi(storageOpenApi());
}
