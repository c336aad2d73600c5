import * as z from 'zod';
import {durationSchema} from './duration.ts';
import type {Issue} from './issue.ts';
import {parseYaml} from './yaml-file.ts';

const branchGlobs = z.array(z.string().min(1).max(255)).min(1).max(100);

const repositorySchema = z
  .strictObject({
    repository: z.string().min(1).meta({description: 'Path of a local repository or URL of a remote one.'}),
    live: z
      .string()
      .min(1)
      .optional()
      .meta({description: 'The live branch; the default branch unless given.'}),
    branches: branchGlobs.optional().meta({description: 'Globs of the branches to serve; `!` excludes.'}),
  })
  .meta({id: 'Repository'});

/** `branchtab.yaml`: the operator's file, trusted, on the host. Flags win over it. */
export const configSchema = z
  .strictObject({
    repositories: z
      .array(
        z.union([
          z
            .string()
            .min(1)
            .transform((repository): z.infer<typeof repositorySchema> => ({repository})),
          repositorySchema,
        ]),
      )
      .max(1000)
      .default([]),
    branches: branchGlobs.default(['**']).meta({description: 'For repositories without globs of their own.'}),
    listen: z.string().default('127.0.0.1:7070').meta({description: 'host:port of the API.'}),
    public_url: z
      .url()
      .optional()
      .meta({description: 'Address under which others reach the API, where a proxy stands before it.'}),
    state: z.string().optional().meta({description: 'State directory.'}),
    provider: z.enum(['process']).default('process'),
    level: z.enum(['auto', 'sandbox', 'plain']).default('auto').meta({
      description:
        'How containers of the process provider are kept apart; auto takes the best this host can.',
    }),
    trust_branches: z.boolean().default(false).meta({
      description:
        'Run branches of remote repositories without a sandbox. Whoever can push can then do all that this user can.',
    }),
    timezone: z.string().default('UTC').meta({description: 'IANA zone of the schedules.'}),
    poll_interval: durationSchema
      .default(5000)
      .meta({description: 'Safety net beside file events of local repositories.'}),
    fetch_interval: durationSchema
      .default(60_000)
      .meta({description: 'Between two fetches of a remote repository.'}),
    drift: z.enum(['revert', 'report']).default('revert'),
    drift_interval: durationSchema.default(60_000),
    undo_window: durationSchema
      .default(86_400_000)
      .meta({description: 'How long a removed branch stays in the trash; 0 removes at once.'}),
    stop_grace: durationSchema
      .default(30_000)
      .meta({description: 'How long running jobs may go on when their container stops.'}),
    concurrency: z
      .int()
      .min(1)
      .max(256)
      .default(8)
      .meta({description: 'Branches reconciled at the same time.'}),
  })
  .meta({id: 'Config', title: 'branchtab.yaml'});

export type Config = z.infer<typeof configSchema>;
export type RepositoryConfig = z.infer<typeof repositorySchema>;

/** Parses the text of `branchtab.yaml`. Issues carry line and column; unknown keys are issues. */
export function parseConfig(
  text: string,
  file: string,
): {config: Config; issues: []} | {config: null; issues: Issue[]} {
  const {value, issues} = parseYaml(text, file, configSchema);
  return value === null ? {config: null, issues} : {config: value, issues: []};
}
