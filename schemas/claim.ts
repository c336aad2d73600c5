import * as z from 'zod';

/** Shown on terminals as it is. */
const shownText = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}\p{Bidi_Control}]*$/u);

/** Whose a repository is, as it stands in the state home and in `refs/branchtab/owner`. Both are hostile until parsed. */
export const claimSchema = z.object({
  schema_version: z.literal(1),
  /** Random, of the state directory. */
  owner: z.string().regex(/^[0-9a-f]{32}$/),
  /** As its owner calls it, without credentials. */
  repository: shownText(4096),
  host: shownText(255),
  state_directory: shownText(4096),
  claimed_at: z.iso.datetime(),
});
export type Claim = z.infer<typeof claimSchema>;

const maxClaimCharacters = 16_384;

/** Null where the text is not a claim. */
export function parseClaim(text: string): Claim | null {
  if (text.length > maxClaimCharacters) return null;
  try {
    return claimSchema.parse(JSON.parse(text));
  } catch {
    // Whoever wrote it meant to say that the repository is somebody's: the caller treats it so.
    return null;
  }
}
