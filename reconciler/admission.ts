import type {HostRoom} from '../runtime/platform/host-room.ts';
import {AppError} from '../schemas/errors.ts';
import type {BranchRecord} from './branch-record.ts';

/** How much previews may take. The live branch is never refused. */
export interface PreviewLimits {
  /** Containers of previews of one repository, those in the trash not counted. */
  readonly previewsPerRepository: number;
  readonly minFreeDiskPercent: number;
  readonly minFreeMemoryPercent: number;
}

/** Says which previews may have a container. */
export interface Admission {
  /** A place that was given stays the branch's until `leave`. Throws LIMIT_REACHED or HOST_FULL with what to do. */
  admit(record: BranchRecord): Promise<void>;
  leave(record: BranchRecord): void;
}

export function createAdmission({
  limits,
  occupied,
  room,
}: {
  limits: PreviewLimits;
  /** Keys of the previews of a repository that have a container outside the trash. */
  occupied: (repository: string) => readonly string[];
  room: () => Promise<HostRoom>;
}): Admission {
  /** By repository: who was let in, its container made or not. */
  const admitted = new Map<string, Set<string>>();

  function takePlace({repository, key, branch}: BranchRecord): void {
    const given = admitted.get(repository) ?? new Set();
    admitted.set(repository, given);
    const all = new Set([...occupied(repository), ...given]);
    const most = limits.previewsPerRepository;
    if (!all.has(key) && all.size >= most) {
      throw new AppError(
        'LIMIT_REACHED',
        `${all.size} previews of this repository have a container, and limits.previews_per_repository is ${most}. ${branch} gets one when another goes; remove branches, serve fewer with --branches, or raise the limit in branchtab.yaml.`,
      );
    }
    given.add(key);
  }

  return {
    async admit(record) {
      if (record.live) return;
      refuseFullHost(await room(), limits);
      takePlace(record);
    },
    leave({repository, key}) {
      admitted.get(repository)?.delete(key);
    },
  };
}

/** Throws HOST_FULL with what to do. */
export function refuseFullHost(
  {freeDiskPercent, freeMemoryPercent}: HostRoom,
  limits: Pick<PreviewLimits, 'minFreeDiskPercent' | 'minFreeMemoryPercent'>,
): void {
  refuseBelow('disk', freeDiskPercent, limits.minFreeDiskPercent);
  refuseBelow('memory', freeMemoryPercent, limits.minFreeMemoryPercent);
}

function refuseBelow(what: 'disk' | 'memory', freePercent: number, leastPercent: number): void {
  if (freePercent >= leastPercent) return;
  throw new AppError(
    'HOST_FULL',
    `This host has ${freePercent.toFixed(1)} % of its ${what} free, and limits.min_free_${what}_percent is ${leastPercent}. Free some, or lower the limit in branchtab.yaml; it is tried again.`,
  );
}
