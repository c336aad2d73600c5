import * as z from 'zod';
import {containerRecordSchema} from '../container-record.ts';

const identitySchema = z.object({pid: z.int().min(2), start_ticks: z.int().min(0)});

/** `container.json` of the process provider. */
export const processRecordSchema = containerRecordSchema.extend({
  provider: z.literal('process').default('process'),
  level: z.enum(['network', 'sandbox', 'plain']).meta({description: 'Level of the latest start.'}),
  address: z.string().meta({description: "Loopback address of the kits where the host's network is shared."}),
  cgroup: z.string().nullable().meta({description: 'Cgroup of the latest start, where one could be made.'}),
  limit_groups: z
    .array(
      z.object({
        directory: z.string(),
        version: z.union([z.literal(1), z.literal(2)]),
        bounds: z.array(z.enum(['cpus', 'memory'])),
      }),
    )
    .default([])
    .meta({description: 'Cgroups of the latest start that bound what it uses.'}),
  process: z
    .object({
      boot_id: z.string(),
      runtime: identitySchema,
      roots: z
        .array(identitySchema)
        .meta({description: 'Processes of the start; all others descend from them.'}),
      uplink: identitySchema
        .nullable()
        .default(null)
        .meta({description: 'What connects its network, where that is known.'}),
      kit_url: z.string(),
      runtime_version: z.string(),
    })
    .nullable()
    .meta({description: 'Null when nothing of the container runs, and during a start.'}),
});
export type ProcessRecord = z.infer<typeof processRecordSchema>;
