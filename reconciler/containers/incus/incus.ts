import type {WebsocketStream, WebsocketStreamEvents} from '../../../runtime/platform/websocket-stream.ts';
import type {ResourceLimits} from '../provider.ts';

/**
 * What the incus provider asks of an Incus or LXD server. Every call throws PROVIDER_UNAVAILABLE with the server's own
 * words where it cannot be done, and the signal's reason where that aborts. Calls that change an instance answer
 * `busy` while another change of it is under way: ask again.
 */
export interface Incus {
  /** For people: where the server is. */
  readonly address: string;
  facts(): Promise<IncusFacts>;

  /**
   * Throws NAME_TAKEN, IMAGE_UNUSABLE where there is no such image, CONFIG_INVALID where the cluster has no such target.
   */
  createInstance(name: string, spec: InstanceSpec): Promise<void>;
  findInstance(name: string): Promise<Instance | null>;
  /** Instances whose configuration has `key` with `value`, those of all members included. */
  listInstances(key: string, value: string): Promise<Instance[]>;
  /** Instances of members that do not answer, whosever they are: their configuration is not told. */
  listAway(): Promise<Instance[]>;
  /** Merges into the configuration; an empty value takes a key away. Devices are replaced by their names. */
  configure(name: string, change: InstanceChange): Promise<Outcome>;
  /** Starting what runs does nothing. */
  start(name: string): Promise<Outcome>;
  /** Ends every process at once. Does nothing where none runs. */
  stop(name: string): Promise<Outcome>;
  freeze(name: string): Promise<Outcome>;
  unfreeze(name: string): Promise<Outcome>;
  /** Does nothing where there is none. */
  remove(name: string): Promise<Outcome>;
  /** Runs a command whose standard input and output are the stream's. */
  openCommand(
    name: string,
    command: readonly string[],
    events: WebsocketStreamEvents,
  ): Promise<WebsocketStream>;
  /** Exit code; null where nothing runs there that could be asked. */
  execute(name: string, command: readonly string[]): Promise<number | null>;
  /** Of its first process, as the server's machine sees it; 0 while it does not run. */
  firstProcess(name: string): Promise<number>;
  /** What it wrote to its console since it was started, as far as that is kept. */
  console(name: string): Promise<string>;

  pathKind(name: string, path: string): Promise<'directory' | 'file' | 'other' | null>;
  writeFile(
    name: string,
    path: string,
    content: string | Uint8Array,
    options?: {mode: string},
  ): Promise<void>;
  /** Its parent must be there; it may be there itself. */
  makeDirectory(name: string, path: string): Promise<void>;

  /** A volume on the member of a cluster; on the only server without. */
  findVolume(volume: VolumePlace): Promise<Settings | null>;
  createVolume(volume: VolumePlace, config: Settings): Promise<void>;
  /** Merges into its configuration. */
  configureVolume(volume: VolumePlace, config: Settings): Promise<void>;
  /** Volumes whose configuration has `key` with `value`. */
  listVolumes(pool: string, key: string, value: string): Promise<VolumePlace[]>;
  /** Leaves alone what an instance uses. */
  removeVolume(volume: VolumePlace): Promise<void>;

  /** Makes a bridge with NAT where there is none of this name; in a cluster on every member. */
  ensureNetwork(name: string, config: Settings): Promise<void>;
  /** Null where there is no such network, or none whose addresses the server gives out. */
  findNetwork(name: string): Promise<IncusNetwork | null>;
  /** Leaves a network alone whose configuration does not have `key` with `value`, or that is in use. */
  removeNetwork(name: string, key: string, value: string): Promise<void>;

  /** Yields for every change of an instance; ends when the connection does. */
  changes(options: {signal: AbortSignal}): AsyncIterable<void>;
}

export type Outcome = 'done' | 'busy';

export interface IncusFacts {
  readonly kind: 'incus' | 'lxd';
  readonly version: string;
  /** Name of the member that we talk to; null where the server is no cluster. */
  readonly member: string | null;
  /** True where the server runs on this machine, as one that is reached by a socket here does. */
  readonly isLocal: boolean;
  /** Limits that the server has no means for. */
  readonly unenforced: readonly (keyof ResourceLimitNames)[];
}

interface ResourceLimitNames {
  readonly cpus: ResourceLimits['cpus'];
  readonly memory: ResourceLimits['memoryBytes'];
}

export type Settings = Readonly<Record<string, string>>;

export interface InstanceChange {
  readonly config?: Settings;
  readonly devices?: Readonly<Record<string, Settings>>;
}

export interface VolumePlace {
  readonly pool: string;
  readonly name: string;
  readonly member: string | null;
}

export interface InstanceSpec {
  /** Member of a cluster, or `@` and a group of members; the server chooses where there is none. */
  readonly target?: string | undefined;
  readonly source: {readonly image: string} | {readonly copyOf: string};
  readonly profiles: readonly string[];
  readonly config: Settings;
  readonly devices: Readonly<Record<string, Settings>>;
}

export interface IncusNetwork {
  /** Address of the gateway with the length of the prefix, such as `10.1.2.1/24`. */
  readonly gateway: string;
  /** IPv4 addresses that somebody has. */
  readonly taken: ReadonlySet<string>;
}

export interface Instance {
  readonly name: string;
  readonly config: Settings;
  readonly running: boolean;
  /** Member of the cluster that has it; null where the server is none. */
  readonly member: string | null;
  /** True where that member does not answer: nobody knows what runs there, and its configuration is not told. */
  readonly isAway: boolean;
}

/** True where the instance runs on this machine. */
export function isHere({member}: Instance, facts: IncusFacts): boolean {
  return facts.isLocal && member === facts.member;
}
