import * as z from 'zod';

export const backupSchema = z
  .object({
    id: z.string().meta({example: '20261121T020000000Z'}),
    created_at: z.string(),
    bytes: z.int().min(0),
    files: z.int().min(0),
    databases: z.int().min(0).meta({description: 'SQLite files among them, copied as of one moment.'}),
    uncertain: z.array(z.string()).meta({
      description: 'Files that changed while they were copied, and databases that SQLite cannot read.',
    }),
  })
  .meta({id: 'Backup', description: 'A copy of the data directory of a branch.'});
export type Backup = z.infer<typeof backupSchema>;

export const backupListSchema = z
  .object({
    items: z.array(backupSchema),
    problem: z
      .string()
      .nullable()
      .meta({description: 'Why the newest daily backup could not be made; null where it could.'}),
  })
  .meta({id: 'BackupList', description: 'Newest first.'});
export type BackupList = z.infer<typeof backupListSchema>;

export const restoreDataSchema = z
  .strictObject({
    backup: z.string().max(60).nullable().default(null).meta({
      description: 'Id of a backup; the newest one without it.',
    }),
    without_backup: z.boolean().default(false).meta({
      description: 'Where data are lost: go on with what is there, which may be nothing.',
    }),
  })
  .meta({id: 'RestoreData'});
export type RestoreData = z.infer<typeof restoreDataSchema>;
