import {randomBytes} from 'node:crypto';
import {join, relative} from 'node:path';
import {AppError, type ErrorCode} from '../../schemas/errors.ts';
import type {CreatedDatabase} from '../../schemas/key-values.ts';
import type {
  DatabaseList,
  QueryResult,
  SqlTransaction,
  TransactionResult,
} from '../../schemas/storage-api.ts';
import type {Clock} from '../platform/clock.ts';
import {kindOf} from '../platform/directories.ts';
import {filesBelow} from '../platform/directory-tree.ts';
import {readBytes} from '../platform/file-streams.ts';
import {mkdir, rm, stat} from '../platform/files.ts';
import {
  createHelperProcess,
  HelperError,
  HelperLost,
  type HelperProcess,
} from '../platform/helper-process.ts';
import {findPlace} from './data-paths.ts';
import type {KeyAnswers, KeyRefused, KeyRequest} from './key-values.ts';
import type {SqliteRequest} from './sqlite-process.ts';

/** The SQLite files of the data directory, the same that jobs and scripts open. */
export interface Databases {
  list(): Promise<DatabaseList>;
  /** One statement that only reads. Throws DATABASE_NOT_FOUND, SQL_FAILED, SQL_REFUSED, SQL_TIMEOUT. */
  query(name: string, sql: string): Promise<QueryResult>;
  /** All of it or nothing. Throws the same, and DATABASE_BUSY; `details` of SQL_FAILED names the item. */
  transaction(
    name: string,
    transaction: SqlTransaction,
    options: {create: boolean},
  ): Promise<TransactionResult>;
  /** An empty database, with the tables of a key-value store where `table` is named. One that is there stays as it is. */
  create(name: string, options: {table: string | null}): Promise<CreatedDatabase>;
  /**
   * One request to the key-value store that a table is. Throws DATABASE_NOT_FOUND unless `create`, KEY_NOT_FOUND,
   * PRECONDITION_FAILED, VALUE_UNSUITABLE, INVALID_JSON, PAYLOAD_TOO_LARGE, and what a transaction throws.
   */
  keys<R extends KeyRequest>(
    name: string,
    request: R,
    options: {table: string; create: boolean},
  ): Promise<KeyAnswers[R['op']]>;
  /** A copy as of one moment, also while others write. */
  copy(name: string): Promise<{size: number; body: ReadableStream<Uint8Array>}>;
  stop(): void;
}

const withinMs = 30_000;
/** So many requests run at the same time; one that takes long holds up a share of the others. */
const helperCount = 4;
const databaseName = /\.(?:db|sqlite|sqlite3)$/;
const mostListed = 1000;

/** What `KeyRefused` says, by its code. */
const keyErrors: ReadonlyMap<string, ErrorCode> = new Map<KeyRefused['code'], ErrorCode>([
  ['KEY_NOT_FOUND', 'KEY_NOT_FOUND'],
  ['KEY_CHANGED', 'PRECONDITION_FAILED'],
  ['KEY_UNSUITABLE', 'VALUE_UNSUITABLE'],
  ['KEY_TOO_LARGE', 'PAYLOAD_TOO_LARGE'],
  ['KEY_NO_JSON', 'INVALID_JSON'],
]);

