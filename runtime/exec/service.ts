import {randomUUID} from 'node:crypto';
import {join} from 'node:path';
import type {ControlEvent, DeploymentInput, Rollback} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Deployed, DeploymentVersion} from '../../schemas/exec-api.ts';
import type {Clock} from '../platform/clock.ts';
import {kindOf} from '../platform/directories.ts';
import {mkdir} from '../platform/files.ts';
import type {Log} from '../platform/log.ts';
import {createCallMonitor} from './call-monitor.ts';
import {type CurrentDeployment, cacheDirectoryOf, openDeploymentStore, sha256Of} from './deployment-store.ts';
import {openExecLogs} from './exec-logs.ts';
import {type ExecutionLogs, noExecutionLogs} from './execution-logs.ts';
import {type HostLease, HostPool} from './host-pool.ts';
import {type HostProcess, startHostProcess} from './host-process.ts';
import {invoke} from './invoke.ts';
import {readScriptOptions} from './magic-comments.ts';
import type {ExecManagement} from './management.ts';
import {findMountedRoute} from './mounted-routes.ts';
import {pinnedPath} from './pinned-path.ts';
import {scanSchedules} from './schedule-scan.ts';
import type {ScriptFiles} from './script-files.ts';
import {refuseOtherMethods, withSettings} from './script-settings.ts';

export interface ScriptCall {
  readonly request: Request;
  /** Path as the client sent it, still percent-encoded. */
  readonly path: string;
  /** Path and query as the client sent them. */
  readonly target: string;
  readonly clientIp: string;
  /** The script's own schedule calls it. */
  readonly scheduled?: true;
}

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
  /** Runs the script of a path. Throws SCRIPT_NOT_FOUND, PATH_EXCLUDED, SCRIPT_TIMEOUT, SCRIPT_HOST_FAILED. */
  call(call: ScriptCall): Promise<Response>;
  /** Everything else that can be asked of scripts; loaded at the first use. */
  management(): Promise<ExecManagement>;
  on(listener: (event: ControlEvent) => void): () => void;
  /** Lets calls end for `graceMs`, then ends the hosts. */
  stop(options: {graceMs: number}): Promise<void>;
}

const defaultIdleMs = 5 * 60_000;
const pinnedIdleMs = 30_000;
export const executionHeader = 'x-execution-id';

/**
 * `directory` holds the scripts, `homeDirectory` is the scripts' working directory. `environment` is asked at
 * every call: a change of its variables starts a new host and drains the old one. `hostCommand` starts this
 * program again.
 */
