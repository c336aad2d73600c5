import type {ContainerRecord} from './container-record.ts';
import type {Entry} from './container-table.ts';
import type {
  Container,
  ContainerProvider,
  CreateRequest,
  ResourceLimits,
  Snapshot,
  StartOptions,
} from './provider.ts';

/**
 * What differs between providers: how the processes and files of one container are made, ended and seen. What is kept
 * of a container and in which order it is written down is the same for all, see table-provider.ts.
 */
export interface ContainerLife<Kept extends ContainerRecord>
  extends Pick<ContainerProvider, 'name' | 'level' | 'gaps'> {
  /** The fields of a record of which nothing runs. */
  readonly nothingRuns: Partial<Kept>;

  /** As that of the provider; the rest of it is the table's. */
  create(request: CreateRequest): Promise<Entry<Kept>>;
  /** Asks what runs, of all containers. */
  look(): Promise<void>;
  /** Asks what runs of this one. True where something may. */
  lookAt(entry: Entry<Kept>): Promise<boolean>;
  /**
   * As `lookAt`, before a start: where the container is not up its files are there afterwards. Throws as the
   * provider's `start` does where they cannot be.
   */
  arrive(entry: Entry<Kept>, options: StartOptions): Promise<boolean>;
  /** True where its runtime runs, as far as was seen. Asks nobody. */
  isUp(entry: Entry<Kept>): boolean;

  /** Makes what a start needs and nobody looks for after a crash. Returns what is to be on record before anything runs. */
  prepare(entry: Entry<Kept>): Promise<Partial<Kept>>;
  /** Starts the runtime and resolves when it answers on the control socket. Returns what is to be on record of it. */
  run(entry: Entry<Kept>, options: {signal: AbortSignal}): Promise<Partial<Kept>>;
  /**
   * Asks the runtime to stop, waits `graceMs` for its jobs unless the signal aborts, then ends every process of the
   * container. Without grace it does so at once.
   */
  stop(entry: Entry<Kept>, options: {graceMs: number; signal: AbortSignal}): Promise<void>;
  /** Ends every process of the container. */
  end(entry: Entry<Kept>): Promise<void>;
  /** Ends every process and removes what is not in the container's directory. `isQuiet` where nothing can run. */
  discard(entry: Entry<Kept>, options: {isQuiet: boolean}): Promise<void>;

  /** Bounds what runs already; a start takes the limits from the record. */
  limit(entry: Entry<Kept>, limits: ResourceLimits): Promise<void>;
  /** Stores the files of the container under the snapshot's name. */
  save(entry: Entry<Kept>, snapshot: Snapshot): Promise<void>;
  /** Removes what the container that is gone was the last to need. */
  removed(id: string): Promise<void>;
  /** Removes what no snapshot needs any more. */
  tidy(): Promise<void>;

  /** Of the latest start, as recorded; null when nothing runs. */
  runtimeOf(record: Kept): {readonly kit_url: string; readonly runtime_version: string} | null;
  /** Limits for which the container has no means. */
  lacks(record: Kept): Container['unenforced'];
  startedAt(record: Kept): Container['startedAt'];

  /** Only of an engine of several machines; as the provider's. */
  awayMachines?(): Promise<readonly string[]>;

  /** Tells of ends by `reportEnds` of the table, until the signal aborts. */
  watch(signal: AbortSignal): void;
  close(): void;
}
