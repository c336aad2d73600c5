import type {
  BulkUpdateComments,
  DiscoveredRoutes,
  MagicCommentReport,
  ResolvedRoute,
  TestedRoutes,
  UpdateComments,
  UpdatedComments,
} from '../../schemas/exec-management.ts';
import {type MagicComment, magicCommentCatalogue} from '../../schemas/magic-comments.ts';
import type {Clock} from '../platform/clock.ts';
import type {CallMonitor} from './call-monitor.ts';
import type {Calls} from './calls.ts';
import {updateComments, updateManyComments} from './comment-updates.ts';
import type {DeploymentStore} from './deployment-store.ts';
import type {ExecLogs} from './exec-logs.ts';
import type {ExecutionLogs} from './execution-logs.ts';
import {createHostOperations, type HostControl, type HostOperations} from './host-operations.ts';
import {createLogStore, type LogStore} from './log-store.ts';
import {createMonitorReport, type MonitorReport} from './monitor-report.ts';
import {createPackageFiles, type PackageFiles} from './package-files.ts';
import type {PackageManager} from './packages.ts';
import {discoverRoutes, resolveRoute, testRoutes} from './route-report.ts';
import {openScheduling, type Scheduling} from './scheduling.ts';
import type {ScriptFiles} from './script-files.ts';
import type {Validation} from './validation.ts';
import type {WebsocketCalls} from './websocket-calls.ts';

/** What people and tools ask of scripts beside running them. Made at the first such request. */
export interface ExecManagement {
  readonly monitor: MonitorReport;
  readonly logs: LogStore;
  readonly schedules: Scheduling;
  readonly hosts: HostOperations;
  readonly packages: PackageFiles;
  readonly validate: Validation;
  readonly comments: {
    catalogue(): readonly MagicComment[];
    read(path: string): Promise<{path: string} & MagicCommentReport>;
    update(change: UpdateComments): Promise<UpdatedComments>;
    updateMany(change: BulkUpdateComments): Promise<UpdatedComments[]>;
  };
  readonly routes: {
    resolve(request: {
      path: string;
      hostname?: string | undefined;
      execId?: string | undefined;
    }): ResolvedRoute;
    test(paths: readonly string[]): TestedRoutes;
    discover(request: {baseDir: string; includeMetadata: boolean}): Promise<DiscoveredRoutes>;
  };
}

const emptySet = {files: [], mounts: []};

/** What management needs of the engine. */
export interface ExecEngine {
  readonly store: DeploymentStore;
  readonly files: ScriptFiles;
  readonly calls: Calls;
  readonly websockets: Pick<WebsocketCalls, 'openCount'>;
  readonly monitor: CallMonitor;
  readonly logs: ExecLogs;
  readonly executionLogs: ExecutionLogs;
  readonly isScheduleOpen: () => boolean;
  readonly clock: Clock;
  readonly validation: Validation;
  readonly packageManager: PackageManager;
  readonly hosts: HostControl;
}

export function openExecManagement(engine: ExecEngine): ExecManagement {
  const {store, files} = engine;
  const set = () => store.current() ?? emptySet;
  const packages = createPackageFiles(engine, engine.packageManager);
  const {validation: validate} = engine;

  async function textOf(path: string): Promise<string> {
    const script = await store.read(path);
    return script === null ? '' : new TextDecoder().decode(script.bytes);
  }

  const schedules = openScheduling(engine);
  const {logs, executionLogs: executions, clock} = engine;

  return {
    monitor: createMonitorReport(engine, schedules),
    logs: createLogStore({
      directory: logs.directory,
      live: [logs.access, logs.fires],
      executions,
      clock,
    }),
    schedules,
    hosts: createHostOperations(engine),
    packages,
    validate,
    comments: {
      catalogue: () => magicCommentCatalogue,
      async read(path) {
        return {path, ...validate.magicComments({code: await files.source(path)})};
      },
      update: (change) => updateComments(files, change),
      updateMany: (change) => updateManyComments(files, change),
    },
    routes: {
      resolve: (request) => resolveRoute(set(), request),
      test: (paths) => testRoutes(set(), paths),
      discover: ({baseDir, includeMetadata}) =>
        discoverRoutes(set(), {baseDir, textOf: includeMetadata ? textOf : null}),
    },
  };
}
