import {type CommitReader, readBranchFiles, readCrontabs} from '../reconciler/branch-files.ts';
import type {BranchPolicy} from '../reconciler/branch-settings.ts';
import type {CrontabFile} from '../reconciler/observation.ts';
import {type Side, scheduleChange} from '../reconciler/schedule-change.ts';
import type {LocalSource} from '../reconciler/sources/git-local.ts';
import type {HoodyTree, Source} from '../reconciler/sources/source.ts';
import {loadScheduleWords} from '../runtime/cron/schedule-words.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import {inDirectory, wholeRepository} from '../schemas/branch-name.ts';
import type {ScheduleChange} from '../schemas/schedule-change.ts';

/** A commit, and what people call it. */
export interface NamedCommit {
  readonly name: string;
  readonly commit: string;
}

/** Of so many other branches the crontabs are compared. */
const mostOthers = 200;
/** Stands for a commit that is not there. */
const noCommit = '0'.repeat(40);

/** What the schedule of `head` changes against that of `base`. Null where neither has the directory. */
export async function compareSchedules(
  source: LocalSource,
  {
    base,
    head,
    path,
    timeZone,
    operator,
    clock,
    ...looks
  }: {
    /** Null where everything is new. */
    base: NamedCommit | null;
    head: NamedCommit;
    /** Directory with the `.hoody` that is meant. */
    path: string;
    timeZone: string;
    operator: {readonly preview: BranchPolicy; readonly live: BranchPolicy};
    clock: Clock;
  } & Pick<CommitReader, 'checkScript' | 'scriptImports'>,
): Promise<ScheduleChange | null> {
  const {signal} = new AbortController();
  const before = base === null ? null : await source.readHoody(base.commit, {path, signal});
  const after = await source.readHoody(head.commit, {path, signal});
  if (path !== wholeRepository && before === null && after === null) return null;
  const treeOf = async (commit: string, hoody: HoodyTree | null) =>
    path === wholeRepository ? source.rootTreeOf(commit, {signal}) : (hoody?.rootTree ?? null);
  const baseTree = base === null ? null : await treeOf(base.commit, before);
  const headTree = await treeOf(head.commit, after);
  const changesFrom = async (from: string | null) =>
    headTree === null ? [] : source.diffTrees(from, headTree, {signal});
  const readerAt = (commit: string): CommitReader => ({
    ...looks,
    timeZone,
    readFile: (file) => source.readFile(commit, inDirectory(path, file), {signal}),
  });
  const change = scheduleChange(
    await sideOf(before, readerAt(base?.commit ?? noCommit)),
    await sideOf(after, readerAt(head.commit)),
    {
      timeZone,
      nowMs: clock.now(),
      describe: await loadScheduleWords(),
      changedPaths: (await changesFrom(baseTree)).map((change) => change.path),
      tree: new Map(
        (await changesFrom(null)).flatMap((entry) =>
          entry.kind === 'write' ? [[entry.path, {executable: entry.mode !== 'file'}]] : [],
        ),
      ),
      operator,
      others: await crontabsOfOthers(source, {
        without: new Set([base?.commit ?? noCommit, head.commit]),
        path,
        signal,
      }),
    },
  );
  const fromTop = <T extends {file: string}>(item: T): T => ({...item, file: inDirectory(path, item.file)});
  return {
    base: base ?? {name: 'nothing', commit: noCommit},
    head,
    ...change,
    issues: change.issues.map(fromTop),
    warnings: change.warnings.map(fromTop),
  };
}

async function sideOf(tree: HoodyTree | null, reader: CommitReader): Promise<Side> {
  return tree === null
    ? {crontabs: [], scripts: [], settings: null, issues: []}
    : readBranchFiles(tree, reader);
}

/** What cannot be read of them is no matter of this plan. */
async function crontabsOfOthers(
  source: Source,
  {without, path, signal}: {without: ReadonlySet<string>; path: string; signal: AbortSignal},
): Promise<Map<string, readonly CrontabFile[]>> {
  const {branches} = await source.list({signal});
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
