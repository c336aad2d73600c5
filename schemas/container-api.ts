import * as z from 'zod';
import {containerViewSchema} from './branch.ts';

/** A container as people list it, whoever it belongs to. */
export const containerItemSchema = containerViewSchema
  .extend({
    branch: z.string().nullable().meta({description: 'The branch that owns it; null for a standalone one.'}),
    path: z
      .string()
      .nullable()
      .default(null)
      .meta({description: 'Directory of a monorepo that it is for; `.` for the whole repository.'}),
    repository: z.string().nullable(),
    standalone: z.boolean().meta({description: 'True where a person made it and no branch owns it.'}),
  })
  .meta({id: 'ContainerItem'});
export type ContainerItem = z.infer<typeof containerItemSchema>;

export const containerOperationSchema = z.enum(['start', 'stop', 'restart']);
export type ContainerOperation = z.infer<typeof containerOperationSchema>;

const hexId = z.string().regex(/^[0-9a-f]{24}$/);

/** A container as clients of the public control plane read it: from these fields they make the hosts of its kits. */
export const publicContainerSchema = z
  .object({
    id: hexId,
    project_id: hexId.meta({description: 'The same for all containers of a repository.'}),
    server_name: z.string(),
    name: z.string(),
    status: z.string().meta({example: 'running'}),
    container: containerItemSchema,
  })
  .meta({id: 'PublicContainer'});
export type PublicContainer = z.infer<typeof publicContainerSchema>;

const envelope = {statusCode: z.literal(200), message: z.string()};

export const containerEnvelopeSchema = z
  .object({...envelope, data: publicContainerSchema})
  .meta({id: 'ContainerEnvelope'});

export const containerListSchema = z
  .object({
    ...envelope,
    data: z.object({containers: z.array(publicContainerSchema)}),
    items: z.array(containerItemSchema),
  })
  .meta({id: 'ContainerList'});

export const createContainerSchema = z
  .strictObject({
    from: z.string().max(100).optional().meta({
      description: 'Snapshot whose files it starts with; empty files without it.',
      example: 'main-snapshot',
    }),
    data: z.enum(['empty', 'copy']).default('empty').meta({
      description: 'Whether its data directory begins empty, or with that of the snapshot.',
    }),
    name: z.string().max(100).optional().meta({
      description:
        'At most 49 of a-z, 0-9 and "-", not shaped like an id or the key of a branch; made up unless given.',
      example: 'try-out',
    }),
  })
  .meta({id: 'CreateContainer'});
/** As people write it: what has a default may be left out. */
export type CreateContainer = z.input<typeof createContainerSchema>;

export const snapshotSchema = z
  .object({
    name: z.string(),
    container_id: z.string().meta({example: 'ctr_5f0c2b9e1a7d4c3b8e6f0a12'}),
    created_at: z.string(),
  })
  .meta({id: 'Snapshot', description: 'A point in time of the files of one container.'});
export type SnapshotView = z.infer<typeof snapshotSchema>;

export const snapshotListSchema = z.object({items: z.array(snapshotSchema)}).meta({id: 'SnapshotList'});

export const createSnapshotSchema = z
  .strictObject({
    container: z.string().max(1024).meta({
      description: 'Id or name of a container, or name or key of a branch.',
      example: 'main',
    }),
    name: z.string().max(200).meta({
      description:
        'At most 100 letters, digits, "_", "." and "-". An older snapshot of that name is replaced.',
      example: 'main-snapshot',
    }),
  })
  .meta({id: 'CreateSnapshot'});
export type CreateSnapshot = z.infer<typeof createSnapshotSchema>;

export const deletedSchema = z.object({deleted: z.literal(true)}).meta({id: 'Deleted'});

/** The 24 hex digits of an id with or without `ctr_`; null for what is no id. */
export function containerIdOf(text: string): string | null {
  return /^(?:ctr_)?([0-9a-f]{24})$/.exec(text)?.[1] ?? null;
}
