import * as z from 'zod';
import {pauseSchema} from './cron-run-api.ts';
import {maxRetries, overlaps} from './crontab/options.ts';
import {crontabWarningSchema} from './crontab/warning.ts';
import {runSchema} from './run.ts';

/** How a job runs, as it is given. null is the same as absent. */
const entryOptionsSchema = z.object({
  timezone: z.string().max(64).nullish().meta({description: "IANA name; `''` for the container's."}),
  overlap: z.enum(overlaps).nullish(),
  timeout_seconds: z
    .int()
    .min(0)
    .max(30 * 86_400)
    .nullish()
    .meta({description: '0 for no limit.'}),
  retries: z.int().min(0).max(maxRetries).nullish(),
  catchup: z.string().nullish().meta({example: '1h', description: '`none`, or a time of at most 30 days.'}),
  jitter: z
    .string()
    .nullish()
    .meta({example: '5m', description: 'A time of at most 24 hours; `0` for none.'}),
});
export type EntryOptions = z.infer<typeof entryOptionsSchema>;

const entryInputSchema = entryOptionsSchema.extend({
  schedule: z.string().nullish().meta({example: '*/30 * * * *', description: 'Needed without `run_at`.'}),
  run_at: z.string().nullish().meta({
    example: '2026-12-24T18:00:00Z',
    description:
      'RFC 3339, in the future: runs once, at that instant or as soon after it as it may, and then is gone.',
  }),
  name: z.string().nullish(),
  comment: z.string().nullish(),
  enabled: z.boolean().nullish().meta({description: 'True unless given.'}),
  expires_at: z
    .string()
    .nullish()
    .meta({example: '2026-05-22T09:00:00Z', description: 'RFC 3339, in the future.'}),
});

export const createEntrySchema = entryInputSchema
  .extend({command: z.string().meta({example: '/srv/jobs/sync-stripe.py'})})
  .refine(({schedule, run_at}) => typeof schedule === 'string' || typeof run_at === 'string', {
    path: ['schedule'],
    message: 'Give a schedule, or run_at for an entry that runs once.',
  })
  .meta({id: 'CreateEntry'});
export type CreateEntry = z.infer<typeof createEntrySchema>;

/** What is absent or null stays as it is. */
export const updateEntrySchema = entryInputSchema
  .extend({
    command: z.string().nullish(),
    clear_expiration: z.boolean().nullish(),
  })
  .meta({id: 'UpdateEntry', description: '`clear_expiration` wins over `expires_at`.'});
export type UpdateEntry = z.infer<typeof updateEntrySchema>;

export const rawCrontabSchema = z.object({crontab: z.string()}).meta({id: 'RawCrontab'});

const times = {
  next_run: z.string().nullable().meta({description: 'RFC 3339 UTC; null when it never comes.'}),
  last_run: runSchema.nullable(),
  paused: pauseSchema.nullable().meta({description: 'null while the entry is not paused.'}),
  held: z.boolean().meta({
    description: 'True for a line of a preview that does not run by itself, such as one that live has too.',
  }),
};

/** How the job runs, as told by its metadata or by the `# branchtab:` comment above its line. */
const howItRuns = {
  timezone: z.string().meta({description: 'The IANA zone in which the schedule counts.'}),
  overlap: z.enum(overlaps).meta({description: 'What happens where the run before still goes on.'}),
  timeout_seconds: z.number().nullable(),
  retries: z.int().meta({description: 'Further tries of a run that failed or timed out.'}),
  catchup: z.string().meta({example: '1h', description: '`none`, or how late a missed run is made up for.'}),
  jitter: z.string().meta({example: '5m', description: 'Upper bound of the delay; `0` for none.'}),
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
  run_at: z
    .string()
    .nullable()
    .meta({description: 'The one instant of an entry that runs once; null for a repeating one.'}),
  created_at: z.string(),
  updated_at: z.string(),
  ...howItRuns,
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
  ...z.object({...howItRuns, ...times}).partial().shape,
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

const entryNameSchema = z.object({id: z.string(), name: z.string().nullable()});

const describedJobSchema = z.object({
  line: z.int().meta({description: 'Of the rule, counted from 1.'}),
  ...entryNameSchema.shape,
  schedule: z.string(),
  schedule_human: z.string(),
  timezone: z.string().meta({description: 'The IANA zone in which the schedule counts.'}),
  next: z.array(z.string()).meta({description: 'Up to three next runs, RFC 3339 UTC.'}),
  warnings: z.array(crontabWarningSchema),
});

/** What a PUT of a crontab has done, or would do. */
export const crontabReportSchema = z.object({
  jobs: z.array(describedJobSchema),
  warnings: z
    .array(crontabWarningSchema)
    .meta({description: 'Of the text as a whole; those of one job stand with the job.'}),
  added: z.array(entryNameSchema),
  kept: z
    .array(entryNameSchema.extend({changed: z.boolean()}))
    .meta({description: 'They keep id, history and running process; `changed`: not the same job any more.'}),
  removed: z.array(entryNameSchema),
  unchanged: z.boolean().meta({description: 'The text is what it was, byte for byte.'}),
  active_at: z
    .string()
    .nullable()
    .meta({description: 'Since when the schedule of this text has been in force; null after a dry run.'}),
});
export type CrontabReport = z.infer<typeof crontabReportSchema>;

/** With `Prefer: return=minimal` the report is left out. */
export const reportedCrontabSchema = replacedCrontabSchema
  .extend(crontabReportSchema.shape)
  .meta({id: 'ReportedCrontab'});

export const nextRunsSchema = z
  .object({
    entry_id: z.string(),
    timezone: z.string(),
    next: z.array(z.string()).meta({description: 'RFC 3339 UTC; empty where it never comes.'}),
  })
  .meta({id: 'NextRuns'});
export type NextRuns = z.infer<typeof nextRunsSchema>;

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
