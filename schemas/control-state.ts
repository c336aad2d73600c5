import * as z from 'zod';
import {scheduleStateSchema} from './control.ts';
import {createLimitUseSchema} from './limits.ts';

export const nextRunSchema = z.object({
  entry_id: z.string(),
  entry_name: z.string().nullable(),
  at: z.string(),
});

export const lastRunSchema = z.object({
  id: z.string(),
  entry_id: z.string(),
  entry_name: z.string().nullable(),
  status: z.string(),
  exit_code: z.int().nullable(),
  scheduled_at: z.string(),
  finished_at: z.string().nullable(),
});
export type LastRun = z.infer<typeof lastRunSchema>;

/** All that the controller needs to know of a container, in one request. */
export const controlStateSchema = z.object({
  api_version: z.int(),
  runtime_version: z.string(),
  schedule: z.object({state: scheduleStateSchema, reason: z.string().nullable()}),
  lease: z
    .object({
      duration_ms: z.int(),
      expires_at: z.string().meta({description: 'As the wall clock was when it was renewed.'}),
      expired: z.boolean(),
    })
    .nullable()
    .optional()
    .meta({description: 'Without a renewal no job starts after it. Older runtimes know no leases.'}),
  environment: z.object({
    revision: z.string().nullable(),
    digest: z.string().meta({
      description: 'SHA-256 over variables and settings; never the values.',
    }),
  }),
  workspace: z.object({
    tree: z.string().nullable(),
    kept: z
      .array(z.object({path: z.string(), as: z.string()}))
      .optional()
      .meta({description: 'Files that jobs had changed where a commit changed them too.'}),
  }),
  deployment: z.object({digest: z.string().nullable(), commit: z.string().nullable().optional()}),
  crontabs: z.record(z.string(), z.object({raw_etag: z.string(), jobs: z.int(), managed: z.int()})),
  running_jobs: z.int(),
  limits: z.array(createLimitUseSchema()).default([]),
  next_run: nextRunSchema.nullable(),
  last_run: lastRunSchema.nullable(),
});
export type ControlState = z.infer<typeof controlStateSchema>;

export const controlEventSchema = z.discriminatedUnion('type', [
  z.object({type: z.literal('crontab_changed'), user: z.string(), raw_etag: z.string()}),
  z.object({type: z.literal('deployment_changed'), digest: z.string().nullable()}),
  z.object({type: z.literal('run_started'), run_id: z.string(), entry_id: z.string()}),
  z.object({type: z.literal('run_finished'), run_id: z.string(), entry_id: z.string(), status: z.string()}),
  z.object({type: z.literal('schedule_changed'), state: scheduleStateSchema}),
]);
export type ControlEvent = z.infer<typeof controlEventSchema>;
