import {parseDocument, visit} from 'yaml';
import * as z from 'zod';
import {durationSchema} from './duration.ts';
import type {Issue} from './issue.ts';

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

/** A value that does not stand in the file itself. */
const secretSourceSchema = z
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
  ])
  .meta({id: 'SecretSource'});

export type SecretSource = z.infer<typeof secretSourceSchema>;

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
    domain: z
      .string()
      .max(200)
      .regex(
        /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/,
        'write a host name in lower case',
      )
      .optional()
      .meta({
        description:
          'Kits of containers answer at <id>-<kit>-1.<domain> too, beside <id>-<kit>-1.localhost. Its names must lead to this controller.',
      }),
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
    mail: z
      .strictObject({smtp_url: secretSourceSchema})
      .optional()
      .meta({description: 'Where jobs with MAILTO have their output mailed.'}),
    max_entries: z
      .int()
      .min(0)
      .max(10_000)
      .default(10_000)
      .meta({description: 'Jobs that one crontab may hold, managed entries among them.'}),
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
  const document = parseDocument(text, {prettyErrors: false, logLevel: 'error'});
  const at = (offset: number) => position(text, offset);
  if (document.errors.length > 0) {
    return {
      config: null,
      issues: document.errors.map((error) => ({
        file,
        ...at(error.pos[0]),
        code: 'yaml_invalid',
        message: error.message,
      })),
    };
  }
  const value = plainValue(document);
  if ('problem' in value) {
    const issue = {file, ...at(firstAliasOffset(document)), code: 'yaml_invalid', message: value.problem};
    return {config: null, issues: [issue]};
  }
  const parsed = configSchema.safeParse(value.value ?? {});
  if (parsed.success) return {config: parsed.data, issues: []};
  return {
    config: null,
    issues: parsed.error.issues.map((issue) => ({
      file,
      ...at(nodeOffset(document, issue.path)),
      code: issue.code === 'unrecognized_keys' ? 'key_unknown' : 'value_invalid',
      message: `${issue.path.join('.') || 'the file'}: ${issue.message}`,
    })),
  };
}

/** Aliases are resolved only here: one may name nothing, or many may multiply beyond any use. */
function plainValue(document: ReturnType<typeof parseDocument>): {value: unknown} | {problem: string} {
  try {
    return {value: document.toJS({maxAliasCount: 50})};
  } catch (error) {
    return {problem: error instanceof Error ? error.message : String(error)};
  }
}

function firstAliasOffset(document: ReturnType<typeof parseDocument>): number {
  let offset = 0;
  visit(document, {
    Alias(_key, {range}) {
      offset = range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return offset;
}

function nodeOffset(document: ReturnType<typeof parseDocument>, path: readonly PropertyKey[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = document.getIn(path.slice(0, length), true);
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) {
      return Number(node.range[0]);
    }
  }
  return 0;
}

function position(text: string, offset: number): {line: number; column: number} {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return {line: before.split('\n').length, column: offset - lineStart + 1};
}