export async function openExec({
  directory,
  homeDirectory,
  socketDirectory,
  hostCommand,
  environment,
  clock,
  log,
  idleMs = defaultIdleMs,
  isScheduleOpen = () => true,
  executionLogs = noExecutionLogs,
}: {
  directory: string;
  homeDirectory: string;
  socketDirectory: string;
  hostCommand: readonly string[];
  environment: () => {variables: Readonly<Record<string, string>>};
  clock: Clock;
  log: Log;
  idleMs?: number;
  /** False while nothing of the container shall start by itself. */
  isScheduleOpen?: () => boolean;
  executionLogs?: ExecutionLogs;
}): Promise<ExecService> {
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
  const cacheDirectory = cacheDirectoryOf(join(directory, 'scripts'));
  await mkdir(cacheDirectory, {recursive: true});
  await store.prune(new Set());
  const listeners = new Set<(event: ControlEvent) => void>();
  const logs = openExecLogs({directory: join(directory, 'logs'), clock, log});
  const monitor = createCallMonitor({clock, onEnd: logs.noteCall});
  let pool = new HostPool({clock, idleMs});
  let hasSchedules = false;
  let stopInspector = () => {};
  // Calls of former versions must not drain the hosts of the present one.
  const pinnedPool = new HostPool({clock, idleMs: Math.min(idleMs, pinnedIdleMs)});

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
      cacheDirectory,
      clock,
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
      await store.prune(new Set([...pool.generations, ...pinnedPool.generations].map(deploymentOf)));
      if ((await kindOf(packagesDirectory)) !== null) await (await packages()).prune(await store.keptSets());
      for (const listener of listeners) listener({type: 'deployment_changed', digest});
    }
    await followSchedules();
    return {digest, files: files.length};
  }

  async function call(scriptCall: ScriptCall): Promise<Response> {
    const pinned = pinnedPath(scriptCall.path);
    if (pinned === null) {
      const deployment = store.current();
      // Deployed anew while the file was read: a call must not bring a former generation back.
      return run(scriptCall, {
        deployment,
        poolNow: () => pool,
        isStale: () => store.current() !== deployment,
      });
    }
    const deployment = await version({commit: pinned.commit});
    const target = scriptCall.target.slice(scriptCall.path.length - pinned.path.length);
    const unpinned = {
      ...scriptCall,
      path: pinned.path,
      target: pinned.path === '/' && !target.startsWith('/') ? `/${target}` : target,
    };
    return run(unpinned, {deployment, poolNow: () => pinnedPool, isStale: () => false});
  }

  async function run(
    scriptCall: ScriptCall,
    {
      deployment,
      poolNow,
      isStale,
    }: {deployment: CurrentDeployment | null; poolNow: () => HostPool; isStale: () => boolean},
  ): Promise<Response> {
    const {request, path, target, clientIp} = scriptCall;
    const route = deployment === null ? null : findMountedRoute(deployment, path);
    const script = route === null || deployment === null ? null : await store.read(route.file, deployment);
    if (isStale()) return call(scriptCall);
    const options = script === null ? null : readScriptOptions(text(script.bytes));
    if (route === null || deployment === null || options?.enabled !== true) {
      throw new AppError('SCRIPT_NOT_FOUND', `No script answers ${path}.`);
    }
    refuseOtherMethods(request.method, route.settings);
    const {timeoutMs} = withSettings(options, route.settings);
    const {variables: present} = environment();
    const variables =
      poolNow() === pinnedPool ? {...present, HOODY_COMMIT: deployment.commit ?? ''} : present;
    const executionId = randomUUID();
    const started = {executionId, scriptPath: route.file, method: request.method, path};
    return monitor.watch(started, async () => {
      const lease = await leaseOf(deployment, variables, poolNow());
      const {file, parameters} = route;
      const hostCall = {executionId, file, parameters: mutable(parameters), target, clientIp};
      const response = await invoke({lease, call: hostCall, request, timeoutMs, clock});
      response.headers.set(executionHeader, executionId);
      return response;
    });
  }

  function leaseOf(
    deployment: CurrentDeployment,
    variables: Readonly<Record<string, string>>,
    pool: HostPool,
  ): Promise<HostLease> {
    const generation = `${deployment.digest} ${sha256Of(JSON.stringify(variables))}`;
    return pool.lease(generation, () => startHost(deployment, variables));
  }

  async function version(wanted: Rollback): Promise<CurrentDeployment> {
    const found = await store.version(wanted);
    if (found !== null) return found;
    const name = 'commit' in wanted ? `commit ${wanted.commit}` : `digest ${wanted.digest}`;
    throw new AppError(
      'VERSION_NOT_FOUND',
      `The scripts of ${name} are not kept here. GET /api/v1/exec/deployments lists those that are.`,
    );
  }

  const tools = lazily(async () => {
    const {openScriptTools} = await import('./script-tools.ts');
    const opened = openScriptTools({store, root: directory, command: hostCommand, clock, replaceSet});
    stopInspector = opened.inspector.stop;
    return opened;
  });
  const management = lazily(async () => {
    const [{openExecManagement}, {files, inspector}, {manager}] = await Promise.all([
      import('./management.ts'),
      tools(),
      packages(),
    ]);
    return openExecManagement({
      store,
      files,
      call,
      monitor,
      logs,
      executionLogs,
      isScheduleOpen,
      clock,
      inspector,
      packageManager: manager,
      hosts: {
        count: () => pool.generations.length + pinnedPool.generations.length,
        async lease() {
          const deployment = store.current();
          return deployment === null ? null : leaseOf(deployment, environment().variables, pool);
        },
        replace(graceMs) {
          const former = pool;
          pool = new HostPool({clock, idleMs});
          return former.close({graceMs});
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
    digest: () => store.current()?.digest ?? null,
    commit: () => store.current()?.commit ?? null,
    deploy: (deployment) => replaceSet(() => deployment),
    versions: () =>
      store.versions().map((one, index) => ({...one, current: index === 0 && store.current() !== null})),
    async rollBack(to) {
      const {digest, commit, files, mounts} = await version(to);
      return replaceSet(() => ({digest, commit, files: [...files], mounts: [...mounts]}));
    },
    call,
    write: async (script) => (await tools()).files.write(script),
    writeAll: async (scripts, options) => (await tools()).files.writeAll(scripts, options),
    read: async (path) => (await tools()).files.read(path),
    list: async (options) => (await tools()).files.list(options),
    tree: async (options) => (await tools()).files.tree(options),
    move: async (request) => (await tools()).files.move(request),
    delete: async (path) => (await tools()).files.delete(path),
    management,
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async stop(stopOptions) {
      if (hasSchedules) (await management()).schedules.stop();
      stopInspector();
      await Promise.all([pool.close(stopOptions), pinnedPool.close(stopOptions)]);
      await logs.flush();
    },
  };
}

/** A generation is named by the deployment's digest and a hash of the variables. */
function deploymentOf(generation: string): string {
  return generation.split(' ')[0] ?? generation;
}

function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make();
    return made;
  };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function mutable(
  parameters: Readonly<Record<string, string | readonly string[]>>,
): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
  );
}
