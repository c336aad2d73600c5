import {inDirectory, wholeRepository} from '../schemas/branch-name.ts';
import type {Schedule} from '../schemas/schedule/parse.ts';
import type {ScheduleChange} from '../schemas/schedule-change.ts';
import {readBranchFiles, readCrontabs, type ScriptCheck, type ScriptImports} from './branch-files.ts';
import type {CrontabFile} from './observation.ts';
import {type Side, scheduleChange} from './schedule-change.ts';
import type {HoodyTree, Source} from './sources/source.ts';

/** Of so many other branches the crontabs are compared. */
const mostOthers = 200;

export interface ComparedCommits {
  /** `commit` null: nothing, so that all of the head is new. */
  readonly base: {readonly name: string; readonly commit: string | null};
  readonly head: {readonly name: string; readonly commit: string};
  readonly path: string;
  /** Branches that may run the same at the same time, by name. */
  readonly others: ReadonlyMap<string, readonly CrontabFile[]>;
}

export interface ComparisonContext {
  readonly timeZone: string;
  readonly nowMs: number;
  readonly describe: (schedule: Schedule) => string;
  readonly checkScript: ScriptCheck;
  readonly scriptImports: ScriptImports;
  readonly signal: AbortSignal;
}

/** What the head's schedule changes against the base's; files are named from the top. Null where neither has `.hoody/`. */
export async function compareCommits(
  source: Source,
  {base, head, path, others}: ComparedCommits,
  context: ComparisonContext,
): Promise<ScheduleChange | null> {
  const {signal, timeZone, nowMs, describe} = context;
  const treeOf = (commit: string | null) =>
    commit === null ? null : source.readHoody(commit, {path, signal});
  const [before, after] = [await treeOf(base.commit), await treeOf(head.commit)];
  if (before === null && after === null) return null;
  const changesFrom = async (from: string | null) =>
    after === null ? [] : source.diffTrees(from, after.rootTree, {signal});
  const change = scheduleChange(
    await sideOf(source, before, {path, context}),
    await sideOf(source, after, {path, context}),
    {
      timeZone,
      nowMs,
      describe,
      changedPaths:
        before === null ? [] : (await changesFrom(before.rootTree)).map((changed) => changed.path),
      tree: new Map(
        (await changesFrom(null)).flatMap((entry) =>
          entry.kind === 'write' ? [[entry.path, {executable: entry.mode !== 'file'}]] : [],
        ),
      ),
      others,
    },
  );
  const fromTop = <T extends {file: string}>(item: T): T => ({...item, file: inDirectory(path, item.file)});
  return {
    base: {name: base.name, commit: base.commit ?? ''},
    head,
    ...change,
    issues: change.issues.map(fromTop),
    warnings: change.warnings.map(fromTop),
  };
}

async function sideOf(
  source: Source,
  tree: HoodyTree | null,
  {path, context}: {path: string; context: ComparisonContext},
): Promise<Side> {
  if (tree === null) return {crontabs: [], scripts: [], issues: []};
  const {checkScript, scriptImports, signal} = context;
  return readBranchFiles(tree, {
    checkScript,
    scriptImports,
    readFile: (file) => source.readFile(tree.commit, inDirectory(path, file), {signal}),
  });
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
