import type {Clock} from '../runtime/platform/clock.ts';
import type {HostRoom} from '../runtime/platform/host-room.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Branch} from '../schemas/branch.ts';
import type {ContainerSettings} from '../schemas/control.ts';
import type {SecretSource} from '../schemas/secret-source.ts';
import type {PreviewLimits} from './admission.ts';
import type {BranchData} from './branch-data.ts';
import type {ScriptCheck, ScriptImports} from './branch-files.ts';
import type {BranchRecord} from './branch-record.ts';
import type {BranchTable} from './branch-table.ts';
import type {Container, ContainerProvider} from './containers/provider.ts';
import type {EnvironmentRule} from './environments.ts';
import type {FirstContacts} from './first-contact.ts';
import type {Forge} from './forge.ts';
import type {Journal} from './journal.ts';
import type {PreviewRun} from './preview-holds.ts';
import type {PreviewUpkeep} from './preview-upkeep.ts';
import type {BranchQueue} from './queue.ts';
import type {RecordStore} from './record-store.ts';
import type {RepositoryWatch, WatchedRepository} from './repository-watch.ts';
import type {RunArchive} from './run-archive.ts';
import type {RuntimeClient} from './runtime-client.ts';
import type {WriteGuard} from './write-guard.ts';

export interface ControllerOptions {
  readonly repositories: readonly WatchedRepository[];
  /** Null in the bench only: branches are listed and compared, containers are not made. */
  readonly provider: ContainerProvider | null;
  readonly records: RecordStore;
  readonly archive: RunArchive;
  readonly journal: Journal;
  /** Null where the provider is. */
  readonly data: BranchData | null;
  readonly contacts: FirstContacts;
  /** Null where none is configured. */
  readonly forge: Pick<Forge, 'host' | 'propose'> | null;
  readonly client: (container: Container) => RuntimeClient;
  readonly checkScript: ScriptCheck;
  readonly scriptImports: ScriptImports;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Address of the controller's own API, without a final slash. */
  readonly baseUrl: () => string;
  /** Of previews; null where their containers need none. */
  readonly leaseMs: number | null;
  readonly settings: ContainerSettings;
  /** What previews run that no environment says otherwise of. */
  readonly previewRun: PreviewRun;
  readonly limits: PreviewLimits;
  /** What the host has left where containers live. */
  readonly room: () => Promise<HostRoom>;
  /** Throws an AppError that names the source and not the value. */
  readonly readSecret: (source: SecretSource) => Promise<string>;
  readonly timeZone: string;
  readonly concurrency: number;
  readonly stopGraceMs: number;
}

export interface BranchChange {
  readonly type: 'branch_changed' | 'branch_forgotten' | 'run_started' | 'run_finished';
  readonly key: string;
}

/** What the parts of a controller share. */
export interface ControllerContext {
  readonly options: ControllerOptions;
  readonly table: BranchTable;
  readonly queue: BranchQueue;
  readonly guard: WriteGuard;
  /** By repository. */
  readonly watches: ReadonlyMap<string, RepositoryWatch>;
  readonly previews: PreviewUpkeep;
  readonly rulesOf: (record: BranchRecord) => readonly EnvironmentRule[];
  readonly view: (record: BranchRecord) => Branch;
  readonly emit: (change: BranchChange) => void;
  /** Aborts when the controller stops. */
  readonly shutdown: AbortSignal;
}
