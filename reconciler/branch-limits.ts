import {formatDuration} from '../schemas/duration.ts';
import type {LimitUse, RunLimits} from '../schemas/limits.ts';
import {formatSize} from '../schemas/size.ts';
import type {ResourceLimits} from './containers/provider.ts';

/** What a branch may use; null for no bound. */
export interface BranchLimits {
  readonly cpus: number | null;
  readonly memoryBytes: number | null;
  readonly diskBytes: number | null;
  readonly runsPerDay: number | null;
  readonly runTimeMs: number | null;
  readonly longestRunTimeMs: number | null;
  readonly overlap: RunLimits['overlap'];
}

/** Numbers that a throwaway branch can live with and three hundred of them on one host can not hurt. */
export const previewLimits: BranchLimits = {
  cpus: 0.5,
  memoryBytes: 512 * 1024 ** 2,
  diskBytes: 1024 ** 3,
  runsPerDay: 5000,
  runTimeMs: 10 * 60_000,
  longestRunTimeMs: 60 * 60_000,
  overlap: 'forbid',
};

export const noLimits: BranchLimits = {
  cpus: null,
  memoryBytes: null,
  diskBytes: null,
  runsPerDay: null,
  runTimeMs: null,
  longestRunTimeMs: null,
  overlap: 'allow',
};

/** The part that the provider of containers sees to. */
export function resourceLimitsOf({
  limits,
  enforced,
}: {
  limits: BranchLimits;
  enforced: boolean;
}): ResourceLimits {
  return enforced ? {cpus: limits.cpus, memoryBytes: limits.memoryBytes} : {cpus: null, memoryBytes: null};
}

/** The part that the runtime sees to. */
export function runLimitsOf({limits, enforced}: {limits: BranchLimits; enforced: boolean}): RunLimits {
  return {
    enforced,
    runs_per_day: limits.runsPerDay,
    run_time_ms: limits.runTimeMs,
    longest_run_time_ms: limits.longestRunTimeMs,
    overlap: limits.overlap,
    disk_bytes: limits.diskBytes,
    memory_bytes: enforced ? limits.memoryBytes : null,
  };
}

/** What people should know of limits that a branch has reached, a sentence or two each. */
export function limitNotices(live: boolean, uses: readonly LimitUse[]): string[] {
  return uses.map((use) => {
    const {limit, most, used, refused} = use;
    const bound = boundWords[limit](most);
    if (live && refused === 0)
      return `${useWords[limit](used)}, more than the ${bound} that a preview may (limits.${limit}). Nothing is refused; an item of environments for live alone would bound it.`;
    const effect =
      limit === 'run_time'
        ? `${runs(refused)} ended at that today`
        : `no run begins ${limit === 'disk' ? 'while there is more' : 'before midnight UTC'}, and ${runs(refused)} refused today`;
    return `limits.${limit} is ${bound}, and it is reached: ${effect}. Raise it in environments of branchtab.yaml.`;
  });
}

const runs = (count: number) => (count === 1 ? '1 run was' : `${count} runs were`);

const boundWords: Readonly<Record<LimitUse['limit'], (most: number) => string>> = {
  runs_per_day: String,
  run_time: formatDuration,
  disk: formatSize,
};

const useWords: Readonly<Record<LimitUse['limit'], (used: number) => string>> = {
  runs_per_day: (used) => `${runs(used)} started today`,
  run_time: (used) => `${runs(used)} long today`,
  disk: (used) => `Data directory and workspace take ${formatSize(used)}`,
};
