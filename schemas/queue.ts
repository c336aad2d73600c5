import * as z from 'zod';

/** What the controller has in hand, and what is in its way. */
export const queueStatusSchema = z
  .object({
    waiting: z.int().meta({description: 'Branches that wait for their turn.'}),
    longest_wait_ms: z.number().meta({description: 'How long the one that has waited longest does so.'}),
    working: z
      .array(
        z.object({
          key: z.string(),
          branch: z.string(),
          for_ms: z.number(),
          stuck: z.boolean().meta({
            description: 'It was told to end and did not; others have its place, and a restart ends it.',
          }),
        }),
      )
      .meta({description: 'Branches that are worked on, longest first.'}),
    failing: z
      .array(
        z.object({
          key: z.string(),
          branch: z.string(),
          failures: z.int(),
          retry_at: z.string(),
          message: z.string(),
        }),
      )
      .meta({
        description: 'Branches that failed and are tried again, beside the others, the next one first.',
      }),
  })
  .meta({id: 'QueueStatus'});
export type QueueStatus = z.infer<typeof queueStatusSchema>;
