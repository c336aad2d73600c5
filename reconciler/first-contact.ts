import {createHash} from 'node:crypto';
import {join} from 'node:path';
import type {Clock} from '../runtime/platform/clock.ts';
import {readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {mkdir} from '../runtime/platform/files.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {BranchRecord} from './branch-record.ts';
import {type Container, labelNames} from './containers/provider.ts';
import type {RecordStore} from './record-store.ts';
import type {WatchedRepository} from './repository-watch.ts';
import {createServedPaths} from './served-paths.ts';

/** Of a repository with more served branches that have `.hoody/`, not all are run unasked. */
export const mostUnasked = 5;

/** Which repositories this state directory has met. */
export interface FirstContacts {
  isMet(repository: string): Promise<boolean>;
  /**
   * The repositories of containers that are here although their repository was never met: the records are lost, and
   * the containers may be somebody's. With a sentence for people.
   */
  strangers(
    containers: readonly Container[],
    repositories: readonly WatchedRepository[],
  ): Promise<ReadonlyMap<string, string>>;
  /** At a listing, with the branches that are new in it. At the first one, previews of a large repository are paused. */
  meet(repository: string, found: readonly BranchRecord[]): Promise<void>;
}

export function openFirstContacts({
  directory,
  records,
  runUnasked,
  clock,
}: {
  directory: string;
  records: RecordStore;
  /** Run what a repository holds when it is met, however much that is. */
  runUnasked: boolean;
  clock: Clock;
}): FirstContacts {
  const met = new Set<string>();
  const pathOf = (repository: string) =>
    join(directory, `${createHash('sha256').update(repository).digest('hex').slice(0, 32)}.json`);
  const ofRepository = (repository: string) =>
    [...records.all()].filter((record) => record.repository === repository);

  const isMet = async (repository: string): Promise<boolean> => {
    if (met.has(repository)) return true;
    // A state directory of a version that took no notes has met what it runs.
    const runs = ofRepository(repository).some(({applied}) => applied !== null);
    if (!runs && (await readTextIfPresent(pathOf(repository))) === null) return false;
    met.add(repository);
    return true;
  };

  const note = async (repository: string): Promise<void> => {
    await mkdir(directory, {recursive: true, mode: 0o700});
    const met_at = new Date(clock.now()).toISOString();
    await writeFileDurably(pathOf(repository), `${JSON.stringify({repository, met_at})}\n`);
    met.add(repository);
  };

  return {
    isMet,
    async strangers(containers, repositories) {
      const counts = new Map<string, number>();
      for (const {labels} of containers) {
        const name = labels[labelNames.repository];
        const isWatched = repositories.some(({source}) => source.repository === name);
        if (name !== undefined && isWatched && !(await isMet(name)))
          counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      return new Map(
        [...counts].map(([repository, count]) => [
          repository,
          `${count} container(s) of ${repository} are here, but the records of them are lost. Nothing is changed until you take them over with: branchtab adopt`,
        ]),
      );
    },
    async meet(repository, found) {
      if (await isMet(repository)) return;
      const all = new Map([...ofRepository(repository), ...found].map((record) => [record.key, record]));
      const waiting = runUnasked ? [] : pauseUnasked([...all.values()], clock.now());
      // Before the note: whoever dies in between meets the repository once more.
      await Promise.all(waiting.map((record) => records.save(record)));
      await note(repository);
    },
  };
}

interface BranchPlace {
  readonly branch: string;
  readonly path: string;
  readonly commit: string;
}

/** What would be served of a repository that was never met. */
export interface Census {
  readonly repository: string;
  readonly live: string | null;
  /** What would have a container: live, then the branches with the newest commits. */
  readonly branches: readonly BranchPlace[];
}

/** Throws REPOSITORY_UNREADABLE. */
export async function takeCensus(
  {source, includes, paths, live: configuredLive}: WatchedRepository,
  {log, signal}: {log: Log; signal: AbortSignal},
): Promise<Census> {
  const listing = await source.list({signal});
  const live = configuredLive ?? listing.defaultBranch;
  const liveCommit = live === null ? undefined : listing.branches.get(live);
  const served = new Map([...listing.branches].filter(([name]) => name === live || includes(name)));
  const servedPaths = createServedPaths({source, paths, log});
  const liveTip = live === null || liveCommit === undefined ? null : {branch: live, commit: liveCommit};
  await servedPaths.look(served, {live: liveTip, signal});
  const newest = served.size > mostUnasked ? await source.newestFirst({signal}) : [...served.keys()];
  const names = [...new Set([...(live === null ? [] : [live]), ...newest])];
  const branches = names.flatMap((branch) => {
    const commit = served.get(branch);
    const places = commit === undefined ? [] : [...(servedPaths.of(branch) ?? [])];
    return places.flatMap(([path, state]) =>
      commit === undefined || state === 'same' ? [] : [{branch, path, commit}],
    );
  });
  return {repository: source.repository, live, branches};
}

/** The previews among them that were never given anything wait from now on, where there are too many to run unasked. */
function pauseUnasked(records: readonly BranchRecord[], nowMs: number): readonly BranchRecord[] {
  if (records.filter(({missing}) => missing === null).length <= mostUnasked) return [];
  const waiting = records.filter(
    ({live, applied, container_id}) => !live && applied === null && container_id === null,
  );
  for (const record of waiting)
    record.pause = {reason: 'first_contact', since: new Date(nowMs).toISOString()};
  return waiting;
}
