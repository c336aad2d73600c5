import {branchSettingsPath, type OwnLimits} from '../schemas/branch-settings.ts';
import {printDuration} from '../schemas/duration.ts';
import type {Issue} from '../schemas/issue.ts';
import {formatSize} from '../schemas/size.ts';
import {type BranchLimits, noLimits} from './branch-limits.ts';
import type {IdleLimits} from './idle.ts';
import type {SettingsFile} from './observation.ts';
import type {PreviewRun} from './preview-holds.ts';

/** What the operator gives to a branch, as far as the branch may tighten it. */
export interface BranchPolicy {
  readonly limits: {readonly limits: BranchLimits; readonly enforced: boolean};
  readonly run: PreviewRun;
  readonly idle: IdleLimits;
}

/** A policy with what the branch says of itself. */
export interface TightenedPolicy {
  readonly policy: BranchPolicy;
  /** What is tighter than the operator has it, in words. */
  readonly effects: readonly string[];
  /** What would be wider; nothing of the commit is applied then. */
  readonly issues: readonly Issue[];
}

/** From the widest to the tightest. */
const overlaps = ['allow', 'forbid', 'never'] as const;
const runs = ['all', 'changed', 'none'] as const;

const numbers = {
  cpus: {of: 'cpus', print: String},
  memory: {of: 'memoryBytes', print: formatSize},
  disk: {of: 'diskBytes', print: formatSize},
  runs_per_day: {of: 'runsPerDay', print: String},
  run_time: {of: 'runTimeMs', print: printDuration},
  longest_run_time: {of: 'longestRunTimeMs', print: printDuration},
} as const;

/** The tighter of the two in everything. Live and kept branches have no idle limits, whatever their files say. */
export function tightened(
  operator: BranchPolicy,
  file: SettingsFile | null,
  {live, kept}: {live: boolean; kept: boolean},
): TightenedPolicy {
  if (file === null) return {policy: operator, effects: [], issues: []};
  const section = live ? 'live' : 'previews';
  const own = file.settings[section];
  const effects: string[] = [];
  const issues: Issue[] = [];
  const compare = (path: readonly string[], {wanted, allowed, tighter, same}: Comparison): boolean => {
    const name = [section, ...path].join('.');
    if (tighter) effects.push(`${name} is ${wanted} (the operator allows ${allowed})`);
    else if (!same)
      issues.push({
        file: branchSettingsPath,
        ...file.positionOf([section, ...path]),
        code: 'settings_widen',
        message: `${name} is ${wanted}, and the operator allows ${allowed}: a branch may only ask for less. Write that or less, or have it raised in branchtab.yaml.`,
      });
    return tighter;
  };
  // Of live without bounds of its own, what previews may use is only told.
  const bounds = operator.limits.enforced ? operator.limits.limits : noLimits;
  const limits = tightenedLimits(bounds, own?.limits ?? {}, compare);
  const preview = live ? undefined : file.settings.previews;
  const run = preview?.run ?? operator.run;
  const tighterRun = compare(['run'], inOrder(runs, run, operator.run));
  const idle = kept || live ? undefined : preview?.idle;
  const pauses = compare(['idle', 'pause_after'], inDuration(idle?.pause_after, operator.idle.pauseAfterMs));
  const removes = compare(
    ['idle', 'remove_after'],
    inDuration(idle?.remove_after, operator.idle.removeAfterMs),
  );
  return {
    policy: {
      limits: limits === bounds ? operator.limits : {limits, enforced: true},
      run: tighterRun ? run : operator.run,
      idle: {
        pauseAfterMs: pauses ? (idle?.pause_after ?? null) : operator.idle.pauseAfterMs,
        removeAfterMs: removes ? (idle?.remove_after ?? null) : operator.idle.removeAfterMs,
      },
    },
    effects,
    issues,
  };
}

/** The shorter of each, for what is looked at without the branch's file at hand. */
export function shorterIdle(a: IdleLimits, b: IdleLimits): IdleLimits {
  const shorter = (one: number | null, other: number | null) =>
    one === null || other === null ? (one ?? other) : Math.min(one, other);
  return {
    pauseAfterMs: shorter(a.pauseAfterMs, b.pauseAfterMs),
    removeAfterMs: shorter(a.removeAfterMs, b.removeAfterMs),
  };
}

interface Comparison {
  readonly wanted: string;
  readonly allowed: string;
  readonly tighter: boolean;
  readonly same: boolean;
}

function tightenedLimits(
  bounds: BranchLimits,
  own: OwnLimits,
  compare: (path: readonly string[], comparison: Comparison) => boolean,
): BranchLimits {
  let limits = bounds;
  for (const [name, {of, print}] of Object.entries(numbers)) {
    const wanted = own[name as keyof typeof numbers];
    const isTighter = compare(['limits', name], inNumber(wanted, bounds[of], print));
    if (isTighter && wanted !== undefined) limits = {...limits, [of]: wanted};
  }
  const overlap = own.overlap ?? bounds.overlap;
  const isTighter = compare(['limits', 'overlap'], inOrder(overlaps, overlap, bounds.overlap));
  return isTighter ? {...limits, overlap} : limits;
}

function inNumber(
  wanted: number | undefined,
  allowed: number | null,
  print: (value: number) => string,
): Comparison {
  return {
    wanted: wanted === undefined ? '' : print(wanted),
    allowed: allowed === null ? 'any' : print(allowed),
    tighter: wanted !== undefined && (allowed === null || wanted < allowed),
    same: wanted === undefined || wanted === allowed,
  };
}

function inDuration(wanted: number | undefined, allowed: number | null): Comparison {
  return inNumber(wanted, allowed, printDuration);
}

function inOrder<T extends string>(order: readonly T[], wanted: T, allowed: T): Comparison {
  return {
    wanted,
    allowed,
    tighter: order.indexOf(wanted) > order.indexOf(allowed),
    same: wanted === allowed,
  };
}
