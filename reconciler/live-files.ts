import {readCrontabs} from './branch-files.ts';
import type {BranchRecord} from './branch-record.ts';
import type {BranchFiles, CrontabFile} from './observation.ts';
import type {Source} from './sources/source.ts';

/** What the live branch of the repository runs, and how the files of another branch differ from its; null while nothing is applied. */
export async function filesOfLive(
  source: Source,
  {
    records,
    of: {repository, path},
    files,
    signal,
  }: {
    records: Iterable<BranchRecord>;
    of: Pick<BranchRecord, 'repository' | 'path'>;
    files: BranchFiles;
    signal: AbortSignal;
  },
): Promise<{crontabs: readonly CrontabFile[]; changedPaths: readonly string[]} | null> {
  const live = [...records].find(
    (record) => record.live && record.repository === repository && record.path === path,
  );
  const applied = live?.applied ?? null;
  if (applied === null) return null;
  const tree = await source.readHoody(applied.revision, {path, signal});
  if (tree === null) return null;
  const changes = await source.diffTrees(applied.root_tree, files.rootTree, {signal});
  return {crontabs: readCrontabs(tree).crontabs, changedPaths: changes.map(({path}) => path)};
}
