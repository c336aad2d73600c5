import type {DeploymentInput, EnvironmentChange, LeaseChange, ScheduleChange} from '../schemas/control.ts';
import type {ControlEvent, ControlState} from '../schemas/control-state.ts';
import type {SeedRequest, SeedResult} from '../schemas/data-archive.ts';
import type {RunList} from '../schemas/run.ts';
import type {ShellRequest, ShellSize} from '../schemas/shell.ts';

/** The controller's side of one runtime's control socket. Errors are AppErrors: the runtime's own code, or CONTAINER_UNAVAILABLE. */
export interface RuntimeClient {
  state(options: RequestOptions): Promise<ControlState>;
  setSchedule(change: ScheduleChange, options: RequestOptions): Promise<ControlState>;
  /** Counts from the moment at which the runtime gets it. */
  setLease(change: LeaseChange, options: RequestOptions): Promise<ControlState>;
  setEnvironment(change: EnvironmentChange, options: RequestOptions): Promise<ControlState>;
  syncWorkspace(changes: WorkspaceChanges, options: RequestOptions): Promise<void>;
  deploy(deployment: DeploymentInput, options: RequestOptions): Promise<void>;
  /** The files of the deployed set, by the runtime's own word. */
  deployedScripts(options: RequestOptions): Promise<readonly {path: string; sha256: string}[]>;
  /** Throws SCRIPT_NOT_FOUND. */
  readDeployedScript(path: string, options: RequestOptions): Promise<Uint8Array>;
  /** Replaces the raw text, keeps managed entries. `ifMatch` names the raw tag it replaces. Answers the new raw tag. */
  putCrontab(user: string, text: string, options: RequestOptions & {ifMatch: string | null}): Promise<string>;
  /** The whole crontab of a user, entries included, and the tag of that text. */
  crontab(user: string, options: RequestOptions): Promise<{text: string; etag: string}>;
  /** Replaces the whole crontab, entries included, where it still has the tag. */
  putWholeCrontab(user: string, text: string, options: RequestOptions & {ifMatch: string}): Promise<void>;
  /** The data directory as an archive; throws at its end where it is not whole. */
  packData(options: RequestOptions): Promise<AsyncIterable<Uint8Array>>;
  /** An archive in the place of the data directory's content. */
  replaceData(archive: AsyncIterable<Uint8Array>, options: RequestOptions): Promise<void>;
  seed(request: SeedRequest, options: RequestOptions): Promise<SeedResult>;
  /** Starts no more jobs, asks the running ones to end, kills them after the grace; resolves when none is left. */
  stopJobs(request: {graceMs: number; reason: string}, options: RequestOptions): Promise<void>;
  runs(user: string, query: Readonly<Record<string, string>>, options: RequestOptions): Promise<RunList>;
  /** Lines of `ShellEvent`; leaving them ends the program. */
  openShell(request: ShellRequest, options: RequestOptions): Promise<ReadableStream<Uint8Array>>;
  /** Throws SHELL_NOT_FOUND. */
  shellInput(id: string, bytes: Uint8Array, options: RequestOptions & {end: boolean}): Promise<void>;
  resizeShell(id: string, size: ShellSize, options: RequestOptions): Promise<void>;
  /** Ends when the connection ends or the signal aborts. */
  events(options: RequestOptions): AsyncIterable<ControlEvent>;
}

export interface RequestOptions {
  readonly signal: AbortSignal;
}

/** A change set of the workspace; contents are read one at a time, never all in memory. */
export interface WorkspaceChanges {
  readonly base: string | null;
  readonly target: string;
  readonly changes: AsyncIterable<WorkspaceChange>;
}

export type WorkspaceChange =
  | {readonly kind: 'file' | 'executable' | 'symlink'; readonly path: string; readonly bytes: Uint8Array}
  | {readonly kind: 'delete'; readonly path: string};
