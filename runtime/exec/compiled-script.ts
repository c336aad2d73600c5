import * as z from 'zod';

const createIssueSchema = () =>
  z.object({line: z.int(), column: z.int(), code: z.string(), message: z.string()});

/**
 * What is known of a script once it has been parsed; kept in the cache by the hash of its text. The schemas are made when
 * the first script is called: most runtimes wait without.
 */
export const createCompiledScriptSchema = () =>
  z.object({
    /** Null for a module, which is loaded as it stands, and for a script that does not parse. */
    text: z.string().nullable(),
    /** How far line 1 moved to the right; every other line keeps its columns, and all keep their numbers. */
    firstLineShift: z.int(),
    comments: z.array(z.object({name: z.string(), value: z.string(), line: z.int(), column: z.int()})),
    /** Why it cannot be loaded. */
    issue: createIssueSchema().nullable(),
    warnings: z.array(createIssueSchema()),
  });
export type CompiledScript = z.infer<ReturnType<typeof createCompiledScriptSchema>>;

/** Messages between the runtime and the process that parses. */
export const createCompileRequestSchema = () =>
  z.object({
    id: z.int(),
    /** Absolute path of the script. */
    path: z.string(),
    /** Absolute path where the result is put. */
    cachePath: z.string(),
  });
export type CompileRequest = z.infer<ReturnType<typeof createCompileRequestSchema>>;
export const createCompileReplySchema = () => z.object({id: z.int(), error: z.string().nullable()});
export type CompileReply = z.infer<ReturnType<typeof createCompileReplySchema>>;
