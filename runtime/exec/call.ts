import * as z from 'zod';

/** What the runtime tells the script host of a call, beside the request itself. */
export const callSchema = z.object({
  executionId: z.string(),
  /** Script path below the scripts directory. */
  file: z.string(),
  parameters: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  /** Request target as the client sent it: path and query. */
  target: z.string(),
  clientIp: z.string(),
});
export type Call = z.infer<typeof callSchema>;

/** Header with the call as base64url of JSON; only who reaches the host's socket can set it. */
export const callHeader = 'x-branchtab-call';
/** Marks the host's own answers: the script failed, this is no answer of its own making. */
export const failureHeader = 'x-branchtab-failure';

export function encodeCall(call: Call): string {
  return Buffer.from(JSON.stringify(call)).toString('base64url');
}

export function decodeCall(header: string): Call {
  return callSchema.parse(JSON.parse(Buffer.from(header, 'base64url').toString('utf8')));
}

/** Messages between the runtime and a host. */
export const hostMessageSchema = z.discriminatedUnion('type', [
  z.object({type: z.literal('ready')}),
  z.object({type: z.literal('pong'), ping: z.int()}),
]);
export type HostMessage = z.infer<typeof hostMessageSchema>;
export const runtimeMessageSchema = z.object({type: z.literal('ping'), ping: z.int()});
