import * as z from 'zod';

/** A file below the data directory: relative, no empty, `.` or `..` segment, no control character. */
export const dataPathSchema = z
  .string()
  .min(1)
  .max(4096)
  .refine(
    (path) =>
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here.
      !/[\u0000-\u001f\u007f]/.test(path) &&
      path
        .split('/')
        .every((name) => name !== '' && name !== '.' && name !== '..' && Buffer.byteLength(name) <= 255),
    'Write a path below the data directory, for example reports/april.csv.',
  );

const sqlText = z
  .string()
  .min(1)
  .max(1024 * 1024)
  .refine((sql) => !sql.includes('\0'), 'SQL holds no NUL.');

/** What SQLite stores; bytes as base64. Integers beyond 2^53 are answered as text. */
const sqlValue = z.union([
  z.null(),
  z.boolean(),
  z.number(),
  z.string(),
  z.strictObject({base64: z.base64()}),
]);
export type SqlValue = z.infer<typeof sqlValue>;
const sqlValues = z.union([z.array(sqlValue).max(32_766), z.record(z.string(), sqlValue)]);
export type SqlValues = z.infer<typeof sqlValues>;

export const transactionSchema = z
  .object({
    transaction: z
      .array(
        z.union([
          z.strictObject({query: sqlText, values: sqlValues.optional()}),
          z
            .strictObject({
              statement: sqlText,
              values: sqlValues.optional(),
              valuesBatch: z.array(sqlValues).max(100_000).optional(),
            })
            .refine(({values, valuesBatch}) => values === undefined || valuesBatch === undefined, {
              message: 'Send either values or valuesBatch.',
            }),
        ]),
      )
      .min(1)
      .max(1000),
  })
  .meta({id: 'SqlTransaction'});
export type SqlTransaction = z.infer<typeof transactionSchema>;

const rows = {
  resultHeaders: z.array(z.string()),
  resultSet: z.array(z.record(z.string(), sqlValue)),
  truncated: z.boolean().meta({description: 'There are more rows than 10,000, or more than 8 MiB.'}),
};
export const queryResultSchema = z.object({...rows, rowCount: z.int()}).meta({id: 'SqlQueryResult'});
export type QueryResult = z.infer<typeof queryResultSchema>;

export const transactionResultSchema = z
  .object({
    results: z.array(
      z.union([
        z.object({success: z.literal(true), ...rows}),
        z.object({success: z.literal(true), rowsUpdated: z.int()}),
        z.object({success: z.literal(true), rowsUpdatedBatch: z.array(z.int())}),
      ]),
    ),
  })
  .meta({id: 'SqlTransactionResult'});
export type TransactionResult = z.infer<typeof transactionResultSchema>;

export const databaseListSchema = z
  .object({
    count: z.int(),
    databases: z.array(z.object({name: z.string(), size: z.int(), modified: z.string()})),
  })
  .meta({id: 'DatabaseList'});
export type DatabaseList = z.infer<typeof databaseListSchema>;

export const fileEntrySchema = z
  .object({
    name: z.string(),
    path: z.string(),
    type: z.enum(['file', 'directory', 'other']),
    size: z.int(),
    modified: z.string(),
  })
  .meta({id: 'FileEntry'});
export type FileEntry = z.infer<typeof fileEntrySchema>;

export const fileFactsSchema = fileEntrySchema
  .extend({
    type: z.enum(['file', 'directory']),
    permissions: z.string().meta({description: 'Octal.', example: '644'}),
    etag: z.string().nullable().meta({description: 'Of a file.'}),
  })
  .meta({id: 'FileFacts'});
export type FileFacts = z.infer<typeof fileFactsSchema>;

export const fileListSchema = z
  .object({
    path: z.string(),
    count: z.int(),
    truncated: z.boolean(),
    entries: z.array(fileEntrySchema),
  })
  .meta({id: 'FileList'});
export type FileList = z.infer<typeof fileListSchema>;

export const writtenFileSchema = z
  .object({path: z.string(), size: z.int(), created: z.boolean()})
  .meta({id: 'WrittenFile'});
export type WrittenFile = z.infer<typeof writtenFileSchema>;

export const deletedFileSchema = z
  .object({path: z.string(), deleted: z.literal(true)})
  .meta({id: 'DeletedFile'});
