import * as z from 'zod';

/** What the operator gives to a branch: names and where their values come from, never a value. */
export const environmentListSchema = z
  .object({
    items: z.array(
      z.object({
        name: z.string(),
        kind: z.enum(['variable', 'secret']),
        place: z.string().meta({
          description: 'Where the configuration binds the name.',
          example: 'environments[0]',
        }),
        source: z
          .string()
          .nullable()
          .meta({description: 'Where a secret is read; null for a variable.', example: 'file /etc/stripe'}),
      }),
    ),
  })
  .meta({id: 'EnvironmentList'});
export type EnvironmentList = z.infer<typeof environmentListSchema>;
