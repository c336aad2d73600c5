import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import type {BranchPolicy} from '../../reconciler/branch-settings.ts';
import {compareCommits, crontabsOfOthers} from '../../reconciler/commit-comparison.ts';
import {branchPolicyOf} from '../../reconciler/environments.ts';
import {planMarkdown} from '../../reconciler/reports/plan-markdown.ts';
import {type LocalSource, openLocalSource} from '../../reconciler/sources/git-local.ts';
import {type TrialMerge, tryMerge} from '../../reconciler/sources/trial-merge.ts';
import {loadScheduleWords} from '../../runtime/cron/schedule-words.ts';
import {createScriptInspector, type ScriptInspector} from '../../runtime/exec/script-inspector.ts';
import {ownCommand} from '../../runtime/platform/child-process.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {wholeRepository} from '../../schemas/branch-name.ts';
import type {Config} from '../../schemas/config.ts';
import {AppError} from '../../schemas/errors.ts';
import {isTimeZone} from '../../schemas/schedule/zone.ts';
import type {ScheduleChange} from '../../schemas/schedule-change.ts';
import {branchScriptCheck} from '../branch-script-check.ts';
import type {ConnectionFlags} from '../connection.ts';
import {environmentRules} from '../environment-rules.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {planText} from '../plan-text.ts';
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
    const others = await crontabsOfOthers(source, branches, {
      without: new Set([base.commit, head.commit]),
      path,
      signal,
    });
    const compared = await compareCommits(
      source,
      {base, head, path, ...(merge.kind === 'merged' ? {result: merge} : {})},
      {
        timeZone,
        nowMs: systemClock.now(),
        describe: await loadScheduleWords(),
        operator: operatorPolicies(config, source, {preview: branchAt(head, branches), live: base.name}),
        others,
        checkScript: branchScriptCheck(inspector.check),
        scriptImports: (script) => inspector.ask('imports', script),
        signal,
      },
    );
    if (path !== wholeRepository && !compared.hasHoody)
      throw new AppError(
        'CONFIG_INVALID',
        `--path ${path}: neither ${base.name} nor ${head.name} has ${path}/.hoody; name a directory from the top of the repository.`,
      );
    return {
      ...compared.change,
      merge: {kind: merge.kind, conflicts: merge.kind === 'conflicts' ? [...merge.files] : []},
      running: await runningJobs(flags, environment, {
        repository: source.repository,
        branch: base.name,
        path,
        crontabs: compared.baseCrontabs,
        timeZone,
      }),
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
