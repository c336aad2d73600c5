import type {ResourceLimits} from '../provider.ts';

/**
 * What the docker provider asks of a container engine on this machine. Every call throws PROVIDER_UNAVAILABLE with
 * the engine's own words where it cannot be done, and the signal's reason where that aborts.
 */
export interface Engine {
  /** For people: where the engine is. */
  readonly address: string;
  facts(): Promise<EngineFacts>;

  /** Null where the engine has no such image. `reference` is a name or an id. */
  findImage(reference: string): Promise<EngineImage | null>;
  pullImage(reference: string): Promise<void>;
  /** Images that carry the label. */
  listImages(label: string): Promise<EngineImage[]>;
  /** False where something still needs the image. */
  removeImage(id: string): Promise<boolean>;

  /** The id of the new container. Throws NAME_TAKEN. */
  createContainer(name: string, spec: ContainerSpec): Promise<string>;
  findContainer(idOrName: string): Promise<EngineContainer | null>;
  /** Containers that carry the label, running or not. */
  listContainers(label: string): Promise<ListedContainer[]>;
  /**
   * What the container writes from now on. Ends with the container, or with the signal. Null while the engine is
   * still clearing up after the container's last run.
   */
  attach(id: string, options: {signal: AbortSignal}): Promise<AsyncIterable<Output> | null>;
  /** Starting what runs does nothing. */
  start(id: string): Promise<void>;
  /** False where it does not run. */
  kill(id: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean>;
  /** Resolves when it does not run, or when the signal aborts. */
  wait(id: string, options: {signal: AbortSignal}): Promise<void>;
  pause(id: string): Promise<void>;
  /** Does nothing where it is not paused. */
  unpause(id: string): Promise<void>;
  /** Ends and removes it, with its anonymous volumes. Does nothing where there is none. */
  remove(id: string): Promise<void>;
  /** Does nothing where the engine has no means for either limit. */
  limit(id: string, limits: ResourceLimits): Promise<void>;
  /** Makes an image of what the container changed in its own file system. Returns its id. */
  commit(id: string, image: {repository: string; tag: string; labels: Labels}): Promise<string>;
  /** True where `path` is a file of the container, running or not. */
  hasFile(id: string, path: string): Promise<boolean>;
  /** The last lines of what it wrote to its standard output and error. */
  log(id: string, options: {lines: number}): Promise<string>;

  /** Makes the network where there is none of this name, containers of it unreachable for each other where the engine can do that. */
  ensureNetwork(name: string, labels: Labels): Promise<void>;
  /** Leaves a network alone that does not carry the label or is in use. */
  removeNetwork(name: string, label: string): Promise<void>;

  /** Yields for every change of containers that carry the label; ends when the connection does. */
  changes(label: string, options: {signal: AbortSignal}): Promise<AsyncIterable<void>>;
}

export type Labels = Readonly<Record<string, string>>;

export interface EngineFacts {
  readonly kind: 'docker' | 'podman';
  readonly version: string;
  /** True where root inside is the engine's own user outside. */
  readonly rootless: boolean;
  /** Limits that the engine has no means for. */
  readonly unenforced: readonly ('cpus' | 'memory')[];
}

export interface EngineImage {
  readonly id: string;
  readonly labels: Labels;
  /** `PATH` of the image; null where it has none. */
  readonly path: string | null;
}

export interface ListedContainer {
  readonly id: string;
  readonly labels: Labels;
  readonly running: boolean;
}

export interface EngineContainer extends ListedContainer {
  readonly paused: boolean;
  /** Of its first process, as this machine sees it; 0 while it does not run. */
  readonly pid: number;
}

export interface Output {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Uint8Array;
}

export interface ContainerSpec {
  readonly image: string;
  readonly command: readonly string[];
  readonly env: Labels;
  readonly user: string;
  readonly workingDirectory: string;
  readonly hostName: string;
  readonly labels: Labels;
  readonly mounts: readonly {readonly source: string; readonly target: string; readonly readOnly: boolean}[];
  /** Names that lead to 127.0.0.1. */
  readonly localNames: readonly string[];
  readonly network: string;
  readonly capabilities: readonly string[];
  readonly limits: ResourceLimits;
}
