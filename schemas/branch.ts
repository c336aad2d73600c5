import * as z from 'zod';
import {lastRunSchema, nextRunSchema} from './control-state.ts';
import {issueSchema} from './issue.ts';
import {actionSchema} from './plan.ts';
import {suspensionSchema} from './suspension.ts';

export const conditionSchema = z
  .object({
    type: z.enum(['Ready', 'Reconciling', 'Stalled']),
    status: z.enum(['True', 'False', 'Unknown']),
    reason: z.string().meta({example: 'applied'}),
    message: z.string(),
    last_transition_time: z.string(),
    issues: z.array(issueSchema).optional(),
  })
  .meta({
    id: 'Condition',
    description:
      'Ready: what runs is what the newest good commit says. Reconciling: work is in hand or will be retried. Stalled: nothing will change until the input does.',
  });
export type Condition = z.infer<typeof conditionSchema>;

export const containerStateSchema = z.enum([
  'creating',
  'held',
  'running',
  'paused',
  'stopping',
  'stopped',
  'failed',
]);
export type ContainerState = z.infer<typeof containerStateSchema>;

/** Things that belong to others than the branch. */
export const reachSchema = z.enum([
  'files_of_others',
  'processes_of_others',
  'sockets_of_others',
  'state_directory',
  'git_credentials',
  'host_network',
]);

export const containerViewSchema = z
  .object({
    id: z.string().meta({example: 'ctr_5f0c2b9e1a7d4c3b8e6f0a12'}),
    name: z.string(),
    provider: z.string(),
    level: z.string(),
    state: containerStateSchema,
    gaps: z
      .array(reachSchema)
      .default([])
      .meta({description: 'What this level does not keep from jobs of the branch.'}),
    unenforced: z
      .array(z.enum(['cpus', 'memory']))
      .default([])
      .meta({description: 'Limits that this host has no means to enforce.'}),
    urls: z.object({cron: z.string(), exec: z.string(), pipe: z.string(), notifications: z.string()}),
  })
  .meta({id: 'Container'});
export type ContainerView = z.infer<typeof containerViewSchema>;

/** One reconciliation that did something or failed; the last ten are kept. */
export const reconciliationSchema = z.object({
  at: z.string(),
  revision: z.string().nullable(),
  outcome: z.enum(['applied', 'failed', 'stalled', 'paused', 'trashed', 'removed', 'restored']),
  message: z.string(),
  duration_ms: z.number(),
});
export type Reconciliation = z.infer<typeof reconciliationSchema>;

export const rollbackViewSchema = z
  .object({
    to: z.string().meta({description: 'Commit that runs.'}),
    bad: z.string().meta({description: 'Commit in whose place it runs.'}),
    since: z.string(),
    reason: z.string().nullable(),
  })
  .meta({id: 'Rollback', description: 'Ends when a commit newer than the bad one arrives.'});

export const rollbackRequestSchema = z
  .strictObject({
    to: z
      .string()
      .regex(/^[0-9a-f]{4,64}$/, 'write a commit id, or its beginning, in lower case')
      .nullable()
      .default(null)
      .meta({description: 'In the history of the branch; the commit that ran before without it.'}),
    reason: z.string().min(1).max(500).nullable().default(null),
  })
  .meta({id: 'RollbackRequest'});
export type RollbackRequest = z.infer<typeof rollbackRequestSchema>;

export const branchSchema = z
  .object({
    key: z.string().regex(/^[a-z0-9-]+$/),
    repository: z.string(),
    path: z.string(),
    branch: z.string(),
    live: z.boolean(),
    revision: z.string().nullable().meta({description: 'Newest commit that was seen.'}),
    observed_revision: z.string().nullable().meta({description: 'Commit that is applied.'}),
    conditions: z.array(conditionSchema),
    notices: z
      .array(z.string())
      .default([])
      .meta({description: 'What people should know although the branch may be ready; sentences.'}),
    rollback: rollbackViewSchema.nullable().default(null),
    keep: z
      .object({since: z.string(), until: z.string(), reason: z.string().nullable()})
      .nullable()
      .default(null)
      .meta({description: 'Changes by hand stay until then.'}),
    suspension: suspensionSchema
      .nullable()
      .default(null)
      .meta({description: 'No job of it runs until then.'}),
    container: containerViewSchema.nullable(),
    next_run: nextRunSchema.nullable(),
    last_run: lastRunSchema.nullable(),
    plan: z.array(actionSchema).meta({description: 'Steps that are still to be taken; empty when in sync.'}),
    active_ms: z
      .number()
      .nullable()
      .meta({description: 'From the moment the newest commit was seen to the moment it was active.'}),
    handled_request: z
      .string()
      .nullable()
      .meta({description: 'Id of the newest reconcile request that is done.'}),
    history: z.array(reconciliationSchema),
  })
  .meta({id: 'Branch', description: 'A branch with its container and the state of its schedule.'});
export type Branch = z.infer<typeof branchSchema>;

export const branchListSchema = z.object({items: z.array(branchSchema)}).meta({id: 'BranchList'});
export type BranchList = z.infer<typeof branchListSchema>;
