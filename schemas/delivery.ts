import * as z from 'zod';

export const forgeSchema = z.enum(['github', 'gitlab', 'gitea', 'generic']);
export type Forge = z.infer<typeof forgeSchema>;

/** What a webhook tells, whichever forge sent it. Nothing of it is believed: git and the forge are asked. */
export interface ForgeNews {
  readonly forge: Forge;
  /** The forge's own id of the delivery. */
  readonly delivery: string;
  readonly event: string;
  readonly action: string | null;
  /** `host/owner/name` of every repository that it is about. */
  readonly repositories: readonly string[];
  readonly subject: NewsSubject;
}

export type NewsSubject =
  /** `commit`: where the branch is now; null where it is gone, undefined where the forge does not say. */
  | {readonly kind: 'branch'; readonly branch: string; readonly commit: string | null | undefined}
  | {
      readonly kind: 'pull_request';
      readonly number: number;
      readonly branch: string;
      readonly commit: string | null | undefined;
    }
  /** Of a fork. `label`: which one was put on it, at that commit; null where none was. */
  | {readonly kind: 'fork'; readonly number: number; readonly commit: string; readonly label: string | null}
  /** Said before the push: the commit is not to run. */
  | {readonly kind: 'skip'; readonly branch: string; readonly commit: string}
  | {readonly kind: 'repository'}
  | {readonly kind: 'nothing'; readonly why: 'ping' | 'unknown_event' | 'not_a_branch' | 'fork'};

export const deliverySchema = z
  .object({
    id: z.string().meta({description: "The forge's own id of the delivery."}),
    forge: forgeSchema,
    event: z.string().meta({example: 'push'}),
    action: z.string().nullable().meta({example: 'synchronize'}),
    received_at: z.string(),
    repository: z.string().nullable().meta({example: 'github.com/acme/shop'}),
    branch: z.string().nullable(),
    commit: z.string().nullable(),
    pull_request: z.int().nullable(),
    outcome: z.enum(['accepted', 'ignored']),
    reason: z
      .enum(['queued', 'skip', 'ping', 'unknown_event', 'not_a_branch', 'fork', 'repository_unwatched'])
      .meta({
        description:
          '`queued`: the repository is looked at. `skip`: the commit will not run when it is pushed now.',
      }),
    watched: z.array(z.string()).meta({description: 'Repositories that were looked at because of it.'}),
    looked_at: z.string().nullable().meta({
      description: 'When the repository was known to hold what the delivery tells, or more.',
    }),
    found: z
      .string()
      .nullable()
      .meta({description: 'Commit of the branch in that look; null where there was no such branch.'}),
  })
  .meta({id: 'Delivery', description: 'A webhook that came and what became of it.'});
export type Delivery = z.infer<typeof deliverySchema>;

export const deliveryListSchema = z.object({items: z.array(deliverySchema)}).meta({id: 'DeliveryList'});

/** What was asked of a forge since the controller started, and what it still allows. */
export const forgeBudgetSchema = z
  .object({
    requests: z.int(),
    not_modified: z.int().meta({description: 'Answered from memory, since nothing had changed.'}),
    failures: z.int(),
    limited: z.int().meta({description: 'Refused because the limit was spent.'}),
    remaining: z.int().nullable(),
    limit: z.int().nullable(),
    resets_at: z.string().nullable(),
  })
  .meta({id: 'ForgeBudget'});
export type ForgeBudget = z.infer<typeof forgeBudgetSchema>;

/** What is to be written to a forge. */
export const reportsStatusSchema = z
  .object({
    waiting: z.int().meta({description: 'Reports that the forge does not have yet.'}),
    problem: z.string().nullable().meta({description: 'Why the last one that failed could not be written.'}),
  })
  .meta({id: 'ReportsStatus'});
export type ReportsStatus = z.infer<typeof reportsStatusSchema>;

export const forgeStatusSchema = z
  .object({budget: forgeBudgetSchema, reports: reportsStatusSchema})
  .meta({id: 'ForgeStatus'});
export type ForgeStatus = z.infer<typeof forgeStatusSchema>;
