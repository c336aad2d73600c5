import {tmpdir} from 'node:os';
import {resolve} from 'node:path';
import type {BranchPolicy} from '../../reconciler/branch-settings.ts';
import {branchPolicyOf} from '../../reconciler/environments.ts';
import {type LocalSource, openLocalSource} from '../../reconciler/sources/git-local.ts';
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
import {environmentRules} from '../environment-rules.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {planMarkdown, planText} from '../plan-text.ts';
import {compareSchedules} from '../schedule-comparison.ts';
import {type Environment, readConfig} from '../settings.ts';
import type {Terminal} from '../terminal.ts';

export interface PlanFlags {
  readonly base?: string;
  readonly head?: string;
  readonly repo?: readonly string[];
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
  const config = await readConfig(undefined);
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
  try {
    const change = await compare(source, inspector, {flags, config, timeZone});
    if (flags.json) terminal.out(`${JSON.stringify(change)}\n`);
    else terminal.out(flags.markdown ? planMarkdown(change) : planText(change, terminal.paint));
    return change.issues.length === 0 ? exitCodes.ok : exitCodes.failed;
  } finally {
    inspector.stop();
    await source.close();
  }
}

async function compare(
  source: LocalSource,
  inspector: ScriptInspector,
  {flags, config, timeZone}: {flags: PlanFlags; config: Config; timeZone: string},
): Promise<ScheduleChange> {
  const {signal} = new AbortController();
  const {branches, defaultBranch} = await source.list({signal});
  const baseName = flags.base ?? defaultBranch;
  if (baseName === null)
    throw new AppError('CONFIG_INVALID', 'The repository has no default branch; name one with --base.');
  const named = async (name: string) => ({name, commit: await source.resolve(name, {signal})});
  const [base, head] = await Promise.all([named(baseName), named(flags.head ?? 'HEAD')]);
  const path = flags.path?.replace(/\/+$/, '') ?? wholeRepository;
  const change = await compareSchedules(source, {
    base,
    head,
    path,
    timeZone,
    operator: operatorPolicies(config, source, {preview: branchAt(head, branches), live: base.name}),
    clock: systemClock,
    checkScript: branchScriptCheck(inspector.check),
    scriptImports: (script) => inspector.ask('imports', script),
  });
  if (change !== null) return change;
  throw new AppError(
    'CONFIG_INVALID',
    `--path ${path}: neither ${base.name} nor ${head.name} has ${path}/.hoody; name a directory from the top of the repository.`,
  );
}

/** A commit that is the tip of a branch is meant as that branch. */
function branchAt(
  {name, commit}: {name: string; commit: string},
  branches: ReadonlyMap<string, string>,
): string {
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
