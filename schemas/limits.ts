import * as z from 'zod';

// Made where they are used: a runtime that waits would keep them for nothing.

/** What bounds the jobs of a container; null for no bound. Its runtime sees to it. */
export const createRunLimitsSchema = () =>
  z.object({
    enforced: z.boolean().meta({description: 'False where more is only told, as for a live branch.'}),
    runs_per_day: z.int().min(0).nullable(),
    run_time_ms: z
      .int()
      .min(1)
      .nullable()
      .meta({description: 'Of a run whose job says nothing of its time.'}),
    longest_run_time_ms: z.int().min(1).nullable().meta({description: 'Of a run whose job asks for more.'}),
    overlap: z
      .enum(['allow', 'forbid', 'never'])
      .meta({description: '`forbid` unless the job asks for more, `never` whatever it asks for.'}),
    disk_bytes: z.int().min(0).nullable().meta({description: 'Of the data directory and the workspace.'}),
    memory_bytes: z.int().min(0).nullable().meta({description: 'Of all processes; the provider sees to it.'}),
  });
export type RunLimits = z.infer<ReturnType<typeof createRunLimitsSchema>>;

export const createLimitUseSchema = () =>
  z.object({
    limit: z.enum(['runs_per_day', 'run_time', 'disk']),
    most: z.number(),
    used: z.number(),
    refused: z.int().meta({description: 'Runs of today that did not happen or were ended.'}),
  });
/** A limit that is reached, or exceeded where it is only told. */
export type LimitUse = z.infer<ReturnType<typeof createLimitUseSchema>>;
