import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {type CommitReader, readBranchFiles, readCrontabs} from '../../reconciler/branch-files.ts';
import type {BranchPolicy} from '../../reconciler/branch-settings.ts';
import {branchPolicyOf} from '../../reconciler/environments.ts';
import type {CrontabFile} from '../../reconciler/observation.ts';
import {type Side, scheduleChange} from '../../reconciler/schedule-change.ts';
import {type LocalSource, openLocalSource} from '../../reconciler/sources/git-local.ts';
import type {HoodyTree, Source} from '../../reconciler/sources/source.ts';
import {type TrialMerge, tryMerge} from '../../reconciler/sources/trial-merge.ts';
import {loadScheduleWords} from '../../runtime/cron/schedule-words.ts';
import {createScriptInspector, type ScriptInspector} from '../../runtime/exec/script-inspector.ts';
import {ownCommand} from '../../runtime/platform/child-process.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {inDirectory, wholeRepository} from '../../schemas/branch-name.ts';
import type {Config} from '../../schemas/config.ts';
import {AppError} from '../../schemas/errors.ts';
import {isTimeZone} from '../../schemas/schedule/zone.ts';
import type {ScheduleChange} from '../../schemas/schedule-change.ts';
import {branchScriptCheck} from '../branch-script-check.ts';
import type {ConnectionFlags} from '../connection.ts';
import {environmentRules} from '../environment-rules.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {planMarkdown, planText} from '../plan-text.ts';
import {runningJobs} from '../running-jobs.ts';
import {type Environment, readConfig} from '../settings.ts';
import type {Terminal} from '../terminal.ts';

export interface PlanFlags extends ConnectionFlags {
  readonly base?: string;
  readonly head?: string;
  readonly path?: string;
  readonly tz?: string;
  readonly json?: boolean;
  readonly markdown?: boolean;
}

/** Of so many other branches the crontabs are compared. */
const mostOthers = 200;

/** `branchtab plan`: what the schedule of `--head` changes against that of `--base`. Needs no controller. */
export async function plan(
  flags: PlanFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const config = await readConfig(flags.config);
  const timeZone = flags.tz ?? config.timezone;
  if (!isTimeZone(timeZone))
    throw new AppError(
      'CONFIG_INVALID',
      `--tz ${timeZone} is no time zone; write one such as Europe/Berlin.`,
    );
  const source = await openLocalSource({
    path: resolve(flags.repo?.[0] ?? '.'),
    environment,
    clock: systemClock,
    log: silentLog,
  });
  const inspector = createScriptInspector({
    command: ownCommand(Bun.main),
    directory: tmpdir(),
    clock: systemClock,
  });
  const scratch = await mkdtemp(join(tmpdir(), 'branchtab-plan-'));
  try {
    const context = {flags, config, timeZone, environment, scratch};
    const change = await compare(source, inspector, context);
    if (flags.json) terminal.out(`${JSON.stringify(change)}\n`);
    else terminal.out(flags.markdown ? planMarkdown(change) : planText(change, terminal.paint));
    return change.issues.length === 0 ? exitCodes.ok : exitCodes.failed;
  } finally {
    inspector.stop();
    await source.close();
    await rm(scratch, {recursive: true, force: true});
  }
}

interface PlanContext {
  readonly flags: PlanFlags;
  readonly config: Config;
  readonly timeZone: string;
  readonly environment: Environment;
  /** A directory for what a merge makes. */
  readonly scratch: string;
}

interface NamedCommit {
  readonly name: string;
  readonly commit: string;
}

