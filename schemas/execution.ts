import * as z from 'zod';
import {executionStatuses} from './execution-status.ts';
import {issueSchema} from './issue.ts';

export const executionStatusSchema = z.enum(executionStatuses);

export const executionErrorSchema = z.object({
  code: z.string(),
  message: z.string(),
  file: z.string().nullable(),
  line: z.int().nullable(),
  column: z.int().nullable(),
  stack: z.string().meta({description: 'Frames of scripts only, in the lines and columns of their files.'}),
});
export type ExecutionError = z.infer<typeof executionErrorSchema>;

/** One call of a script. Times are RFC 3339 UTC. */
export const executionSchema = z
  .object({
    id: z.string().meta({description: 'Also the header `x-execution-id` of the answer.'}),
    script: z.string().meta({example: 'api/users/[id].ts'}),
    method: z.string(),
    url: z.string().meta({description: 'Path and query as they came; tokens are masked.'}),
    client_ip: z.string(),
    status: executionStatusSchema.meta({
      description:
        '`failed`: threw, or answered with a status of 500 or above. `aborted`: the caller left. `interrupted`: the script host or the runtime ended.',
    }),
    http_status: z.int().nullable(),
    started_at: z.string(),
    finished_at: z.string().nullable(),
    duration_ms: z.number().nullable(),
    response_bytes: z.int().nullable(),
    commit: z.string().nullable().meta({description: 'That was applied when the call came.'}),
    deployment: z.string().meta({description: 'Digest of the set of scripts.'}),
    run_id: z.string().nullable().meta({description: 'The run of a job that made the call.'}),
    error: executionErrorSchema.nullable(),
    stdout: z.string(),
    stderr: z.string(),
    truncated: z.boolean(),
    warnings: z.array(issueSchema.omit({file: true})),
    request_headers: z.record(z.string(), z.string()).nullable(),
    request_body: z.string().nullable(),
    response_body: z.string().nullable(),
  })
  .meta({id: 'Execution', description: 'One call of a script.'});
export type Execution = z.infer<typeof executionSchema>;

export const executionListSchema = z
  .object({items: z.array(executionSchema), next_cursor: z.string().nullable()})
  .meta({id: 'ExecutionList', description: 'Calls, newest first.'});
export type ExecutionList = z.infer<typeof executionListSchema>;

/** With `follow` the events of a stream, named by `type`. */
export const executionEventSchema = z
  .discriminatedUnion('type', [
    z.object({type: z.literal('start'), execution: executionSchema}),
    z.object({
      type: z.literal('output'),
      id: z.string(),
      stream: z.enum(['stdout', 'stderr']),
      text: z.string(),
    }),
    z
      .object({type: z.literal('gap'), events: z.int()})
      .meta({description: 'Left out for this reader, who was too slow.'}),
    z.object({type: z.literal('end'), execution: executionSchema}),
  ])
  .meta({id: 'ExecutionEvent'});
export type ExecutionEvent = z.infer<typeof executionEventSchema>;
