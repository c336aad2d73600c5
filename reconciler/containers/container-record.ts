import {join} from 'node:path';
import * as z from 'zod';
import {listNames} from '../../runtime/platform/directories.ts';
import {readTextIfPresent, writeFileDurably} from '../../runtime/platform/durable-file.ts';
import {parseJson} from './parse-json.ts';

/** `container.json`: what is durable of a container, whoever provides it. Each provider adds fields of its own. */
export const containerRecordSchema = z.object({
  provider: z.enum(['process', 'docker', 'incus']).default('process'),
  id: z.string().regex(/^[0-9a-f]{24}$/),
  name: z.string().regex(/^[a-z0-9-]{1,49}$/),
  labels: z.record(z.string(), z.string()),
  created_at: z.string(),
  time_zone: z.string(),
  wanted: z.enum(['running', 'stopped']),
  control_socket: z.string(),
  boot_mark: z
    .string()
    .meta({description: 'New with every wanted start; the same when a runtime that died is started again.'}),
  limits: z
    .object({cpus: z.number().nullable(), memory_bytes: z.number().nullable()})
    .default({cpus: null, memory_bytes: null}),
  frozen: z.boolean().meta({description: 'True while a snapshot holds the processes stopped.'}),
});
export type ContainerRecord = z.infer<typeof containerRecordSchema>;

const fileName = 'container.json';
const maxRecordCharacters = 1_048_576;

export async function writeRecord(directory: string, record: ContainerRecord): Promise<void> {
  await writeFileDurably(join(directory, fileName), `${JSON.stringify(record, null, 2)}\n`);
}

/** The record, or why there is none that can be used. Never throws: one bad directory must not hide the others. */
export async function readRecord<Schema extends z.ZodType<ContainerRecord>>(
  directory: string,
  schema: Schema,
): Promise<z.infer<Schema> | {problem: string}> {
  let text: string | null;
  try {
    text = await readTextIfPresent(join(directory, fileName));
  } catch (error) {
    return {problem: `container.json cannot be read: ${error instanceof Error ? error.message : error}`};
  }
  if (text === null) return {problem: 'no container.json'};
  if (text.length > maxRecordCharacters) return {problem: 'container.json is too long'};
  const result = schema.safeParse(parseJson(text));
  return result.success ? result.data : {problem: `container.json: ${z.prettifyError(result.error)}`};
}

/** Who made the containers of a state directory; null where there are none. */
export async function recordedProvider(stateDirectory: string): Promise<ContainerRecord['provider'] | null> {
  const containers = join(stateDirectory, 'containers');
  for (const name of await listNames(containers)) {
    const record = await readRecord(join(containers, name), containerRecordSchema);
    if (!('problem' in record)) return record.provider;
  }
  return null;
}
