import * as z from 'zod';

/** A value that does not stand in the file itself. */
export const secretSourceSchema = z
  .union([
    z.strictObject({
      from_env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
        .meta({description: 'Variable of the controller.'}),
    }),
    z.strictObject({
      from_file: z.string().min(1).meta({description: 'File on the host of the controller.'}),
    }),
    z.strictObject({
      from_command: z
        .string()
        .min(1)
        .meta({description: 'Shell command on the host of the controller; its output is the value.'}),
    }),
  ])
  .meta({id: 'SecretSource'});

export type SecretSource = z.infer<typeof secretSourceSchema>;
