import type {Clock} from '../runtime/platform/clock.ts';
import {AppError} from '../schemas/errors.ts';
import type {WatchedRepository} from './repository-watch.ts';

/** Says for which repositories nothing may be changed, and why. */
export interface WriteGuard {
  /** In a sentence for people; null where all is ours. Looks at the claims anew. */
  obstacle(repository: string): Promise<string | null>;
  /** As of the last look. */
  known(repository: string): string | null;
  /** Throws READ_ONLY. */
  require(repository: string): Promise<void>;
  /** Lets nothing be changed until `letGo`, whoever owns the repository. */
  hold(repository: string, why: string): void;
  letGo(repository: string): void;
  /** The repositories that are held. */
  held(): readonly string[];
  /** Looks at the claims until the signal aborts. */
  watch(options: {signal: AbortSignal}): Promise<void>;
}

/** A controller that was fenced finds out within this time, also where nothing happens. */
const lookIntervalMs = 2000;

export function createWriteGuard({
  repositories,
  clock,
  onLost,
}: {
  repositories: readonly WatchedRepository[];
  clock: Clock;
  /** The repository was ours until now. */
  onLost: (repository: string) => void;
}): WriteGuard {
  const holds = new Map<string, string>();
  const lost = new Map<string, string>();

  const obstacle = async (repository: string): Promise<string | null> => {
    const hold = holds.get(repository);
    if (hold !== undefined) return hold;
    const known = lost.get(repository);
    if (known !== undefined) return known;
    const watched = repositories.find(({source}) => source.repository === repository);
    const found = (await watched?.ownership?.obstacle()) ?? null;
    // Two may have asked at the same time.
    if (found === null || lost.has(repository)) return found;
    lost.set(repository, found);
    onLost(repository);
    return found;
  };

  return {
    obstacle,
    known: (repository) => holds.get(repository) ?? lost.get(repository) ?? null,
    async require(repository) {
      const why = await obstacle(repository);
      if (why !== null) throw new AppError('READ_ONLY', why);
    },
    hold: (repository, why) => void holds.set(repository, why),
    letGo: (repository) => void holds.delete(repository),
    held: () => [...holds.keys()],
    async watch({signal}) {
      for (;;) {
        for (const {source} of repositories) await obstacle(source.repository);
        await clock.sleep(lookIntervalMs, {signal});
      }
    },
  };
}
