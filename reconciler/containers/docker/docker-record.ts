import * as z from 'zod';
import {containerRecordSchema} from '../container-record.ts';

/** `container.json` of the docker provider. */
export const dockerRecordSchema = containerRecordSchema.extend({
  provider: z.literal('docker'),
  image: z
    .string()
    .meta({description: 'Name or id of the image that the container of the engine is made from.'}),
  made_limits: z
    .object({cpus: z.number().nullable(), memory_bytes: z.number().nullable()})
    .nullable()
    .meta({description: 'Limits that the container of the engine was made with; null while there is none.'}),
  runtime: z
    .object({kit_url: z.string(), runtime_version: z.string()})
    .nullable()
    .meta({description: 'Of the latest start; null when nothing runs, and during a start.'}),
});
export type DockerRecord = z.infer<typeof dockerRecordSchema>;
