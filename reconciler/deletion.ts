/** When more than half, and more than three, of a repository's previews vanish in one pass, none is deleted. */
export function breakerTrips({previews, missing}: {previews: number; missing: number}): boolean {
  return missing > 3 && missing * 2 > previews;
}

/** Two complete listings without the branch prove a deletion when they lie at least this far apart. */
export const proofDistanceMs = 2000;

/** True when a second complete listing confirms the first. */
export function provenByListings(missingSince: string, listedAtMs: number): boolean {
  return listedAtMs - Date.parse(missingSince) >= proofDistanceMs;
}
