import {tmpdir} from 'node:os';
import {resolve} from 'node:path';
import {compareCommits, crontabsOfOthers} from '../../reconciler/commit-comparison.ts';
import {planMarkdown} from '../../reconciler/reports/plan-markdown.ts';
import {noScheduleChange} from '../../reconciler/schedule-change.ts';
import {type LocalSource, openLocalSource} from '../../reconciler/sources/git-local.ts';
import {loadScheduleWords} from '../../runtime/cron/schedule-words.ts';
import {createScriptInspector, type ScriptInspector} from '../../runtime/exec/script-inspector.ts';
import {ownCommand} from '../../runtime/platform/child-process.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {wholeRepository} from '../../schemas/branch-name.ts';
import {AppError} from '../../schemas/errors.ts';
import {isTimeZone} from '../../schemas/schedule/zone.ts';
import type {ScheduleChange} from '../../schemas/schedule-change.ts';
import {branchScriptCheck} from '../branch-script-check.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {planText} from '../plan-text.ts';
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
  const timeZone = flags.tz ?? (await readConfig(undefined)).timezone;
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
    const change = await compare(source, inspector, {flags, timeZone});
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
  {flags, timeZone}: {flags: PlanFlags; timeZone: string},
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
  const others = await crontabsOfOthers(source, branches, {
    without: new Set([base.commit, head.commit]),
    path,
    signal,
  });
  const change = await compareCommits(
    source,
    {base, head, path, others},
    {
      timeZone,
      nowMs: systemClock.now(),
      describe: await loadScheduleWords(),
      checkScript: branchScriptCheck(inspector.check),
      scriptImports: (script) => inspector.ask('imports', script),
      signal,
    },
  );
  if (change !== null) return change;
  if (path === wholeRepository) return {base, head, ...noScheduleChange};
  throw new AppError(
    'CONFIG_INVALID',
    `--path ${path}: neither ${base.name} nor ${head.name} has ${path}/.hoody; name a directory from the top of the repository.`,
  );
}
