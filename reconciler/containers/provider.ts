import type * as z from 'zod';
import type {reachSchema} from '../../schemas/branch.ts';

/**
 * The port between the controller and whatever runs containers. `test/contract/container-provider.ts` is its
 * meaning in executable form; every provider passes it at every level.
 */
export interface ContainerProvider {
  readonly name: 'process' | 'docker' | 'incus';
  /** How well containers are kept apart, for example `sandbox` or `plain`; shown in status and plan. */
  readonly level: string;
  /** What this level does not keep from jobs; everything else in `Reach` is kept from them. See docs/security.md. */
  readonly gaps: readonly Reach[];

  /** Every container that carries our labels in this state directory, running or not. */
  list(): Promise<Container[]>;
  /**
   * Makes a stopped container with an empty data directory, or the files of snapshot `from`. Idempotent by
   * name: a container of the same name that already exists is returned as it is.
   */
  create(request: CreateRequest): Promise<Container>;
  /**
   * Starts the runtime and resolves when it answers. Starting a running container does nothing. Where the data
   * directory is gone, `makeData` makes an empty one; without it this throws DATA_LOST. Where the machine that has the
   * container does not answer this throws PROVIDER_UNAVAILABLE, until that has lasted for `rebuildAfterMs`: then it is
   * made anew on another. Without that time, or without `makeData`, it waits for the machine.
   */
  start(id: string, options?: StartOptions): Promise<Container>;
  /**
   * Asks the runtime to stop, waits `graceMs` for its jobs, then ends every process of the container,
   * those in sessions of their own included. Stopping a stopped container does nothing.
   */
  stop(id: string, options: {graceMs: number; reason: string}): Promise<void>;
  /** Stops without grace and removes all files. Removing an unknown id does nothing. */
  remove(id: string): Promise<void>;
  /**
   * Bounds what all processes of the container use together, from now on and at every start. What the provider
   * cannot bound here is in `unenforced` of the container.
   */
  limit(id: string, limits: ResourceLimits): Promise<Container>;
  /** Merges labels; a null value removes the label. Durable before it resolves. */
  label(id: string, labels: Readonly<Record<string, string | null>>): Promise<Container>;

  /** A point in time of one container's files, under a name unique in the state directory. Replaces an older one of that name. */
  snapshot(id: string, name: string): Promise<Snapshot>;
  listSnapshots(): Promise<Snapshot[]>;
  removeSnapshot(name: string): Promise<void>;

  /** Machines that have containers or snapshots of ours and do not answer: what runs there may go on. */
  awayMachines(): Promise<readonly string[]>;

  /** Calls back when a container that should run is found dead, or back. Returns the unsubscribe function. */
  watch(onEvent: (event: ContainerEvent) => void): () => void;
  /** Releases timers and watchers of the provider itself; containers go on. */
  close(): Promise<void>;
}

export interface StartOptions {
  readonly signal?: AbortSignal;
  readonly makeData?: boolean;
  /** No job of it starts before the schedule is released again, those of `@reboot` included. */
  readonly paused?: boolean;
  /** After so long without a word of it nothing of the container runs any more, wherever it is; null for never. */
  readonly rebuildAfterMs?: number | null;
}

/** What a job must not reach, as far as the level of its container can promise that. */
export type Reach = z.infer<typeof reachSchema>;

export interface CreateRequest {
  /** Also the branch key: `[a-z0-9-]+`, at most 49 characters. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Name of a snapshot; none gives empty files. */
  readonly from?: string;
  /** True to begin with the data directory of the snapshot, too. */
  readonly withData?: boolean;
  /** IANA zone of schedules; UTC unless given. */
  readonly timeZone?: string;
  /** No bounds unless given. */
  readonly limits?: ResourceLimits;
}

/** Of all processes of a container together; null for no bound. */
export interface ResourceLimits {
  readonly cpus: number | null;
  readonly memoryBytes: number | null;
}

export interface Container {
  /** 24 lower-case hex digits, random: who knows it may use the container's kits. */
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: string;
  /** What the provider observed: `failed` means it should run and does not. */
  readonly state: 'running' | 'stopped' | 'failed';
  /** Unix socket of the controller's listener. Present also while stopped; nobody answers then. */
  readonly controlSocket: string;
  /** Where the container's own processes reach its kits, for example `http://127.80.1.2:41234`; null while not running. */
  readonly kitUrl: string | null;
  readonly runtimeVersion: string | null;
  readonly limits: ResourceLimits;
  /** Limits that hold for nobody: this host gives no means for them. Known once it has been started. */
  readonly unenforced: readonly ('cpus' | 'memory')[];
  /** Only where it runs at another level than the provider's: an earlier controller started it. */
  readonly startedAt?: {readonly level: string; readonly gaps: readonly Reach[]};
}

export interface Snapshot {
  readonly name: string;
  readonly containerId: string;
  readonly createdAt: string;
}

export interface ContainerEvent {
  readonly id: string;
  /** `returned`: it was told to have exited, and runs without a start: whatever has it answers again. */
  readonly type: 'exited' | 'returned';
}

/** Labels the controller itself relies on. Others are free. */
export const labelNames = {
  repository: 'branchtab.repository',
  path: 'branchtab.path',
  branch: 'branchtab.branch',
  /** RFC 3339 instant at which the container went to the trash. */
  trashedAt: 'branchtab.trashed_at',
  /** JSON: until when no job runs, for a controller whose records are lost. */
  suspension: 'branchtab.suspension',
  /** JSON: the older commit that the branch runs, for a controller whose records are lost. */
  rollback: 'branchtab.rollback',
  /** On a new container: what is to be put into it before anything runs there. */
  fillData: 'branchtab.fill_data',
  restoreEntries: 'branchtab.restore_entries',
  /** On a container that no branch owns: how far its making or removal has come. */
  standalone: 'branchtab.standalone',
} as const;
