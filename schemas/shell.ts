import * as z from 'zod';

/**
 * A program that a person runs in a container, with the environment of its jobs. It is asked for with a request whose
 * answer is a stream of lines, one `ShellEvent` each, and which ends with the program. Leaving the answer ends it.
 */
export const shellSizeSchema = z
  .strictObject({columns: z.int().min(1).max(10_000), rows: z.int().min(1).max(10_000)})
  .meta({id: 'ShellSize', description: 'Of the terminal, in characters.'});
export type ShellSize = z.infer<typeof shellSizeSchema>;

export const shellRequestSchema = z
  .strictObject({
    command: z
      .array(z.string().max(131_072))
      .min(1)
      .max(1000)
      .nullable()
      .meta({description: 'Program and arguments; null for a shell.'}),
    terminal: shellSizeSchema.nullable().meta({description: 'Null for plain pipes.'}),
    term: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9+._-]{0,63}$/)
      .nullable()
      .default(null)
      .meta({description: 'TERM of the terminal.'}),
    user: z.string().max(64).optional().meta({
      description: 'As whom it runs: as the jobs in the crontab of this user do. `root` unless given.',
    }),
  })
  .meta({id: 'ShellRequest'});
export type ShellRequest = z.infer<typeof shellRequestSchema>;

export const shellEventSchema = z.discriminatedUnion('type', [
  z.object({type: z.literal('started'), id: z.string()}),
  z.object({type: z.literal('output'), stream: z.enum(['stdout', 'stderr']), base64: z.string()}),
  z.object({type: z.literal('exited'), code: z.int().nullable(), signal: z.string().nullable()}),
  z.object({type: z.literal('failed'), message: z.string()}),
]);
export type ShellEvent = z.infer<typeof shellEventSchema>;

export const maxShellInputBytes = 256 * 1024;
