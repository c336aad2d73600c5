import * as z from 'zod';

export const deployedSchema = z.object({digest: z.string(), files: z.int()}).meta({id: 'Deployed'});
export type Deployed = z.infer<typeof deployedSchema>;

export const deploymentVersionSchema = z
  .object({
    digest: z.string(),
    commit: z.string().nullable().meta({description: 'Null: written over the API.'}),
    deployed_at: z.string(),
    current: z.boolean(),
  })
  .meta({id: 'DeploymentVersion'});
export type DeploymentVersion = z.infer<typeof deploymentVersionSchema>;
