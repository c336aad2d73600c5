import * as z from 'zod';
import {secretSourceSchema} from './secret-source.ts';

const tokenDeployerSchema = z.strictObject({
  token: secretSourceSchema.meta({
    description: 'At least 32 characters; read again where another one is sent.',
  }),
  repositories: z
    .array(
      z
        .string()
        .min(1)
        .max(512)
        .refine((glob) => !glob.startsWith('!'), 'write what it may deploy; nothing can be excluded'),
    )
    .min(1)
    .max(100)
    .meta({
      description: 'Globs of what it may deploy: host/owner/name, or the path of a repository on this host.',
      examples: [['github.com/acme/*'], ['/srv/git/shop.git']],
    }),
});
export type TokenDeployerConfig = z.infer<typeof tokenDeployerSchema>;

/** `deployers` of `branchtab.yaml`. */
export const deployersSchema = z.array(tokenDeployerSchema).max(100).default([]).meta({
  description:
    'Who may say that repositories are to be looked at and see what becomes of it, beside the token of the controller: CI jobs and hooks of git servers.',
});
export type DeployersConfig = z.infer<typeof deployersSchema>;
