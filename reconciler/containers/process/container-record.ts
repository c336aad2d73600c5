import {join} from 'node:path';
import * as z from 'zod';
import {readTextIfPresent, writeFileDurably} from '../../../runtime/platform/durable-file.ts';
import {parseJson} from './parse-json.ts';

const identitySchema = z.object({pid: z.int().min(2), start_ticks: z.int().min(0)});

/** `container.json`: all that the provider knows of a container, durable. */
export const containerRecordSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{24}$/),
  name: z.string().regex(/^[a-z0-9-]{1,49}$/),
  labels: z.record(z.string(), z.string()),
  created_at: z.string(),
  time_zone: z.string(),
  wanted: z.enum(['running', 'stopped']),
  level: z.enum(['sandbox', 'plain']).meta({description: 'Level of the latest start.'}),
  address: z.string().meta({description: 'Loopback address of the kits.'}),
  control_socket: z.string(),
  boot_mark: z
    .string()
    .meta({description: 'New with every wanted start; the same when a runtime that died is started again.'}),
  cgroup: z.string().nullable().meta({description: 'Cgroup of the latest start, where one could be made.'}),
  limits: z
    .object({cpus: z.number().nullable(), memory_bytes: z.number().nullable()})
    .default({cpus: null, memory_bytes: null}),
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
  frozen: z.boolean().meta({description: 'True while a snapshot holds the processes stopped.'}),
  process: z
    .object({
      boot_id: z.string(),
      runtime: identitySchema,
      roots: z
        .array(identitySchema)
        .meta({description: 'Processes of the start; all others descend from them.'}),
      kit_url: z.string(),
      runtime_version: z.string(),
    })
    .nullable()
    .meta({description: 'Null when nothing of the container runs, and during a start.'}),
});
export type ContainerRecord = z.infer<typeof containerRecordSchema>;

const fileName = 'container.json';
const maxRecordCharacters = 1_048_576;

export async function writeRecord(directory: string, record: ContainerRecord): Promise<void> {
  await writeFileDurably(join(directory, fileName), `${JSON.stringify(record, null, 2)}\n`);
}

/** The record, or why there is none that can be used. Never throws: one bad directory must not hide the others. */
export async function readRecord(directory: string): Promise<ContainerRecord | {problem: string}> {
  let text: string | null;
  try {
    text = await readTextIfPresent(join(directory, fileName));
  } catch (error) {
    return {problem: `container.json cannot be read: ${error instanceof Error ? error.message : error}`};
  }
  if (text === null) return {problem: 'no container.json'};
  if (text.length > maxRecordCharacters) return {problem: 'container.json is too long'};
  const result = containerRecordSchema.safeParse(parseJson(text));
  return result.success ? result.data : {problem: `container.json: ${z.prettifyError(result.error)}`};
}
