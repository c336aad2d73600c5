import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {BranchRecord} from './branch-record.ts';
import type {Forge, PullRequest} from './forge.ts';
import type {Forks} from './forks.ts';
import {jitter} from './outcome.ts';

/** As many as one answer of the forge holds at most. */
const wholePage = 100;

/**
 * Notes on the records of one repository which previews have ended with their pull request. Only a pull request that
 * the forge shows as closed, at the very commit of the branch, ends one; a listing that fails or lacks it says nothing.
 */
export interface PullRequests {
  /** Looks now. Calls during a look share the next one. Never throws: the next look makes up for one that failed. */
  look(): Promise<void>;
  /** Looks by interval until the signal aborts. */
  run(): void;
}

export function createPullRequests({
  forge,
  repository,
  forgePath,
  records,
  forks,
  isKept,
  onRead,
  onEnded,
  clock,
  log,
  random,
  intervalMs,
  signal,
}: {
  forge: Forge;
  repository: string;
  /** `host/owner/name`. */
  forgePath: string;
  records: () => Iterable<BranchRecord>;
  isKept: (branch: BranchRecord) => boolean;
  /** Null where those of forks are not served. */
  forks: Pick<Forks, 'admitted' | 'noted' | 'read'> | null;
  /** Those that an answer held, whatever they are to us. */
  onRead: (pulls: readonly PullRequest[]) => void;
  /** A preview has ended, or goes on after all, or another commit of a fork is served. */
  onEnded: () => Promise<void>;
  clock: Clock;
  log: Log;
  random: () => number;
  intervalMs: number;
  signal: AbortSignal;
}): PullRequests {
  const known = new Map<number, PullRequest>();
  /** Branches whose pull requests were asked for by name, for they are on no page of the last ones. */
  const asked = new Set<string>();
  let looking: Promise<void> | null = null;
  let again = false;
  let problem: string | null = null;

  const keep = (pulls: readonly PullRequest[]) => {
    onRead(pulls);
    for (const pull of pulls) if (!pull.isFork) known.set(pull.number, pull);
  };

  /** Those that are on no page of the last ones are asked for by number: they may have been closed long ago. */
  const readForks = async (
    page: readonly PullRequest[],
    noted: ReadonlyMap<number, string>,
  ): Promise<boolean> => {
    if (forks === null) return false;
    const read = [...page];
    if (page.length >= wholePage)
      for (const number of forks.admitted().keys())
        if (!page.some((pull) => pull.number === number))
          read.push(await forge.pullRequest(forgePath, number, {signal}));
    return forks.read(read, noted);
  };

  const lookOnce = async (): Promise<void> => {
    const noted = forks?.noted() ?? new Map<number, string>();
    const page = await forge.pullRequests(forgePath, {signal});
    keep(page);
    const previews = [...records()].filter((record) => !record.live && !isKept(record));
    const served = new Set(previews.map(({branch}) => branch));
    for (const [number, {branch}] of known) if (!served.has(branch)) known.delete(number);
    for (const branch of asked) if (!served.has(branch)) asked.delete(branch);
    if (page.length >= wholePage) {
      for (const branch of served) {
        if (asked.has(branch) || [...known.values()].some((pull) => pull.branch === branch)) continue;
        keep(await forge.pullRequests(forgePath, {branch, signal}));
        asked.add(branch);
      }
    }
    let hasChanged = await readForks(page, noted);
    for (const record of previews) {
      const closed = endOf(record, [...known.values()]);
      if (
        closed?.revision === record.closed?.revision &&
        closed?.pull_request === record.closed?.pull_request
      )
        continue;
      record.closed = closed;
      hasChanged = true;
    }
    if (hasChanged) await onEnded();
  };

  const look = (): Promise<void> => {
    if (looking !== null) {
      again = true;
      return looking;
    }
    looking = (async () => {
      do {
        again = false;
        try {
          await lookOnce();
          problem = null;
        } catch (error) {
          if (signal.aborted) return;
          const message = error instanceof Error ? error.message : String(error);
          if (problem !== message)
            log.warn('pull requests cannot be read; no preview ends because of them', {repository, error});
          problem = message;
        }
      } while (again && !signal.aborted);
    })().finally(() => {
      looking = null;
    });
    return looking;
  };

  const poll = async (): Promise<void> => {
    await look();
    while (!signal.aborted) {
      await clock.sleep(jitter(intervalMs, random()), {signal});
      await look();
    }
  };

  return {
    look,
    run() {
      void poll().catch(() => {
        // It sleeps on the signal: this is its ordinary end.
      });
    },
  };
}

/** An open pull request of the branch keeps its preview, whatever others were closed. */
function endOf({branch, revision}: BranchRecord, pulls: readonly PullRequest[]): BranchRecord['closed'] {
  const own = pulls.filter((pull) => pull.branch === branch);
  if (revision === null || own.some(({state}) => state === 'open')) return null;
  const last = own.filter(({commit}) => commit === revision).sort((a, b) => b.number - a.number)[0];
  return last === undefined ? null : {revision, pull_request: last.number};
}
