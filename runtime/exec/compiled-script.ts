import * as z from 'zod';

const createIssueSchema = () =>
  z.object({line: z.int(), column: z.int(), code: z.string(), message: z.string()});

/**
 * What is known of a script once it has been parsed; kept in the cache by the hash of its text. The schema is made when
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
