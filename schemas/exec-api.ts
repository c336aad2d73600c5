import * as z from 'zod';

/** A script's path below `.hoody/exec`: relative, `/` between names, no empty, `.` or `..` segment. */
export const scriptPathSchema = z
  .string()
  .min(1)
  .max(1024)
  .refine(
    isPlainPath,
    'Write a relative path without empty, "." or ".." segments, for example "api/hello.ts".',
  );

function isPlainPath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here.
  if (/[\u0000-\u001f\u007f\\]/.test(path)) return false;
  return path
    .split('/')
    .every((segment) => segment !== '' && segment !== '.' && segment !== '..' && segment.length <= 255);
}

export const writeScriptSchema = z.object({
  path: scriptPathSchema,
  content: z.string().max(8 * 1024 * 1024),
  validate: z.boolean().default(true),
  ifNotExists: z.boolean().default(false),
});
export type WriteScript = z.infer<typeof writeScriptSchema>;

export const writtenScriptSchema = z
  .object({
    path: z.string(),
    resolvedPath: z.string(),
    created: z.boolean(),
    updated: z.boolean(),
    size: z.int(),
    modified: z.string(),
    validated: z.boolean(),
  })
  .meta({id: 'WrittenScript'});
export type WrittenScript = z.infer<typeof writtenScriptSchema>;

export const scriptSchema = z
  .object({
    path: z.string(),
    resolvedPath: z.string(),
    content: z.string(),
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

export const scriptListSchema = z
  .object({
    directory: z.string(),
    count: z.int(),
    recursive: z.boolean(),
    scripts: z.array(z.object({name: z.string(), path: z.string(), isDirectory: z.boolean()})),
  })
  .meta({id: 'ScriptList'});
export type ScriptList = z.infer<typeof scriptListSchema>;

export const deletedScriptSchema = z
  .object({deleted: z.boolean(), path: z.string(), resolvedPath: z.string(), size: z.int()})
  .meta({id: 'DeletedScript'});
export type DeletedScript = z.infer<typeof deletedScriptSchema>;

export const deployedSchema = z.object({digest: z.string(), files: z.int()}).meta({id: 'Deployed'});
export type Deployed = z.infer<typeof deployedSchema>;
