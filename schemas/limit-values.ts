import * as z from 'zod';
import {durationSchema} from './duration.ts';
import {sizeSchema} from './size.ts';

const runDuration = durationSchema.refine((ms) => ms > 0, 'write a time as 30s, 10m or 2h');

/** What a limit of branches may be, in the operator's file and in a branch's own. */
export const limitValues = {
  cpus: z.number().min(0.01).max(1024),
  memory: sizeSchema,
  disk: sizeSchema,
  runs_per_day: z.int().min(0).max(1_000_000),
  run_time: runDuration,
  longest_run_time: runDuration,
  overlap: z.enum(['allow', 'forbid', 'never']),
} as const;
