import {join} from 'node:path';
import type {ControlEvent, DeploymentInput, Rollback} from '../../schemas/control.ts';
import type {Deployed, DeploymentVersion} from '../../schemas/exec-api.ts';
import type {RunCall} from '../../schemas/run.ts';
import type {Clock} from '../platform/clock.ts';
import {kindOf} from '../platform/directories.ts';
import type {Log} from '../platform/log.ts';
import {createCallGrounds, type ScriptVariables} from './call-grounds.ts';
import {createCallMonitor} from './call-monitor.ts';
import {type Calls, type CallsOptions, createCalls} from './calls.ts';
import {type CurrentDeployment, cacheDirectoryOf, openDeploymentStore} from './deployment-store.ts';
import {openExecLogs} from './exec-logs.ts';
import {createExecutionLogs} from './execution-logs.ts';
import {createExecutionRecorder} from './execution-recorder.ts';
import {createExecutions, type Executions} from './executions.ts';
import {HostPool} from './host-pool.ts';
import {type HostProcess, startHostProcess} from './host-process.ts';
import {keptVersion} from './kept-version.ts';
import {createLazyExecutionStore} from './lazy-execution-store.ts';
import {createLazyScriptFiles} from './lazy-script-files.ts';
import type {ExecManagement} from './management.ts';
import {scanSchedules} from './schedule-scan.ts';
import {openScriptCompiler} from './script-compiler.ts';
import type {ScriptFiles} from './script-files.ts';
import {createScriptInspector} from './script-inspector.ts';
import {createWebsocketCalls, type WebsocketCalls} from './websocket-calls.ts';

export interface ExecService extends ScriptFiles {
  /** SHA-256 of the present set of scripts, null before the first. */
  digest(): string | null;
  /** The commit that set is of; null where it was changed over the API. */
  commit(): string | null;
  /** Replaces the whole set. Throws BLOBS_MISSING, INVALID_BODY. */
  deploy(deployment: DeploymentInput): Promise<Deployed>;
  /** The kept sets, newest first. */
  versions(): readonly DeploymentVersion[];
  /** Makes a kept set the present one again. Throws VERSION_NOT_FOUND. */
  rollBack(to: Rollback): Promise<Deployed>;
  /** Runs the script of a path. */
  readonly calls: Calls;
  readonly websockets: WebsocketCalls;
  readonly executions: Executions;
  /** Everything else that can be asked of scripts; loaded at the first use. */
  management(): Promise<ExecManagement>;
  on(listener: (event: ControlEvent) => void): () => void;
  /** Lets calls end for `graceMs`, then ends the hosts. */
  stop(options: {graceMs: number}): Promise<void>;
}

const defaultIdleMs = 5 * 60_000;
const pinnedIdleMs = 30_000;
const defaultMaxResidentBytes = 1024 * 1024 * 1024;

export interface ExecOptions {
  /** Ours alone: scripts, their cache, their packages, logs and the records of calls. */
  readonly directory: string;
  /** The scripts' working directory. */
  readonly homeDirectory: string;
  readonly socketDirectory: string;
  /** Starts this program again. */
  readonly hostCommand: readonly string[];
  /** Asked at every call: a change of its variables starts a new host and drains the old one. */
  readonly environment: () => ScriptVariables;
  readonly clock: Clock;
  readonly log: Log;
  /** A host without calls ends after so long; five minutes unless given, null for never. */
  readonly idleMs?: number | null;
  /** Starts the host with each deployment instead of with its first call. */
  readonly warm?: boolean;
  /** A host that takes more is ended; 1 GiB unless given. */
  readonly maxResidentBytes?: number;
  /** False while nothing of the container shall start by itself. */
  readonly isScheduleOpen?: () => boolean;
  /** Called when a call that a job's run made is over. */
  readonly onRunCall?: (runId: string, call: RunCall) => void;
}

