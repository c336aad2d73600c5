import {inDirectory, wholeRepository} from '../schemas/branch-name.ts';
import type {ScheduleChange} from '../schemas/schedule-change.ts';
import {type CommitReader, readBranchFiles, readCrontabs} from './branch-files.ts';
import type {CrontabFile} from './observation.ts';
import {type ChangeContext, type Side, scheduleChange} from './schedule-change.ts';
import type {HoodyTree, Source} from './sources/source.ts';

/** Of so many other branches the crontabs are compared. */
const mostOthers = 200;

/** What holds the files of a commit. */
export type CommitObjects = Pick<Source, 'readHoody' | 'readFile' | 'diffTrees'>;

export interface ComparedCommits {
  /** `commit` null: nothing, so that all of the head is new. */
  readonly base: {readonly name: string; readonly commit: string | null};
  readonly head: {readonly name: string; readonly commit: string};
  /** What takes the place of the base; the head itself where it is not given. */
  readonly result?: {readonly commit: string; readonly objects: CommitObjects};
  readonly path: string;
}

export type ComparisonContext = Omit<CommitReader, 'readFile'> &
  Pick<ChangeContext, 'timeZone' | 'nowMs' | 'describe' | 'operator' | 'others'> & {signal: AbortSignal};

/** What it means for what runs, but for what really runs now and how the result came about. */
export type CommitChange = Omit<ScheduleChange, 'merge' | 'running'>;

/** What the schedule of the base becomes; files are named from the top. `hasHoody`: one of the two has `.hoody/`. */
export async function compareCommits(
  source: CommitObjects,
  {base, head, result = {commit: head.commit, objects: source}, path}: ComparedCommits,
  context: ComparisonContext,
): Promise<{change: CommitChange; baseCrontabs: readonly CrontabFile[]; hasHoody: boolean}> {
  const {signal} = context;
  const {objects} = result;
  const before = base.commit === null ? null : await source.readHoody(base.commit, {path, signal});
  const after = await objects.readHoody(result.commit, {path, signal});
  const changesFrom = async (from: string | null) =>
    after === null ? [] : objects.diffTrees(from, after.rootTree, {signal});
  const sideOf = async (tree: HoodyTree | null, reader: CommitObjects): Promise<Side> =>
    tree === null
      ? {crontabs: [], scripts: [], settings: null, issues: []}
      : readBranchFiles(tree, {
          ...context,
          readFile: (file) => reader.readFile(tree.commit, inDirectory(path, file), {signal}),
        });
  const then = await sideOf(before, source);
  const change = scheduleChange(then, await sideOf(after, objects), {
    ...context,
    changedPaths: before === null ? [] : (await changesFrom(before.rootTree)).map((changed) => changed.path),
    tree: new Map(
      (await changesFrom(null)).flatMap((entry) =>
        entry.kind === 'write' ? [[entry.path, {executable: entry.mode !== 'file'}]] : [],
      ),
    ),
  });
  const fromTop = <T extends {file: string}>(item: T): T => ({...item, file: inDirectory(path, item.file)});
  return {
    change: {
      base: {name: base.name, commit: base.commit ?? ''},
      head,
      ...change,
      issues: change.issues.map(fromTop),
      warnings: change.warnings.map(fromTop),
    },
    baseCrontabs: then.crontabs,
    hasHoody: before !== null || after !== null,
  };
}

/** Of the branches with the newest commits. What cannot be read of them is left out. */
export async function crontabsOfOthers(
  source: Source,
  branches: ReadonlyMap<string, string>,
  {without, path, signal}: {without: ReadonlySet<string>; path: string; signal: AbortSignal},
): Promise<Map<string, readonly CrontabFile[]>> {
  const order = await source.newestFirst({signal});
  const commits = order
    .map((branch): [string, string | undefined] => [branch, branches.get(branch)])
    .filter((pair): pair is [string, string] => pair[1] !== undefined && !without.has(pair[1]))
    .slice(0, mostOthers);
  const ids = commits.map(([, commit]) => commit);
  const withHoody = path === wholeRepository ? await source.hasHoody(ids, {signal}) : new Set(ids);
  const found = new Map<string, readonly CrontabFile[]>();
  for (const [branch, commit] of commits) {
    if (!withHoody.has(commit)) continue;
    const tree = await source.readHoody(commit, {path, signal}).catch(() => null);
    if (tree !== null) found.set(branch, readCrontabs(tree).crontabs);
  }
  return found;
}
