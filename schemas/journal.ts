import * as z from 'zod';
import {issueSchema} from './issue.ts';

/** Why a repository was listed. Times are RFC 3339 UTC. */
export const passCauseSchema = z.object({
  kind: z.enum([
    'start',
    'interval',
    'repository_event',
    'request',
    'second_look',
    'webhook',
    'pull_request',
  ]),
  id: z.string().nullable().meta({description: 'Of the request, or of the delivery of the webhook.'}),
  at: z.string().meta({description: 'When it was asked for or noticed.'}),
});
export type PassCause = z.infer<typeof passCauseSchema>;

const journalStepSchema = z.object({
  kind: z.string().meta({description: 'Kind of the action.', example: 'put_crontab'}),
  reason: z.string(),
  summary: z.string(),
  took_ms: z.number(),
});
export type JournalStep = z.infer<typeof journalStepSchema>;

const filesReadSchema = z.object({crontabs: z.int(), jobs: z.int(), scripts: z.int()});
export type FilesRead = z.infer<typeof filesReadSchema>;

export const journalEventSchema = z
  .discriminatedUnion('kind', [
    z.object({
      kind: z.literal('seen'),
      at: z.string(),
      revision: z.string(),
      live: z.boolean(),
      causes: z.array(passCauseSchema),
    }),
    z.object({
      kind: z.literal('missing'),
      at: z.string(),
      cause: z.string(),
      proven: z.boolean(),
      held: z.boolean(),
    }),
    z.object({
      kind: z.literal('worked'),
      at: z.string().meta({description: 'When it ended.'}),
      revision: z.string().nullable(),
      outcome: z.enum([
        'applied',
        'unchanged',
        'failed',
        'stalled',
        'paused',
        'trashed',
        'forgotten',
        'superseded',
      ]),
      reason: z.string(),
      message: z.string(),
      issues: z.array(issueSchema),
      read: filesReadSchema.nullable().meta({description: 'What the commit holds below `.hoody`.'}),
      steps: z.array(journalStepSchema).meta({description: 'What was done.'}),
      left: z.array(z.string()).meta({description: 'Planned steps that were not reached.'}),
      verified: z.boolean().meta({
        description: 'The container was read back after the last step and is as the commit says.',
      }),
      active_ms: z
        .number()
        .nullable()
        .meta({description: 'From the moment the commit was seen, where this made it active.'}),
      duration_ms: z.number(),
      retry_at: z.string().nullable(),
    }),
  ])
  .meta({id: 'JournalEvent', description: 'Something that happened to a branch.'});
export type JournalEvent = z.infer<typeof journalEventSchema>;

export const journalSchema = z.object({items: z.array(journalEventSchema)}).meta({id: 'Journal'});
export type Journal = z.infer<typeof journalSchema>;

export const explanationStepSchema = z.object({
  step: z.enum(['seen', 'matched', 'fetched', 'planned', 'applied', 'verified', 'now']),
  state: z.enum(['done', 'waiting', 'failed']),
  at: z.string().nullable(),
  message: z.string(),
});
export type ExplanationStep = z.infer<typeof explanationStepSchema>;

export const explanationSchema = z
  .object({
    kind: z.literal('branch'),
    branch: z.string(),
    key: z.string().nullable().meta({description: 'Null where no branch of this name is served.'}),
    repository: z.string().nullable(),
    revision: z.string().nullable(),
    steps: z.array(explanationStepSchema),
  })
  .meta({id: 'Explanation', description: 'The way from git to the container, and where it ended.'});
export type Explanation = z.infer<typeof explanationSchema>;
