import * as z from 'zod';

/** Counts changes that an older Branchtab cannot read. What it lacks of later ones is filled in at import. */
export const stateExportVersion = 1;

export const stateExportFormat = 'branchtab state';

/** First line of an export. */
export const exportHeadSchema = z.object({
  format: z.literal(stateExportFormat),
  schema_version: z.int().min(1),
  exported_at: z.string(),
  branchtab_version: z.string(),
});

/** One document of the state directory, by its path there. */
export const exportedDocumentSchema = z.strictObject({
  path: z.string().max(200),
  lines: z.array(z.unknown()).max(100_000),
});

/** Last line: how much stands before it, and the SHA-256 of those bytes. */
export const exportEndSchema = z.strictObject({
  documents: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
