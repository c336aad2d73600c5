import * as z from 'zod';

/** A watched repository as the API shows it. */
export const repositoryStatusSchema = z
  .object({
    repository: z.string(),
    kind: z.enum(['local', 'remote']),
    live: z.string().nullable(),
    branches: z.int(),
    served: z.int(),
    interval_ms: z
      .number()
      .meta({description: 'Between two listings, beside file events and webhooks; spread by a fifth.'}),
    listed_at: z.string().nullable(),
    error: z.object({code: z.string(), message: z.string()}).nullable(),
    held_deletions: z
      .object({missing: z.int(), previews: z.int()})
      .nullable()
      .meta({description: 'Set while most branches are gone at once and none is removed.'}),
    read_only: z.string().nullable().meta({
      description: 'Why nothing is changed for the repository; null where it belongs to this controller.',
    }),
    waiting: z.int().meta({
      description: 'Previews that were there before Branchtab came and that nobody has asked for yet.',
    }),
  })
  .meta({id: 'RepositoryStatus'});
export type RepositoryStatus = z.infer<typeof repositoryStatusSchema>;

export const repositoryListSchema = z.object({items: z.array(repositoryStatusSchema)});
