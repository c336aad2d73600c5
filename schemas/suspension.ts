import * as z from 'zod';

const longestMs = 366 * 86_400_000;

/** A branch of which no job runs for a while, whatever is pushed. */
export const suspensionSchema = z
  .object({
    since: z.string().nullable().meta({description: 'Null where the configuration says so.'}),
    until: z.string().meta({description: 'It ends then by itself.'}),
    owner: z.string(),
    reason: z.string(),
    place: z.string().nullable().meta({description: 'In the configuration; null where a person said so.'}),
  })
  .meta({id: 'Suspension'});
export type Suspension = z.infer<typeof suspensionSchema>;

export const suspendRequestSchema = z
  .strictObject({
    duration_ms: z.int().min(1000).max(longestMs),
    owner: z.string().min(1).max(100),
    reason: z.string().min(1).max(500),
  })
  .meta({id: 'SuspendRequest'});
export type SuspendRequest = z.infer<typeof suspendRequestSchema>;
