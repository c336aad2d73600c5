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

/** What people should know of limits that a branch has reached, a sentence each. */
export function limitNotices(branch: string, live: boolean, uses: readonly LimitUse[]): string[] {
  return uses.map(({limit, most, used, refused}) => {
    const [does, bound] = words[limit](used, most);
    if (live && refused === 0)
      return `${branch} ${does}, more than the ${bound} that a preview may. Nothing is refused; limits in environments of branchtab.yaml would bound it.`;
    const count = limit === 'run_time' ? `${refused} were ended` : `${refused} runs did not happen`;
    return `${branch} ${does}, and limits.${limit} is ${bound}: ${count} today. Raise it in environments of branchtab.yaml.`;
  });
}

const words: Readonly<
  Record<LimitUse['limit'], (used: number, most: number) => [does: string, bound: string]>
> = {
  runs_per_day: (used, most) => [`started ${used} runs today`, String(most)],
  run_time: (used, most) => [`had ${used} long runs today`, formatDuration(most)],
  disk: (used, most) => [`takes ${formatSize(used)} of disk`, formatSize(most)],
};
