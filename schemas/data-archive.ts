import * as z from 'zod';

/** Last member of an archive of a data directory; no file of a branch may have this name at the top. */
export const archiveManifestName = '.branchtab-backup.json';

/** What an archive holds, written when everything else was. */
export const dataManifestSchema = z.object({
  archive_bytes: z.int().min(0).meta({description: 'Bytes of the archive before this member.'}),
  files: z.int().min(0),
  databases: z.int().min(0).meta({description: 'SQLite files among them, copied as of one moment.'}),
  uncertain: z
    .array(z.string())
    .meta({description: 'Files that changed while they were copied, and databases that SQLite cannot read.'}),
});
export type DataManifest = z.infer<typeof dataManifestSchema>;

/** A file of the branch that fills the data directory of a new container, once, before any schedule runs. */
export const seedRequestSchema = z.object({
  script: z.string().min(1).max(1024),
  timeout_ms: z
    .int()
    .min(1)
    .max(24 * 3_600_000),
});
export type SeedRequest = z.infer<typeof seedRequestSchema>;

export const seedResultSchema = z.object({
  exit_code: z.int().nullable().meta({description: 'Null where a signal or the time limit ended it.'}),
  output: z.string().meta({description: 'The end of what it wrote, secrets masked.'}),
});
export type SeedResult = z.infer<typeof seedResultSchema>;
