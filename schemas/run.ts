import * as z from 'zod';
import {runStatuses} from './run-status.ts';

export const runStatusSchema = z.enum(runStatuses);

/** A call of a script of the same container, as the run that made it shows it. */
export const runCallSchema = z
  .object({
    url: z.string().meta({description: 'Path and query; a token is masked.'}),
    status: z.int().nullable().meta({description: 'HTTP status; null where no answer went out.'}),
    body: z.string().meta({description: 'The first 4 KiB of the answer.'}),
    execution_id: z.string(),
  })
  .meta({id: 'RunCall'});
export type RunCall = z.infer<typeof runCallSchema>;

/** One run of a job, or one run that did not happen (`skipped`, with its reason). Times are RFC 3339 UTC. */
export const runSchema = z
  .object({
    id: z.string(),
    entry_id: z.string(),
    entry_name: z.string().nullable(),
    user: z.string(),
    schedule: z.string(),
    command: z.string(),
    status: runStatusSchema,
    reason: z.string().nullable().meta({
      description:
        'Why a run was skipped, interrupted, ended or could not start; else why it ran, where that is not its schedule: manual, retry, catchup, dst_gap.',
    }),
    attempt: z
      .int()
      .default(1)
      .meta({description: 'Counted from 1; each try of a run is a record of its own.'}),
    scheduled_at: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    duration_ms: z.number().nullable(),
    lateness_ms: z.number().nullable(),
    exit_code: z.int().nullable(),
    signal: z.string().nullable(),
    stdout: z.string().meta({
      description: 'Head and tail of the output; `truncated` says whether bytes between were dropped.',
    }),
    stderr: z.string(),
    truncated: z.boolean(),
    revision: z.string().nullable().meta({description: 'Commit that was applied when the run started.'}),
    calls: z
      .array(runCallSchema)
      .default([])
      .meta({description: "Calls of the container's own scripts that the run made."}),
  })
  .meta({id: 'Run', description: 'A run of a job.'});
export type Run = z.infer<typeof runSchema>;

export const runListSchema = z
  .object({items: z.array(runSchema), next_cursor: z.string().nullable()})
  .meta({id: 'RunList', description: 'Runs, newest first.'});
export type RunList = z.infer<typeof runListSchema>;
