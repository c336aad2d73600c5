/**
 * When more than half, and more than three, of a repository's previews vanish together, none is deleted; nor where it
 * has no branch at all any more.
 */
export function breakerTrips({
  previews,
  missing,
  listed,
}: {
  previews: number;
  missing: number;
  /** Branches of the whole listing, served or not. */
  listed: number;
}): boolean {
  return listed === 0 || (missing > 3 && missing * 2 > previews);
}

/** Deletions that lie no further apart than this count as one wave: git and scripts delete refs one by one. */
export const waveMs = 10_000;

/**
 * How far apart the two looks that prove a deletion must lie: of a remote two complete listings, of a local
 * repository a listing and a direct read of the ref, far enough for a deletion of many refs to be seen as one.
 */
export const proofDistanceMs = {local: 250, remote: 2000} as const;

/** So long a forge's word that a branch was deleted counts, beside a listing that was begun after it. */
export const wordMs = 60_000;

/** True when a second look confirms the first. */
export function farEnoughApart(
  missingSince: string,
  lookedAtMs: number,
  kind: keyof typeof proofDistanceMs,
): boolean {
  return lookedAtMs - Date.parse(missingSince) >= proofDistanceMs[kind];
}
