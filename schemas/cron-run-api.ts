import * as z from 'zod';
import {runSchema, runStatusSchema} from './run.ts';

export const pauseRequestSchema = z
  .object({
    reason: z.string().max(500).nullish(),
    owner: z.string().max(100).nullish().meta({description: 'Who wants it.'}),
    until: z.string().nullish().meta({
      example: '2026-05-22T09:00:00Z',
      description: 'RFC 3339, in the future; the pause ends then by itself.',
    }),
  })
  .meta({id: 'PauseRequest'});
export type PauseRequest = z.infer<typeof pauseRequestSchema>;

export const pauseSchema = z
  .object({
    reason: z.string().nullable(),
    owner: z.string().nullable().default(null),
    since: z.string(),
    until: z.string().nullable(),
  })
  .meta({id: 'Pause', description: 'An entry that does not run for a while. Survives a PUT and a restart.'});
export type PauseView = z.infer<typeof pauseSchema>;

export const runOutputSchema = z
  .object({
    id: z.string(),
    status: runStatusSchema,
    stdout: z.string(),
    stderr: z.string(),
    truncated: z.boolean(),
  })
  .meta({id: 'RunOutput'});

/** With `?follow=1` the events of a stream, named by `type`. */
export const outputEventSchema = z
  .discriminatedUnion('type', [
    z.object({type: z.literal('output'), stream: z.enum(['stdout', 'stderr']), text: z.string()}),
    z
      .object({type: z.literal('gap'), characters: z.int()})
      .meta({description: 'Left out for this reader, who was too slow.'}),
    z.object({type: z.literal('end'), run: runSchema}),
  ])
  .meta({id: 'RunOutputEvent'});
export type OutputEvent = z.infer<typeof outputEventSchema>;

export const verdictSchema = z.enum([
  'ran',
  'running',
  'skipped',
  'not_due',
  'not_in_force',
  'disabled',
  'expired',
  'not_yet',
  'no_record',
]);
export type Verdict = z.infer<typeof verdictSchema>;

export const whySchema = z
  .object({
    user: z.string(),
    entry_id: z.string(),
    entry_name: z.string().nullable(),
    at: z.string().meta({description: 'The minute that was asked for, RFC 3339 UTC.'}),
    verdict: verdictSchema,
    explanation: z.string().meta({description: 'For people; nobody should parse it.'}),
    in_force: z.boolean().meta({description: 'The crontab of that minute had the entry.'}),
    in_force_since: z.string().nullable().meta({
      description: 'When the text of that minute was put, or when the entry came, where it came later.',
    }),
    in_force_until: z.string().nullable().meta({
      description:
        'When that text was replaced, or the entry went, where it went before; null for until now.',
    }),
    line: z.int().nullable(),
    schedule: z.string().nullable(),
    command: z.string().nullable(),
    timezone: z.string().nullable(),
    due: z.boolean(),
    previous_due: z.string().nullable(),
    next_due: z.string().nullable(),
    runs: z.array(runSchema).meta({description: 'Records of that minute, newest first.'}),
  })
  .meta({id: 'Why', description: 'Whether and why an entry ran in a minute.'});
export type Why = z.infer<typeof whySchema>;
