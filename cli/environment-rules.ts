import type {DataPolicy} from '../reconciler/branch-data.ts';
import type {BranchLimits} from '../reconciler/branch-limits.ts';
import type {EnvironmentRule} from '../reconciler/environments.ts';
import {createBranchFilter} from '../schemas/branch-glob.ts';
import {isForkName} from '../schemas/branch-name.ts';
import type {EnvironmentConfig, LimitsConfig} from '../schemas/config.ts';

/** `environments` of the configuration, called `name` to people. */
export function environmentRules(
  environments: readonly EnvironmentConfig[],
  name: string,
): EnvironmentRule[] {
  return environments.map(
    (
      {branches, keep, run, data, limits, idle, suspend, drift, from, snapshot, variables, secrets},
      index,
    ) => {
      const includes = createBranchFilter(branches);
      const onlyLive = branches.length === 1 && branches[0] === 'live';
      const onlyForks = branches.length === 1 && branches[0] === 'forks';
      return {
        place: `${name}[${index}]`,
        // What is meant for the branches of a team, `**` too, is not meant for whoever opens a pull request.
        appliesTo: (branch, live) =>
          isForkName(branch) || onlyForks
            ? isForkName(branch) && onlyForks
            : onlyLive
              ? live
              : includes(branch),
        onlyLive,
        keep,
        run: run ?? null,
        limits: limits === undefined ? {} : branchLimits(limits),
        data: data === undefined ? null : dataPolicy(data),
        suspend: suspend === undefined ? null : {...suspend, until: new Date(suspend.until).toISOString()},
        drift: drift ?? null,
        from: from ?? null,
        snapshot: snapshot ?? null,
        idle: {pauseAfterMs: idle?.pause_after ?? null, removeAfterMs: idle?.remove_after ?? null},
        variables,
        secrets,
      };
    },
  );
}

/** Without what the configuration leaves out. */
function branchLimits(limits: LimitsConfig): Partial<BranchLimits> {
  const named = {
    cpus: limits.cpus,
    memoryBytes: limits.memory,
    diskBytes: limits.disk,
    runsPerDay: limits.runs_per_day,
    runTimeMs: limits.run_time,
    longestRunTimeMs: limits.longest_run_time,
    overlap: limits.overlap,
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

function dataPolicy(text: string): DataPolicy {
  if (text.startsWith('seed:')) return {seed: text.slice('seed:'.length)};
  return text === 'copy' ? 'copy' : 'empty';
}
