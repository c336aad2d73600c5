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

/** Keys that come over plain http could be anybody's, except on this host. */
export function isTrustedUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const {protocol, hostname} = new URL(text);
  return (
    protocol === 'https:' ||
    (protocol === 'http:' && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname))
  );
}

const trustedUrl = z.string().max(2048).refine(isTrustedUrl, 'write an https address');

const jobDeployerSchema = z.strictObject({
  issuer: trustedUrl.meta({
    description: 'Who signs the tokens of CI jobs.',
    examples: ['https://token.actions.githubusercontent.com'],
  }),
  audience: z.string().min(1).max(500).optional().meta({
    description: 'For whom a token must be made; `public_url` unless given.',
  }),
  host: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'write a host name in lower case')
    .optional()
    .meta({
      description: 'Host of the repositories; that of the issuer unless given, and github.com for GitHub.',
    }),
  repository_claim: z
    .string()
    .min(1)
    .max(100)
    .default('repository')
    .meta({description: 'Claim with `owner/name`; `project_path` for GitLab.'}),
  jwks_url: trustedUrl.optional().meta({
    description: "Where its keys are; the issuer's /.well-known/openid-configuration says it unless given.",
  }),
  claims: z
    .record(z.string().min(1).max(100), z.string().max(500))
    .default({})
    .meta({
      description: 'What else a token must say.',
      examples: [{repository_owner_id: '1234'}],
    }),
});
export type JobDeployerConfig = z.infer<typeof jobDeployerSchema>;

/** `deployers` of `branchtab.yaml`. */
export const deployersSchema = z
  .array(z.union([tokenDeployerSchema, jobDeployerSchema]))
  .max(100)
  .default([])
  .meta({
    description:
      'Who may say that repositories are to be looked at and see what becomes of it, beside the token of the controller: CI jobs and hooks of git servers.',
  });
export type DeployersConfig = z.infer<typeof deployersSchema>;