async function compare(
  source: LocalSource,
  inspector: ScriptInspector,
  {flags, config, timeZone, environment, scratch}: PlanContext,
): Promise<ScheduleChange> {
  const {signal} = new AbortController();
  const {branches, defaultBranch} = await source.list({signal});
  const baseName = flags.base ?? defaultBranch;
  if (baseName === null)
    throw new AppError('CONFIG_INVALID', 'The repository has no default branch; name one with --base.');
  const [base, head] = await Promise.all(
    [baseName, flags.head ?? 'HEAD'].map(async (name) => ({
      name,
      commit: await source.resolve(name, {signal}),
    })),
  );
  if (base === undefined || head === undefined) throw new Error('two names give two commits');
  const path = flags.path?.replace(/\/+$/, '') ?? wholeRepository;
  const merge = await mergeOf(source, [base, head], {environment, scratch, signal});
  try {
    const objects = merge.kind === 'merged' ? merge.objects : source;
    const result = merge.kind === 'merged' ? merge.commit : head.commit;
    const [before, after] = await Promise.all([
      source.readHoody(base.commit, {path, signal}),
      objects.readHoody(result, {path, signal}),
    ]);
    if (path !== wholeRepository && before === null && after === null)
      throw new AppError(
        'CONFIG_INVALID',
        `--path ${path}: neither ${base.name} nor ${head.name} has ${path}/.hoody; name a directory from the top of the repository.`,
      );
    const baseTree =
      path === wholeRepository ? await source.rootTreeOf(base.commit, {signal}) : (before?.rootTree ?? null);
    const changesFrom = async (from: string | null) =>
      after === null ? [] : objects.diffTrees(from, after.rootTree, {signal});
    const readerAt = (commit: string, reader: Pick<Source, 'readFile'>): CommitReader => ({
      timeZone,
      checkScript: branchScriptCheck(inspector.check),
      scriptImports: (script) => inspector.ask('imports', script),
      readFile: (file) => reader.readFile(commit, inDirectory(path, file), {signal}),
    });
    const [then, now] = [
      await sideOf(before, readerAt(base.commit, source)),
      await sideOf(after, readerAt(result, objects)),
    ];
    const change = scheduleChange(then, now, {
      timeZone,
      nowMs: systemClock.now(),
      describe: await loadScheduleWords(),
      changedPaths: (await changesFrom(baseTree)).map((change) => change.path),
      tree: new Map(
        (await changesFrom(null)).flatMap((entry) =>
          entry.kind === 'write' ? [[entry.path, {executable: entry.mode !== 'file'}]] : [],
        ),
      ),
      operator: operatorPolicies(config, source, {preview: branchAt(head, branches), live: base.name}),
      others: await crontabsOfOthers(source, branches, {
        without: new Set([base.commit, head.commit]),
        path,
        signal,
      }),
    });
    const fromTop = <T extends {file: string}>(item: T): T => ({...item, file: inDirectory(path, item.file)});
    return {
      base,
      head,
      ...change,
      merge: {kind: merge.kind, conflicts: merge.kind === 'conflicts' ? [...merge.files] : []},
      running: await runningJobs(flags, environment, {
        repository: source.repository,
        branch: base.name,
        path,
        crontabs: then.crontabs,
        timeZone,
      }),
      issues: change.issues.map(fromTop),
      warnings: change.warnings.map(fromTop),
    };
  } finally {
    if (merge.kind === 'merged') merge.objects.close();
  }
}

/** `head`: it has all that the base has; `contained`: the base has all of it. */
async function mergeOf(
  source: LocalSource,
  [base, head]: readonly [NamedCommit, NamedCommit],
  {environment, scratch, signal}: Pick<PlanContext, 'environment' | 'scratch'> & {signal: AbortSignal},
): Promise<TrialMerge | {readonly kind: 'head' | 'contained'}> {
  const common = await source.mergeBase(base.commit, head.commit, {signal});
  if (common === base.commit) return {kind: 'head'};
  if (common === head.commit) return {kind: 'contained'};
  return tryMerge([base.commit, head.commit], {
    gitDirectory: source.identity,
    scratchDirectory: scratch,
    repository: source.repository,
    environment,
    signal,
  });
}

/** A commit that is the tip of a branch is meant as that branch. */
function branchAt({name, commit}: NamedCommit, branches: ReadonlyMap<string, string>): string {
  if (branches.has(name)) return name;
  return [...branches].find(([, tip]) => tip === commit)?.[0] ?? name;
}

/** What `branchtab.yaml` of this directory gives to the branches, as it would give to them if it watched the repository. */
function operatorPolicies(
  {environments, repositories, previews}: Config,
  source: LocalSource,
  names: {preview: string; live: string},
): {preview: BranchPolicy; live: BranchPolicy} {
  const own = repositories.filter(({repository}) => resolve(repository) === source.repository);
  const rules = environmentRules(
    [...environments, ...own.flatMap((each) => each.environments)],
    'environments',
  );
  return {
    preview: branchPolicyOf(rules, {branch: names.preview, live: false}, previews.run),
    live: branchPolicyOf(rules, {branch: names.live, live: true}, previews.run),
  };
}

async function sideOf(tree: HoodyTree | null | undefined, reader: CommitReader): Promise<Side> {
  return tree == null
    ? {crontabs: [], scripts: [], settings: null, issues: []}
    : readBranchFiles(tree, reader);
}

/** What cannot be read of them is no matter of this plan. */
async function crontabsOfOthers(
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
