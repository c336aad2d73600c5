import * as z from 'zod';
import {containerRecordSchema} from '../container-record.ts';

/** `container.json` of the incus provider. */
export const incusRecordSchema = containerRecordSchema.extend({
  provider: z.literal('incus'),
  instance: z.string().meta({description: 'Name of the instance that the server runs for it.'}),
  from: z
    .string()
    .nullable()
    .default(null)
    .meta({description: 'Name of the snapshot it was made from; null for the image.'}),
  away: z.object({since: z.string(), lease_ms: z.number().nullable()}).nullable().default(null).meta({
    description:
      'Since when the member of the cluster that has it does not answer, and the lease its runtime had then.',
  }),
  address: z
    .object({address: z.string(), prefix_length: z.number(), gateway: z.string(), network: z.string()})
    .nullable()
    .default(null)
    .meta({description: 'Where it is in a network of the server; null without one.'}),
  runtime: z
    .object({kit_url: z.string(), runtime_version: z.string()})
    .nullable()
    .meta({description: 'Of the latest start; null when nothing runs, and during a start.'}),
});
export type IncusRecord = z.infer<typeof incusRecordSchema>;
