import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Claim} from '../schemas/claim.ts';
import type {ClaimPlace, FoundClaim} from './sources/source.ts';

/** Who we are. */
export interface Claimant {
  readonly owner: string;
  readonly host: string;
  readonly stateDirectory: string;
}

/** Whether a controller may change what runs for a repository. */
export interface Ownership {
  /**
   * Claims the repository where nobody else has it; with `takeOver` in any case. Answers the claims of others that
   * it replaced. Once the repository is somebody else's it stays so for this process.
   */
  claim(options: {takeOver: boolean}): Promise<readonly Claim[]>;
  /**
   * Null where the repository is not somebody else's. Places without an interval are read for the answer; the others
   * when it is time, beside it, unless the answer shall wait for them.
   */
  obstacle(options?: {everywhere: boolean}): Promise<string | null>;
  /** Takes our claims back, for when nothing of the repository runs any more. */
  release(): Promise<void>;
}

/** Somebody else changes the place at the same time: so often it is tried again. */
const mostTries = 5;

export function createOwnership({
  repository,
  places,
  self,
  isThere,
  describe,
  clock,
  log,
}: {
  /** As people know it. */
  repository: string;
  places: readonly ClaimPlace[];
  self: Claimant;
  /** True where the claim's state directory is on this machine and is still that owner's. */
  isThere: (claim: Claim) => Promise<boolean>;
  /** Who has it and where, for people. */
  describe: (claim: Claim) => Promise<string>;
  clock: Clock;
  log: Log;
}): Ownership {
  let lost: string | null = null;
  const lookedMs = new Map<ClaimPlace, number>();

  /** A copy of a state directory is somebody else; a state directory that is gone is nobody. */
  const isForeign = async ({claim}: FoundClaim): Promise<boolean> => {
    if (claim === null) return true;
    const {owner, host, state_directory} = claim;
    if (owner === self.owner)
      return host === self.host && state_directory !== self.stateDirectory && (await isThere(claim));
    return host !== self.host || (await isThere(claim));
  };

  const sentence = async ({claim}: FoundClaim, where: string): Promise<string> => {
    const who = claim === null ? `somebody whose claim in ${where} cannot be read` : await describe(claim);
    return `${repository} belongs to ${who}. Nothing is changed from here; use that one, or take it over with: branchtab up --take-over`;
  };

  const own = (): Claim => ({
    schema_version: 1,
    owner: self.owner,
    repository,
    host: self.host,
    state_directory: self.stateDirectory,
    claimed_at: new Date(clock.now()).toISOString(),
  });

  const isOwn = (found: FoundClaim | null) =>
    found?.claim?.owner === self.owner && found.claim.state_directory === self.stateDirectory;

  /** The claim of somebody else that was replaced; sets `lost` where it must not be. */
  const claimPlace = async (place: ClaimPlace, takeOver: boolean): Promise<Claim | null> => {
    for (let tries = 0; tries < mostTries; tries += 1) {
      const found = await place.read();
      const foreign = found !== null && (await isForeign(found));
      if (foreign && !takeOver) {
        lost = await sentence(found, place.where);
        return null;
      }
      if (isOwn(found) || (await place.replace(found, own()))) return foreign ? found.claim : null;
    }
    lost = `${repository} is being claimed by others at the same time; nothing is changed from here. Start again.`;
    return null;
  };

  const look = async (place: ClaimPlace): Promise<void> => {
    try {
      const found = await place.read();
      if (found !== null && (await isForeign(found))) lost ??= await sentence(found, place.where);
    } catch (error) {
      log.warn('whose a repository is cannot be read; what was known holds', {
        repository,
        where: place.where,
        error,
      });
    }
  };

  const isTime = (place: ClaimPlace): boolean => {
    const sinceMs = clock.now() - (lookedMs.get(place) ?? -Infinity);
    if (sinceMs >= 0 && sinceMs < place.intervalMs) return false;
    lookedMs.set(place, clock.now());
    return true;
  };

  return {
    async claim({takeOver}) {
      const replaced: Claim[] = [];
      for (const place of places) {
        try {
          const former = await claimPlace(place, takeOver);
          if (former !== null) replaced.push(former);
        } catch (error) {
          log.warn('a repository could not be claimed; other controllers do not know that it is ours', {
            repository,
            where: place.where,
            error,
          });
        }
        if (lost !== null) return replaced;
      }
      return replaced;
    },
    async obstacle({everywhere} = {everywhere: false}) {
      if (lost !== null) return lost;
      for (const place of places) {
        if (place.intervalMs === 0 || everywhere) await look(place);
        // Nothing waits for a server: what it says counts from then on.
        else if (isTime(place)) void look(place);
      }
      return lost;
    },
    async release() {
      if (lost !== null) return;
      for (const place of places) {
        const found = await place.read().catch(() => null);
        if (isOwn(found)) await place.replace(found, null);
      }
    },
  };
}
