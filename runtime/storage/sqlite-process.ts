import type {SqlTransaction, SqlValue, SqlValues} from '../../schemas/storage-api.ts';
import {answerParent} from '../platform/helper-process.ts';
import type {Database, SQLQueryBindings, Statement} from '../platform/sqlite-file.ts';
import {openReadOnly, openReadWrite, withStatement} from '../platform/sqlite-file.ts';
import {answerKeyRequest, createKeyTables, type KeyRequest} from './key-values.ts';
import {guardStatement} from './statement-guard.ts';

/** What the runtime asks; it has checked the shapes and the path. */
export type SqliteRequest =
  | {readonly kind: 'query'; readonly file: string; readonly sql: string}
  | {
      readonly kind: 'transaction';
      readonly file: string;
      readonly create: boolean;
      readonly items: SqlTransaction['transaction'];
    }
  | {
      readonly kind: 'keys';
      readonly file: string;
      readonly create: boolean;
      readonly table: string;
      readonly nowMs: number;
      readonly request: KeyRequest;
    }
  | {readonly kind: 'create'; readonly file: string; readonly table: string | null}
  | {
      readonly kind: 'copy';
      readonly file: string;
      readonly target: string;
      /** A copy that takes the place of the original goes on with its kind of journal. */
      readonly keepJournal?: boolean;
    };

const maxRows = 10_000;
const maxResultBytes = 8 * 1024 * 1024;

/** Answers SQL until the process that started us ends: SQLite does not wait for anybody, and a query may never end. */
export function sqliteMain(): void {
  answerParent((request) => answer(request as SqliteRequest));
}

function answer(request: SqliteRequest): unknown {
  switch (request.kind) {
    case 'query':
      return withDatabase(openReadOnly(request.file), (database) => {
        guardStatement(database, request.sql);
        const rows = withStatement(database, request.sql, (statement) => readRows(statement, undefined));
        return {...rows, rowCount: rows.resultSet.length};
      });
    case 'transaction':
      return withDatabase(openReadWrite(request.file, {create: request.create}), (database) =>
        runTransaction(database, request.items),
      );
    case 'keys':
      return withDatabase(openForKeys(request), (database) => answerKeyRequest(database, request));
    case 'create':
      return withDatabase(openReadWrite(request.file, {create: true}), (database) => {
        if (request.table !== null) createKeyTables(database, request.table);
        return null;
      });
    case 'copy':
      return withDatabase(openReadOnly(request.file), (database) => {
        withStatement(database, 'VACUUM INTO ?', (statement) => statement.run(request.target));
        if (request.keepJournal === true && hasWriteAheadLog(database))
          withDatabase(openReadWrite(request.target, {create: false}), (copy) =>
            copy.run('PRAGMA journal_mode = WAL'),
          );
        return null;
      });
    default:
      return request satisfies never;
  }
}

function hasWriteAheadLog(database: Database): boolean {
  return withStatement(
    database,
    'PRAGMA journal_mode',
    (statement) => statement.get()?.journal_mode === 'wal',
  );
}

function openForKeys({file, create, request}: Extract<SqliteRequest, {kind: 'keys'}>): Database {
  const reads = request.op === 'get' || request.op === 'list' || request.op === 'history';
  return reads ? openReadOnly(file) : openReadWrite(file, {create});
}

function withDatabase<T>(database: Database, use: (database: Database) => T): T {
  try {
    return use(database);
  } finally {
    database.close();
  }
}

/** An item that fails; the transaction is rolled back. */
class ItemFailed extends Error {
  readonly code: string;

  constructor(index: number, error: unknown) {
    const message = error instanceof Error ? error.message : String(error);
    super(JSON.stringify({reqIdx: index, error: message}));
    this.name = 'ItemFailed';
    const refused = error instanceof Error && 'code' in error && error.code === 'STATEMENT_REFUSED';
    this.code = refused ? 'ITEM_REFUSED' : 'ITEM_FAILED';
  }
}

function runTransaction(database: Database, items: SqlTransaction['transaction']): unknown {
  database.run('BEGIN IMMEDIATE');
  try {
    const results = items.map((item, index) => {
      try {
        return runItem(database, item);
      } catch (error) {
        throw new ItemFailed(index, error);
      }
    });
    database.run('COMMIT');
    return {results};
  } catch (error) {
    if (database.inTransaction) database.run('ROLLBACK');
    throw error;
  }
}

function runItem(database: Database, item: SqlTransaction['transaction'][number]): unknown {
  const sql = 'query' in item ? item.query : item.statement;
  guardStatement(database, sql);
  return withStatement(database, sql, (statement) => {
    if ('query' in item) return {success: true, ...readRows(statement, item.values)};
    const run = (values: SqlValues | undefined) => Number(statement.run(...bindings(values)).changes);
    if (item.valuesBatch !== undefined) return {success: true, rowsUpdatedBatch: item.valuesBatch.map(run)};
    return {success: true, rowsUpdated: run(item.values)};
  });
}

function readRows(
  statement: Statement<Record<string, unknown>, SQLQueryBindings[]>,
  values: SqlValues | undefined,
) {
  const resultSet: Record<string, SqlValue>[] = [];
  let bytes = 0;
  let truncated = false;
  for (const row of statement.iterate(...bindings(values))) {
    const shown = Object.fromEntries(Object.entries(row).map(([name, value]) => [name, jsonValue(value)]));
    bytes += JSON.stringify(shown).length;
    truncated = resultSet.length === maxRows || bytes > maxResultBytes;
    if (truncated) break;
    resultSet.push(shown);
  }
  return {resultHeaders: [...statement.columnNames], resultSet, truncated};
}

function jsonValue(value: unknown): SqlValue {
  if (typeof value === 'bigint')
    return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value))
      ? Number(value)
      : String(value);
  if (value instanceof Uint8Array) return {base64: Buffer.from(value).toString('base64')};
  return typeof value === 'number' || typeof value === 'string' ? value : null;
}

function bindings(values: SqlValues | undefined): SQLQueryBindings[] {
  if (values === undefined) return [];
  if (Array.isArray(values)) return values.map(bound);
  return [Object.fromEntries(Object.entries(values).map(([name, value]) => [name, bound(value)]))];
}

function bound(value: SqlValue): string | number | boolean | null | Uint8Array {
  return typeof value === 'object' && value !== null ? Buffer.from(value.base64, 'base64') : value;
}
