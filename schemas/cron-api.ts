import * as z from 'zod';
import {runSchema} from './run.ts';

export const createEntrySchema = z
  .object({
    schedule: z.string().meta({example: '*/30 * * * *'}),
    command: z.string().meta({example: '/srv/jobs/sync-stripe.py'}),
    name: z.string().nullish(),
    comment: z.string().nullish(),
    enabled: z.boolean().nullish().meta({description: 'True unless given.'}),
    expires_at: z
      .string()
      .nullish()
      .meta({example: '2026-05-22T09:00:00Z', description: 'RFC 3339, in the future.'}),
  })
  .meta({id: 'CreateEntry'});
export type CreateEntry = z.infer<typeof createEntrySchema>;

/** What is absent or null stays as it is. */
export const updateEntrySchema = createEntrySchema
  .extend({
    schedule: z.string().nullish(),
    command: z.string().nullish(),
    clear_expiration: z.boolean().nullish(),
  })
  .meta({id: 'UpdateEntry', description: '`clear_expiration` wins over `expires_at`.'});
export type UpdateEntry = z.infer<typeof updateEntrySchema>;

export const rawCrontabSchema = z.object({crontab: z.string()}).meta({id: 'RawCrontab'});

const times = {
  next_run: z.string().nullable().meta({description: 'RFC 3339 UTC; null when it never comes.'}),
  last_run: runSchema.nullable(),
};

const managedFields = {
  id: z.string(),
  name: z.string().nullable(),
  comment: z.string().nullable(),
  schedule: z.string(),
  schedule_human: z.string(),
  command: z.string(),
  enabled: z.boolean(),
  expired: z.boolean(),
  expires_at: z.string().nullable(),
  created_at: z.string(),
  updated_at: z.string(),
  ...times,
};

export const managedEntrySchema = z.object({...managedFields, user: z.string()}).meta({id: 'ManagedEntry'});
export type ManagedEntry = z.infer<typeof managedEntrySchema>;

const managedItemSchema = z.object({type: z.literal('managed'), ...managedFields});

/** A line that people wrote. Only a rule has more than `line`. */
const rawItemSchema = z.object({
  type: z.literal('raw'),
  line: z.string(),
  id: z.string().optional(),
  name: z.string().nullable().optional(),
  schedule: z.string().optional(),
  schedule_human: z.string().optional(),
  command: z.string().optional(),
  next_run: times.next_run.optional(),
  last_run: times.last_run.optional(),
});

export const entryItemSchema = z
  .discriminatedUnion('type', [managedItemSchema, rawItemSchema])
  .meta({id: 'EntryItem'});
export type EntryItem = z.infer<typeof entryItemSchema>;
export type RawItem = z.infer<typeof rawItemSchema>;

const page = {page: z.int(), limit: z.int(), total: z.int()};

export const entryListSchema = z
  .object({user: z.string(), ...page, entries: z.array(entryItemSchema)})
  .meta({id: 'EntryList', description: 'Managed entries and raw lines in file order; `total` counts both.'});
export type EntryList = z.infer<typeof entryListSchema>;

export const crontabSchema = z.object({user: z.string(), crontab: z.string()}).meta({id: 'UserCrontab'});
export type UserCrontab = z.infer<typeof crontabSchema>;

export const replacedCrontabSchema = crontabSchema
  .extend({
    removed_expired: z.int().meta({description: 'Managed entries dropped because they were past expiry.'}),
  })
  .meta({id: 'ReplacedCrontab'});
export type ReplacedCrontab = z.infer<typeof replacedCrontabSchema>;

export const crontabListSchema = z.object({items: z.array(crontabSchema), ...page}).meta({id: 'CrontabList'});
export type CrontabList = z.infer<typeof crontabListSchema>;

export const schedulePreviewSchema = z
  .object({
    schedule: z.string(),
    timezone: z.string(),
    valid: z.boolean(),
    human: z.string().nullable(),
    next: z.array(z.string()).meta({description: 'RFC 3339 UTC; empty where it never comes.'}),
    error: z.object({code: z.string(), message: z.string(), column: z.int()}).nullable(),
  })
  .meta({id: 'SchedulePreview'});
export type SchedulePreview = z.infer<typeof schedulePreviewSchema>;

const variablesSchema = z.record(z.string(), z.string());

export const crontabPreviewSchema = z
  .object({
    valid: z.boolean(),
    env: variablesSchema,
    jobs: z.array(
      z.object({
        line: z.int(),
        schedule: z.string(),
        command: z.string(),
        stdin: z.string().nullable(),
        env: variablesSchema,
      }),
    ),
    issues: z.array(z.object({line: z.int(), column: z.int(), code: z.string(), message: z.string()})),
  })
  .meta({id: 'CrontabPreview'});
export type CrontabPreview = z.infer<typeof crontabPreviewSchema>;

export interface SchedulePreviewRequest {
  readonly schedule: string;
  /** null for the container's. */
  readonly timeZone: string | null;
  /** Epoch ms; null for now. */
  readonly afterMs: number | null;
  readonly count: number;
}

export interface PageRequest {
  /** Counted from 1. */
  readonly page: number;
  /** 1 to 200. */
  readonly limit: number;
}
