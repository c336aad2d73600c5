import type {Clock} from '../runtime/platform/clock.ts';

/** Where a branch is said to be now; null where it is said to be gone, undefined where nothing is said. */
export interface Announcement {
  /** Of the delivery that brought it. */
  readonly id: string;
  readonly branch: string | null;
  readonly commit: string | null | undefined;
}

/** What is needed of the watch over one repository. */
export interface AnnouncedRepository {
  /** One look that begins after the call, because of that delivery. Resolves when it is over, however it went. */
  look(id: string): Promise<void>;
  /** Commit of a branch in the last look; null where it had none, undefined before the first. */
  commitOf(branch: string): string | null | undefined;
}

/** A burst comes together: what follows the first so closely shares its look. */
const settleMs = 15;

/** Brings news of one repository to as few looks at it as answer them all. */
export interface Announcements {
  /** Resolves after a look that began later than the news came, or at once where the last one says the same. */
  tell(announcement: Announcement): Promise<void>;
}

export function createAnnouncements({
  repository,
  clock,
  signal,
}: {
  repository: AnnouncedRepository;
  clock: Clock;
  signal: AbortSignal;
}): Announcements {
  interface Told extends Announcement {
    readonly done: () => void;
  }
  let waiting: Told[] = [];
  let isLooking = false;

  const isKnown = ({branch, commit}: Announcement): boolean => {
    if (branch === null || commit === undefined) return false;
    return repository.commitOf(branch) === commit;
  };

  const look = async (): Promise<void> => {
    isLooking = true;
    while (waiting.length > 0 && !signal.aborted) {
      await clock.sleep(settleMs, {signal}).catch(() => {
        // The controller stops; the next one looks at everything.
      });
      const answered = waiting;
      waiting = [];
      const news = answered.find((told) => !isKnown(told));
      if (news !== undefined) await repository.look(news.id);
      for (const {done} of answered) done();
      // What came meanwhile may have been seen already.
      const seen = waiting.filter(isKnown);
      waiting = waiting.filter((told) => !seen.includes(told));
      for (const {done} of seen) done();
    }
    isLooking = false;
  };

  return {
    tell: (announcement) =>
      new Promise((resolve) => {
        waiting.push({...announcement, done: resolve});
        if (!isLooking) void look();
      }),
  };
}