export function createDatabases({
  root,
  directory,
  command,
  clock,
}: {
  /** The data directory. */
  root: string;
  /** For copies that are on their way; on the same machine, out of reach of the files kit. */
  directory: string;
  command: readonly string[];
  clock: Clock;
}): Databases {
  const helpers = Array.from({length: helperCount}, () => ({
    process: createHelperProcess({command: [...command, 'storage-sqlite'], directory, clock, withinMs}),
    waiting: 0,
  }));

  let cleaned: Promise<void> | null = null;
  /** What lies there is left from a copy that a former runtime did not finish. */
  async function clean(): Promise<void> {
    await rm(directory, {recursive: true, force: true});
    await mkdir(directory, {recursive: true, mode: 0o700});
  }

  async function ask(request: SqliteRequest): Promise<unknown> {
    cleaned ??= clean();
    await cleaned;
    const helper = helpers.reduce((least, one) => (one.waiting < least.waiting ? one : least));
    helper.waiting += 1;
    try {
      return await asked(helper.process, request);
    } finally {
      helper.waiting -= 1;
    }
  }

  async function fileOf(name: string, {mayCreate}: {mayCreate: boolean}): Promise<string> {
    if (!databaseName.test(name)) {
      throw new AppError(
        'INVALID_QUERY',
        'The query parameter `db` names a file of the data directory that ends in .db, .sqlite or .sqlite3.',
      );
    }
    const {path, kind} = await findPlace(root, name);
    if (kind === 'file' || (kind === 'absent' && mayCreate)) return path;
    throw new AppError(
      'DATABASE_NOT_FOUND',
      `There is no database ${name}. A transaction with create_db_if_missing=true makes it.`,
    );
  }

  return {
    async list() {
      const paths = (await filesBelow(root)).filter((path) => databaseName.test(path)).sort();
      const databases = await Promise.all(
        paths.slice(0, mostListed).map(async (path) => {
          if ((await kindOf(path)) !== 'file') return null;
          const {size, mtime} = await stat(path);
          return {name: relative(root, path), size, modified: mtime.toISOString()};
        }),
      );
      const found = databases.filter((database) => database !== null);
      return {count: found.length, databases: found};
    },
    async query(name, sql) {
      const file = await fileOf(name, {mayCreate: false});
      return (await ask({kind: 'query', file, sql})) as QueryResult;
    },
    async transaction(name, {transaction}, {create}) {
      const file = await fileOf(name, {mayCreate: create});
      if (create) await mkdir(join(file, '..'), {recursive: true});
      const request: SqliteRequest = {kind: 'transaction', file, create, items: transaction};
      return (await ask(request)) as TransactionResult;
    },
    async create(name, {table}) {
      const {kind} = await findPlace(root, name);
      const file = await fileOf(name, {mayCreate: true});
      await mkdir(join(file, '..'), {recursive: true});
      await ask({kind: 'create', file, table});
      return {success: true, path: name, created: kind === 'absent'};
    },
    async keys<R extends KeyRequest>(
      name: string,
      request: R,
      {table, create}: {table: string; create: boolean},
    ) {
      const file = await fileOf(name, {mayCreate: create});
      if (create) await mkdir(join(file, '..'), {recursive: true});
      // `answerKeyRequest` answers each request with what `KeyAnswers` says.
      return (await ask({
        kind: 'keys',
        file,
        create,
        table,
        nowMs: clock.now(),
        request,
      })) as KeyAnswers[R['op']];
    },
    async copy(name) {
      const file = await fileOf(name, {mayCreate: false});
      const target = join(directory, `copy-${randomBytes(8).toString('hex')}.tmp`);
      try {
        await ask({kind: 'copy', file, target});
      } catch (error) {
        await rm(target, {force: true});
        throw error;
      }
      const {size} = await stat(target);
      return {size, body: thenRemoved(readBytes(target, {first: 0, last: size - 1}), target)};
    },
    stop() {
      for (const helper of helpers) helper.process.stop();
    },
  };
}

async function asked(helper: HelperProcess, request: SqliteRequest): Promise<unknown> {
  try {
    return await helper.ask(request);
  } catch (error) {
    throw appErrorOf(error);
  }
}

function appErrorOf(error: unknown): unknown {
  if (error instanceof HelperLost) {
    return error.timedOut
      ? new AppError('SQL_TIMEOUT', `SQLite was not done after ${withinMs / 1000} s; nothing was changed.`, {
          cause: error,
        })
      : new AppError('BACKEND_ERROR', 'SQLite ended over this request; nothing was changed.', {cause: error});
  }
  if (!(error instanceof HelperError)) return error;
  const {message, code} = error;
  const ofKey = code === null ? undefined : keyErrors.get(code);
  if (ofKey !== undefined) return new AppError(ofKey, message, {cause: error});
  if (code === 'STATEMENT_REFUSED') return new AppError('SQL_REFUSED', message, {cause: error});
  if (code === 'ITEM_REFUSED' || code === 'ITEM_FAILED') {
    const details: {reqIdx: number; error: string} = JSON.parse(message);
    return new AppError(
      code === 'ITEM_REFUSED' ? 'SQL_REFUSED' : 'SQL_FAILED',
      `Item ${details.reqIdx}: ${details.error}`,
      {details, cause: error},
    );
  }
  if (code?.startsWith('SQLITE_BUSY') === true)
    return new AppError('DATABASE_BUSY', 'Another writer holds the database. Try again in a moment.', {
      cause: error,
    });
  if (code === 'SQLITE_FULL') return new AppError('STORAGE_FULL', 'The disk is full; nothing was changed.');
  return new AppError('SQL_FAILED', message, {cause: error});
}

/** The same bytes; the file goes when they are read or nobody wants them any more. */
function thenRemoved(body: ReadableStream<Uint8Array>, path: string): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const remove = () => rm(path, {force: true});
  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        const {done, value} = await reader.read();
        if (!done) {
          stream.enqueue(value);
          return;
        }
        await remove();
        stream.close();
      },
      async cancel(reason) {
        await reader.cancel(reason);
        await remove();
      },
    },
    {highWaterMark: 0},
  );
}