export async function openExec(options: ExecOptions): Promise<ExecService> {
  const {directory, homeDirectory, socketDirectory, hostCommand, environment, clock, log} = options;
  const {idleMs = defaultIdleMs, maxResidentBytes = defaultMaxResidentBytes} = options;
  const packagesDirectory = join(directory, 'packages');
  const packages = lazily(async () => {
    const {createPackageManager, createPackages} = await import('./packages.ts');
    const manager = createPackageManager({
      directory: packagesDirectory,
      executable: hostCommand[0] ?? '',
      environment: () => environment().variables,
    });
    return {manager, ...createPackages(manager)};
  });
  const store = await openDeploymentStore(join(directory, 'scripts'), {
    now: () => clock.now(),
    async prepare(set) {
      // Most sets bring no packages.
      if (set.files.some(({path}) => path === 'package.json')) await (await packages()).prepare(set);
    },
  });
  await store.prune(new Set());
  const inspector = createScriptInspector({command: hostCommand, directory, clock});
  const cacheDirectory = cacheDirectoryOf(join(directory, 'scripts'));
  const compiler = await openScriptCompiler({cacheDirectory, inspector});
  await compiler.prune(store.current()?.files ?? []);
  const listeners = new Set<(event: ControlEvent) => void>();
  const logs = openExecLogs({directory: join(directory, 'logs'), clock, log});
  const monitor = createCallMonitor({clock, onEnd: logs.noteCall});
  const openStore = createLazyExecutionStore(join(directory, 'executions.db'));
  const recorder = createExecutionRecorder({clock, log, openStore: openStore.get});
  const executions = createExecutions(recorder, openStore.get);
  const isWarm = () =>
    options.warm === true || (store.current()?.mounts.some(({settings}) => settings.warm === true) ?? false);
  const pool = new HostPool({clock, idleMs: () => (isWarm() ? null : idleMs), maxResidentBytes});
  const pinnedPool = new HostPool({
    clock,
    idleMs: () => Math.min(idleMs ?? pinnedIdleMs, pinnedIdleMs),
    maxResidentBytes,
  });
  const grounds = createCallGrounds({store, compiler, environment, pool, pinnedPool, startHost});
  let hasSchedules = false;

  function startHost(
    deployment: CurrentDeployment,
    variables: Readonly<Record<string, string>>,
  ): HostProcess {
    const host = startHostProcess({
      command: hostCommand,
      environment: variables,
      workingDirectory: homeDirectory,
      socketDirectory,
      scriptsDirectory: deployment.directory,
      clock,
      onCallMessage(message) {
        if (message.type === 'failed') recorder.failed(message.executionId, message.failure);
        else recorder.output(message.executionId, message.chunks, message.leftOut);
      },
    });
    log.info('script host started', {pid: host.pid, deployment: deployment.digest});
    void host.ended.then(() => log.info('script host ended', {pid: host.pid}));
    return host;
  }

  async function replaceSet(next: (present: CurrentDeployment | null) => DeploymentInput): Promise<Deployed> {
    const before = store.current()?.digest;
    const {digest, files} = await store.deploy(next);
    if (digest !== before) {
      pool.retire();
      await store.prune(grounds.digestsInUse());
      if ((await kindOf(packagesDirectory)) !== null) await (await packages()).prune(await store.keptSets());
      for (const listener of listeners) listener({type: 'deployment_changed', digest});
      warm();
    }
    await followSchedules();
    return {digest, files: files.length};
  }

  function warm(): void {
    const here = isWarm() ? grounds.present() : null;
    if (here !== null) pool.warm(here);
  }

  const callsOptions: CallsOptions = {
    recorder,
    monitor,
    destinationOf: grounds.destinationOf,
    log,
    onRunCall: options.onRunCall ?? (() => {}),
  };
  const calls = createCalls(callsOptions);
  const websockets = createWebsocketCalls(callsOptions);

  const openFiles = lazily(async () => {
    const {createScriptFiles} = await import('./script-files.ts');
    return createScriptFiles({store, root: directory, inspector, replaceSet});
  });
  const files = createLazyScriptFiles(openFiles);
  const management = lazily(async () => {
    const [{openExecManagement}, {manager}] = await Promise.all([import('./management.ts'), packages()]);
    return openExecManagement({
      store,
      files,
      calls,
      websockets,
      monitor,
      logs,
      executionLogs: createExecutionLogs(executions),
      isScheduleOpen: options.isScheduleOpen ?? (() => true),
      clock,
      inspector,
      packageManager: manager,
      hosts: {
        count: () => pool.generations.length + pinnedPool.generations.length,
        async lease() {
          const here = grounds.present();
          return here === null ? null : pool.hold(here);
        },
        async replace(graceMs) {
          await Promise.all([pool.replace({graceMs}), pinnedPool.replace({graceMs})]);
        },
      },
    });
  });
  async function followSchedules(): Promise<void> {
    const scheduled = await scanSchedules(store);
    if (scheduled.length === 0 && !hasSchedules) return;
    hasSchedules = scheduled.length > 0;
    const {schedules} = await management();
    await schedules.reload({dryRun: false});
  }

  await followSchedules();

  return {
    ...files,
    digest: () => store.current()?.digest ?? null,
    commit: () => store.current()?.commit ?? null,
    deploy: (deployment) => replaceSet(() => deployment),
    versions: () =>
      store.versions().map((one, index) => ({...one, current: index === 0 && store.current() !== null})),
    async rollBack(to) {
      const {digest, commit, files: kept, mounts} = await keptVersion(store, to);
      return replaceSet(() => ({digest, commit, files: [...kept], mounts: [...mounts]}));
    },
    calls,
    websockets,
    executions,
    management,
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async stop(stopOptions) {
      if (hasSchedules) (await management()).schedules.stop();
      inspector.stop();
      await Promise.all([pool.close(stopOptions), pinnedPool.close(stopOptions)]);
      recorder.stop();
      openStore.close();
      await logs.flush();
    },
  };
}

function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make();
    return made;
  };
}
