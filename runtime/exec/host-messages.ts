import * as z from 'zod';
import type {SharedStateRequest} from './shared-state.ts';

/** What the runtime asks of a host beside calls. */
export type OrderMessage =
  | {readonly type: 'ping'; readonly ping: number}
  /** Websockets are to be taken. */
  | {readonly type: 'sockets'}
  | {readonly type: 'shared_state'; readonly ask: number; readonly request: SharedStateRequest};

/** What a host tells the runtime beside the answers to calls. Made when a host is started: most runtimes wait without. */
export const createHostMessageSchema = () =>
  z.discriminatedUnion('type', [
    z.object({type: z.literal('ready')}),
    z.object({type: z.literal('sockets_ready')}),
    z.object({type: z.literal('pong'), ping: z.int()}),
    z.object({
      type: z.literal('shared_state'),
      ask: z.int(),
      answer: z.object({exists: z.boolean(), value: z.unknown()}),
    }),
    z.object({
      type: z.literal('output'),
      executionId: z.string().max(64),
      chunks: z.array(z.tuple([z.enum(['stdout', 'stderr']), z.string()])),
      /** Characters that were left out before these chunks. */
      leftOut: z.int(),
    }),
    /** A websocket is closed on the host's side; nothing of the call runs for it any more. */
    z.object({type: z.literal('closed'), executionId: z.string().max(64)}),
    z.object({
      type: z.literal('failed'),
      executionId: z.string().max(64),
      failure: z.object({
        message: z.string(),
        file: z.string().nullable(),
        line: z.int().nullable(),
        column: z.int().nullable(),
        stack: z.string(),
      }),
    }),
  ]);
export type HostMessage = z.infer<ReturnType<typeof createHostMessageSchema>>;
export type ScriptFailure = Extract<HostMessage, {type: 'failed'}>['failure'];
export type OutputChunk = Extract<HostMessage, {type: 'output'}>['chunks'][number];
