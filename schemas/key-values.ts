import * as z from 'zod';

/** Shapes of the key-value store of a database, below `/api/v1/sqlite/kv`. Times are Unix seconds. */

export const keySchema = z
  .string()
  .min(1)
  .refine(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here.
    (key) => Buffer.byteLength(key) <= 512 && !/[\u0000-\u001f\u007f]/.test(key),
    'A key has 1 to 512 bytes and no control character.',
  );

/** The table that holds the keys; a second one, `<table>_history`, holds their history. */
export const keyTableSchema = z
  .string()
  .regex(
    /^(?!sqlite_)[A-Za-z_][A-Za-z0-9_]{0,62}$/i,
    'A table has up to 63 letters, digits and underscores, and does not begin with sqlite_.',
  );

/** Keys of nested objects, or indexes of arrays, with dots between; `$.` or a dot may stand before it. */
export const valuePathSchema = z
  .string()
  .max(1000)
  .transform((path) => path.replace(/^\$?\.?/, ''))
  .pipe(
    z
      .string()
      .refine(
        (path) => path !== '' && path.split('.').every((name) => name !== ''),
        'For example prefs.theme.',
      )
      .transform((path) => path.split('.'))
      .refine((names) => names.length <= 32, 'A path has at most 32 names.'),
  );

export const storedValueSchema = z
  .object({
    success: z.literal(true),
    key: z.string(),
    created: z.boolean(),
    updated_at: z.int(),
    expire_at: z.int().nullable(),
  })
  .meta({id: 'StoredValue'});
export type StoredValue = z.infer<typeof storedValueSchema>;

export const deletedValueSchema = z
  .object({success: z.literal(true), key: z.string(), deleted: z.literal(true)})
  .meta({id: 'DeletedValue'});

export const countedValueSchema = z
  .object({success: z.literal(true), key: z.string(), value: z.int()})
  .meta({id: 'CountedValue'});
export type CountedValue = z.infer<typeof countedValueSchema>;

export const pushedValueSchema = z
  .object({success: z.literal(true), key: z.string(), newLength: z.int()})
  .meta({id: 'PushedValue'});
export type PushedValue = z.infer<typeof pushedValueSchema>;

export const poppedValueSchema = z
  .object({
    success: z.literal(true),
    key: z.string(),
    value: z.unknown().meta({description: 'Any JSON.'}),
    newLength: z.int(),
  })
  .meta({id: 'PoppedValue'});
export type PoppedValue = z.infer<typeof poppedValueSchema>;

export const keyListSchema = z
  .object({
    keys: z.array(z.string()),
    count: z.int(),
    limit: z.int(),
    offset: z.int(),
    prefix: z.string(),
  })
  .meta({id: 'KeyList'});
export type KeyList = z.infer<typeof keyListSchema>;

export const keyOperations = ['set', 'delete', 'incr', 'decr', 'push', 'pop'] as const;
export type KeyOperation = (typeof keyOperations)[number];

export const keyHistorySchema = z
  .object({
    key: z.string(),
    count: z.int(),
    operations: z
      .array(
        z.object({
          op_number: z.int().meta({description: 'From 1, for each key.'}),
          timestamp: z.int(),
          operation: z.object({
            op: z.enum(keyOperations),
            new_value: z.unknown().optional().meta({description: 'The value after it, where that is JSON.'}),
            raw_new_value: z.base64().optional().meta({description: 'The value after it, where it is not.'}),
          }),
        }),
      )
      .meta({description: 'Newest first.'}),
  })
  .meta({id: 'KeyHistory'});
export type KeyHistory = z.infer<typeof keyHistorySchema>;

export const createdDatabaseSchema = z
  .object({success: z.literal(true), path: z.string(), created: z.boolean()})
  .meta({id: 'CreatedDatabase'});
export type CreatedDatabase = z.infer<typeof createdDatabaseSchema>;
