import * as z from 'zod';

/** Every method a script may be restricted to. */
export const scriptMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** What a manifest says of a script beside where it is. Absent means: as the script's own comments say. */
export const createScriptSettingsSchema = () =>
  z
    .strictObject({
      timeout_ms: z.int().min(0).meta({description: '0: no limit.'}),
      methods: z.array(z.enum(scriptMethods)).min(1).max(scriptMethods.length),
      concurrency: z.int().min(1).max(1000).meta({description: 'Calls at the same time.'}),
      warm: z.boolean().meta({description: 'The script host is kept running.'}),
      description: z.string().max(1000),
    })
    .partial();
export type ScriptSettings = z.infer<ReturnType<typeof createScriptSettingsSchema>>;

/** A path that a manifest gives to a file of the deployment, with what it says of it. */
export const createScriptMountSchema = () =>
  z.strictObject({
    path: z
      .string()
      .min(1)
      .max(1024)
      .meta({description: 'Route without extension.', example: 'reports/[day]'}),
    file: z.string().min(1).max(1024).meta({description: 'Path of a file of the deployment.'}),
    settings: createScriptSettingsSchema(),
  });
export type ScriptMount = z.infer<ReturnType<typeof createScriptMountSchema>>;

/** Where a branch keeps its scripts, with the slash. */
export const scriptsDirectory = '.hoody/exec/';

/** Files of the repository outside of `.hoody/exec` are deployed below this directory, which no URL reaches. */
export const repositoryFilesDirectory = '_hoody/repository';
