import * as z from 'zod';

/**
 * One step of a plan. The dry run, the test of the diff and the log are this value; `reason` is a short
 * machine word, `summary` a sentence for people.
 */
const base = {reason: z.string(), summary: z.string()};

export const actionSchema = z
  .discriminatedUnion('kind', [
    z.object({kind: z.literal('create_container'), ...base}),
    z.object({kind: z.literal('restore_container'), ...base}),
    z.object({kind: z.literal('limit_container'), ...base}),
    z.object({kind: z.literal('start_container'), ...base}),
    z.object({kind: z.literal('restore_data'), ...base}),
    z.object({kind: z.literal('put_environment'), ...base}),
    z.object({kind: z.literal('sync_workspace'), from: z.string().nullable(), to: z.string(), ...base}),
    z.object({kind: z.literal('deploy_scripts'), digest: z.string(), ...base}),
    z.object({kind: z.literal('fill_data'), ...base}),
    z.object({kind: z.literal('put_crontab'), user: z.string(), if_match: z.string(), ...base}),
    z.object({kind: z.literal('restore_entries'), ...base}),
    z.object({kind: z.literal('set_lease'), duration_ms: z.int().nullable(), ...base}),
    z.object({kind: z.literal('release_schedule'), ...base}),
    z.object({kind: z.literal('pause_schedule'), ...base}),
    z.object({kind: z.literal('trash_container'), ...base}),
    z.object({kind: z.literal('remove_container'), ...base}),
    z.object({kind: z.literal('forget_branch'), ...base}),
  ])
  .meta({id: 'Action', description: 'A step that the controller will take.'});

export type Action = z.infer<typeof actionSchema>;
