import * as z from 'zod';
import {scriptPathSchema} from './exec-api.ts';
import {typeReportSchema} from './exec-scripts.ts';
import {issueSchema} from './issue.ts';
import {createScriptSettingsSchema} from './script-settings.ts';

/** Shapes of the management routes below `/api/v1/exec`; loaded with them, at their first use. */
const maxCodeCharacters = 8 * 1024 * 1024;

export const validateRequestSchema = z
  .object({
    code: z.string().max(maxCodeCharacters),
    path: scriptPathSchema
      .optional()
      .meta({description: 'Tells the language and what neighbours there are.'}),
    typecheck: z
      .boolean()
      .default(false)
      .meta({description: 'With /validate/script: check the types too. /validate/typescript always does.'}),
  })
  .meta({id: 'ValidateRequest'});
export type ValidateRequest = z.input<typeof validateRequestSchema>;

export const syntaxReportSchema = z
  .object({valid: z.boolean(), errors: z.array(issueSchema)})
  .meta({id: 'SyntaxReport'});
export type SyntaxReport = z.infer<typeof syntaxReportSchema>;

export const typescriptReportSchema = syntaxReportSchema
  .extend({
    valid: z.boolean().meta({description: 'Of the syntax, and of the types where they were checked.'}),
    typesChecked: typeReportSchema.shape.checked,
    reason: typeReportSchema.shape.reason,
  })
  .meta({id: 'TypescriptReport'});
export type TypescriptReport = z.infer<typeof typescriptReportSchema>;

export const dependencyReportSchema = z
  .object({
    valid: z.boolean(),
    dependencies: z.array(
      z.object({
        module: z.string(),
        kind: z.enum(['import', 'export', 'dynamic', 'require']),
        line: z.int(),
        source: z.enum(['builtin', 'file', 'package']),
        available: z.boolean(),
      }),
    ),
    missing: z.array(z.string()).meta({description: 'A warning: never a reason to refuse a script.'}),
  })
  .meta({id: 'DependencyReport'});
export type DependencyReport = z.infer<typeof dependencyReportSchema>;

export const magicCommentReportSchema = z
  .object({
    valid: z.boolean(),
    magicComments: z.record(z.string(), z.string()),
    warnings: z.array(z.string()),
  })
  .meta({id: 'MagicCommentReport'});
export type MagicCommentReport = z.infer<typeof magicCommentReportSchema>;

export const returnReportSchema = z
  .object({
    valid: z.boolean(),
    form: z.enum(['body', 'module_exports', 'default_export', 'method_exports']),
    returns: z.array(z.object({line: z.int(), type: z.string()})),
    returnType: z.string().meta({example: 'object | string'}),
  })
  .meta({id: 'ReturnReport'});
export type ReturnReport = z.infer<typeof returnReportSchema>;

export const validationReportSchema = z
  .object({
    valid: z.boolean(),
    results: z.object({
      syntax: syntaxReportSchema,
      typescript: typescriptReportSchema,
      dependencies: dependencyReportSchema,
      magicComments: z.record(z.string(), z.string()),
      magicCommentWarnings: z.array(z.string()),
      warnings: z
        .array(issueSchema.omit({file: true}))
        .meta({description: 'All that is no reason to refuse a script, with its place.'}),
      normalized: z.string().nullable().meta({description: 'The text as it is loaded.'}),
      transformations: z.array(z.enum(['imports_hoisted', 'body_wrapped']).or(z.string())),
    }),
    message: z.string(),
  })
  .meta({id: 'ValidationReport'});
export type ValidationReport = z.infer<typeof validationReportSchema>;

export const magicCommentCatalogueSchema = z
  .object({
    comments: z.array(
      z.object({
        name: z.string(),
        kind: z.enum(['flag', 'boolean', 'milliseconds', 'count', 'choice', 'schedule', 'text']),
        values: z.array(z.string()).optional(),
        default: z.string().nullable(),
        description: z.string(),
        repeatable: z.literal(true).optional(),
      }),
    ),
  })
  .meta({id: 'MagicCommentCatalogue'});

const commentName = z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/);
const commentValue = z
  .string()
  .max(1000)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a newline would begin the script's code.
  .regex(/^[^\u0000-\u001f\u007f\u2028\u2029]*$/, 'A value is one line.');
const commentChanges = z.record(
  commentName,
  z.union([commentValue, z.boolean().transform(String), z.number().transform(String), z.null()]),
);

export const updateCommentsSchema = z
  .object({
    path: scriptPathSchema,
    comments: commentChanges.meta({description: 'null removes a comment.'}),
    dry_run: z.boolean().default(false),
  })
  .meta({id: 'UpdateMagicComments'});
export type UpdateComments = z.infer<typeof updateCommentsSchema>;

export const bulkUpdateCommentsSchema = z
  .object({
    paths: z.array(scriptPathSchema).min(1).max(1000),
    comments: commentChanges,
    dry_run: z.boolean().default(false),
  })
  .meta({id: 'BulkUpdateMagicComments'});
export type BulkUpdateComments = z.infer<typeof bulkUpdateCommentsSchema>;

export const updatedCommentsSchema = z
  .object({
    path: z.string(),
    updated: z.boolean(),
    dryRun: z.boolean(),
    magicComments: z.record(z.string(), z.string()),
    warnings: z.array(z.string()),
  })
  .meta({id: 'UpdatedMagicComments'});
export type UpdatedComments = z.infer<typeof updatedCommentsSchema>;

export const bulkUpdatedCommentsSchema = z
  .object({updated: z.int(), results: z.array(updatedCommentsSchema)})
  .meta({id: 'BulkUpdatedMagicComments'});

export const routePathSchema = z.string().max(8192);
export const resolveRouteSchema = z
  .object({
    path: routePathSchema,
    hostname: z.string().max(253).optional(),
    execId: z.string().max(64).optional(),
  })
  .meta({id: 'ResolveRoute'});

export const resolvedRouteSchema = z
  .object({
    matched: z.boolean(),
    path: z.string(),
    file: z.string().nullable(),
    parameters: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
    hostname: z.string().nullable(),
    execId: z.string(),
    triedDirectories: z.array(z.string()),
  })
  .meta({id: 'ResolvedRoute'});
export type ResolvedRoute = z.infer<typeof resolvedRouteSchema>;

export const discoverRoutesSchema = z
  .object({baseDir: z.string().max(1024).default(''), includeMetadata: z.boolean().default(false)})
  .meta({id: 'DiscoverRoutes'});

export const discoveredRoutesSchema = z
  .object({
    baseDir: z.string(),
    count: z.int(),
    routes: z.array(
      z.object({
        path: z.string().meta({example: '/api/users/[id]'}),
        file: z.string(),
        dynamic: z.boolean(),
        parameters: z.array(z.string()),
        settings: createScriptSettingsSchema().optional().meta({description: 'What a manifest says of it.'}),
        magicComments: z.record(z.string(), z.string()).optional(),
      }),
    ),
  })
  .meta({id: 'DiscoveredRoutes'});
export type DiscoveredRoutes = z.infer<typeof discoveredRoutesSchema>;

export const testedRoutesSchema = z
  .object({
    results: z.array(
      z.union([
        resolvedRouteSchema,
        z.object({path: z.string(), matched: z.literal(false), code: z.string(), message: z.string()}),
      ]),
    ),
  })
  .meta({id: 'TestedRoutes'});
export type TestedRoutes = z.infer<typeof testedRoutesSchema>;

export const testRoutesSchema = z
  .object({paths: z.array(routePathSchema).min(1).max(1000)})
  .meta({id: 'TestRoutes'});
