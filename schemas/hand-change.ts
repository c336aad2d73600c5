import * as z from 'zod';

const longestKeepMs = 366 * 86_400_000;

export const keepRequestSchema = z
  .strictObject({
    duration_ms: z.int().min(1000).max(longestKeepMs),
    reason: z.string().min(1).max(500).nullable().default(null),
  })
  .meta({id: 'KeepRequest'});
export type KeepRequest = z.infer<typeof keepRequestSchema>;

const fileText = z.string().nullable().meta({description: 'Base64; null where there is no such file.'});

/** What would have to be in git for git to say what runs. */
export const promotionSchema = z
  .object({
    branch: z.string(),
    revision: z.string().meta({description: 'Newest commit of the branch; `before` is of it.'}),
    files: z.array(
      z.object({path: z.string().meta({example: '.hoody/crontab'}), before: fileText, after: fileText}),
    ),
  })
  .meta({id: 'Promotion', description: 'Crontabs and scripts that run and differ from the newest commit.'});
export type Promotion = z.infer<typeof promotionSchema>;

/** The pull request by which git would say what runs. */
export const promotionPullSchema = z
  .object({
    branch: z.string(),
    revision: z.string().meta({description: 'Newest commit of the branch; the pull request is made of it.'}),
    files: z.array(z.string()).meta({description: 'Paths of what it changes.', example: ['.hoody/crontab']}),
    pull_request: z
      .object({
        number: z.int(),
        url: z.string(),
        branch: z.string().meta({example: 'branchtab/promote-main-1f0c9a3e'}),
        commit: z.string(),
        outcome: z.enum(['opened', 'updated', 'unchanged']),
      })
      .nullable()
      .meta({description: 'Null where git says already what runs.'}),
  })
  .meta({id: 'PromotionPull', description: 'Crontabs and scripts that run, as a pull request on GitHub.'});
export type PromotionPull = z.infer<typeof promotionPullSchema>;
