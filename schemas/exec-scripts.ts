import * as z from 'zod';
import {scriptPathSchema} from './exec-api.ts';
import {issueSchema} from './issue.ts';

/** Shapes of the routes that write and read scripts; loaded with them, at their first use. */

/** A container has one set of scripts: the ids of the public API are taken as long as they could be some. */
const execId = z
  .string()
  .regex(/^[a-z0-9]{1,64}$/, 'execId holds 1 to 64 lower-case letters and digits, no hyphen.')
  .optional();
const scope = {execId, exec_id: execId, subdomain: z.string().max(63).optional()};

export const typeReportSchema = z
  .object({
    checked: z.boolean().meta({description: 'False: nothing is known of the types.'}),
    reason: z.string().nullable().meta({description: 'Why they were not checked.'}),
    errors: z.array(issueSchema).meta({description: 'At most 100.'}),
  })
  .meta({id: 'TypeReport'});
export type TypeReport = z.infer<typeof typeReportSchema>;

export const writeScriptSchema = z
  .object({
    ...scope,
    path: scriptPathSchema,
    content: z.string().max(8 * 1024 * 1024),
    validate: z.boolean().default(true),
    ifNotExists: z.boolean().default(false),
    typecheck: z.boolean().default(false).meta({
      description: 'Refuse a script with wrong types, where its packages bring `typescript`.',
    }),
    createDirs: z.boolean().default(true).meta({description: 'False: the directory must be there.'}),
  })
  .meta({id: 'WriteScript'});
export type WriteScript = z.infer<typeof writeScriptSchema>;
/** As callers write it: what has a default may be left out. */
export type WriteScriptInput = z.input<typeof writeScriptSchema>;

export const writtenScriptSchema = z
  .object({
    path: z.string(),
    resolvedPath: z.string(),
    created: z.boolean(),
    updated: z.boolean(),
    size: z.int(),
    modified: z.string(),
    validated: z.boolean(),
    warnings: z.array(issueSchema.omit({file: true})).meta({
      description:
        'No reason to refuse it: comments that are not understood, missing packages, SQL of PostgreSQL.',
    }),
    typecheck: typeReportSchema.optional().meta({description: 'Where it was asked for.'}),
    schedule: z
      .object({
        action: z.enum(['registered', 'updated', 'kept', 'removed', 'rejected']),
        reason: z.string().optional().meta({description: 'Why it was rejected.'}),
      })
      .optional()
      .meta({description: 'What became of the schedule of the script; absent where it has none.'}),
  })
  .meta({id: 'WrittenScript'});
export type WrittenScript = z.infer<typeof writtenScriptSchema>;

export const scriptSchema = z
  .object({
    path: z.string(),
    resolvedPath: z.string(),
    content: z.string().meta({description: 'Values of @token are hidden; writing the text back keeps them.'}),
    magicComments: z.record(z.string(), z.string()).nullable(),
    metadata: z.object({
      size: z.int(),
      created: z.string(),
      modified: z.string(),
      isDirectory: z.boolean(),
      extension: z.string(),
    }),
  })
  .meta({id: 'Script'});
export type Script = z.infer<typeof scriptSchema>;

export const scriptFilterSchema = z
  .object({
    filter: z.string().max(255).meta({description: 'Part of the path.'}),
    metadata: z.boolean().meta({description: 'False leaves magic comments out.'}),
    label: z.string().max(255),
    tags: z.string().max(1000).meta({description: 'Comma-separated; all of them.'}),
    mode: z.enum(['serverless', 'worker']),
    enabled: z.boolean(),
    websocket: z.boolean(),
  })
  .partial();
export type ScriptFilter = z.infer<typeof scriptFilterSchema>;

export const listedScriptSchema = z
  .object({
    name: z.string(),
    path: z.string(),
    isDirectory: z.boolean(),
    size: z.int().meta({description: 'Bytes.'}),
    modified: z.string(),
    extension: z.string(),
    enabled: z.boolean().optional(),
    mode: z.enum(['serverless', 'worker']).optional(),
    label: z.string().optional(),
    description: z.string().optional(),
    tags: z.array(z.string()).optional(),
    magicComments: z.record(z.string(), z.string()).optional(),
  })
  .meta({id: 'ListedScript'});
export type ListedScript = z.infer<typeof listedScriptSchema>;

export const scriptListSchema = z
  .object({
    directory: z.string(),
    count: z.int(),
    recursive: z.boolean(),
    filters: scriptFilterSchema,
    scripts: z.array(listedScriptSchema),
  })
  .meta({id: 'ScriptList'});
export type ScriptList = z.infer<typeof scriptListSchema>;

const directoryPathSchema = z
  .string()
  .transform((path) => path.replace(/^\/+|\/+$/g, ''))
  .pipe(z.union([z.literal(''), scriptPathSchema]));

export const treeRequestSchema = z
  .object({
    ...scope,
    baseDir: directoryPathSchema.default(''),
    maxDepth: z.int().min(1).max(100).default(10),
    includeMetadata: z.boolean().default(false),
  })
  .meta({id: 'TreeRequest'});
export type TreeRequest = z.infer<typeof treeRequestSchema>;

export interface ScriptNode {
  name: string;
  path: string;
  type: 'file' | 'directory';
  metadata?: ListedScript;
  children?: ScriptNode[];
}
export const scriptNodeSchema: z.ZodType<ScriptNode> = z
  .object({
    name: z.string(),
    path: z.string(),
    type: z.enum(['file', 'directory']),
    metadata: listedScriptSchema.exactOptional(),
    get children() {
      return z.array(scriptNodeSchema).exactOptional();
    },
  })
  .meta({id: 'ScriptNode'});
export const scriptTreeSchema = z
  .object({baseDir: z.string(), tree: z.array(scriptNodeSchema)})
  .meta({id: 'ScriptTree'});

export const moveScriptSchema = z
  .object({
    ...scope,
    from: scriptPathSchema,
    to: scriptPathSchema,
    overwrite: z.boolean().default(false),
  })
  .meta({id: 'MoveScript'});
export type MoveScript = z.infer<typeof moveScriptSchema>;

export const movedScriptSchema = z
  .object({
    moved: z.boolean(),
    from: z.string(),
    to: z.string(),
    resolvedFrom: z.string(),
    resolvedTo: z.string(),
    size: z.int(),
  })
  .meta({id: 'MovedScript'});
export type MovedScript = z.infer<typeof movedScriptSchema>;

export const deletedScriptSchema = z
  .object({deleted: z.boolean(), path: z.string(), resolvedPath: z.string(), size: z.int()})
  .meta({id: 'DeletedScript'});
export type DeletedScript = z.infer<typeof deletedScriptSchema>;
