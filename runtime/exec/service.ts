import {join} from 'node:path';
import type {DeploymentInput, Rollback} from '../../schemas/control.ts';
import type {ControlEvent} from '../../schemas/control-state.ts';
import type {Deployed, DeploymentVersion} from '../../schemas/deployment-api.ts';
import type {RunCall} from '../../schemas/run.ts';
import type {Clock} from '../platform/clock.ts';
import {kindOf} from '../platform/directories.ts';
import {lazily} from '../platform/lazily.ts';
import type {Log} from '../platform/log.ts';
import type {CallEngine} from './call-engine.ts';
import type {ScriptVariables} from './call-grounds.ts';
import {type CurrentDeployment, openDeploymentStore} from './deployment-store.ts';
import type {Executions} from './executions.ts';
import {keptVersion} from './kept-version.ts';
import {createLazyCalls, type LazyCalls} from './lazy-calls.ts';
import {createLazyScriptFiles} from './lazy-script-files.ts';
import type {ExecManagement} from './management.ts';
import {scanSchedules} from './schedule-scan.ts';
import type {ScriptFiles} from './script-files.ts';

export interface ExecService extends ScriptFiles, LazyCalls {
  /** SHA-256 of the present set of scripts, null before the first. */
  digest(): string | null;
  /** The commit that set is of; null where it was changed over the API. */
  commit(): string | null;
  /** Replaces the whole set. Throws BLOBS_MISSING, INVALID_BODY. */
  deploy(deployment: DeploymentInput): Promise<Deployed>;
  /** The kept sets, newest first. */
  versions(): readonly DeploymentVersion[];
  /** The files of the present set, with the hash of each; none before the first. */
  deployed(): readonly {readonly path: string; readonly sha256: string}[];
  /** One file of the present set as it is, secrets in its comments too; null where there is none. */
  readDeployed(path: string): Promise<Uint8Array | null>;
  /** Makes a kept set the present one again. Throws VERSION_NOT_FOUND. */
  rollBack(to: Rollback): Promise<Deployed>;
  /** The records of calls. */
  executions(): Promise<Executions>;
  /** Everything else that can be asked of scripts; loaded at the first use. */
  management(): Promise<ExecManagement>;
  on(listener: (event: ControlEvent) => void): () => void;
  /** Lets calls end for `graceMs`, then ends the hosts. */
  stop(options: {graceMs: number}): Promise<void>;
}

const defaultIdleMs = 5 * 60_000;
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
  /** Called when any call is over. */
  readonly onCall?: () => void;
}

export async function openExec(options: ExecOptions): Promise<ExecService> {
  const {directory, hostCommand, environment, clock} = options;
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
  const listeners = new Set<(event: ControlEvent) => void>();
  const isWarm = () =>
    options.warm === true || (store.current()?.mounts.some(({settings}) => settings.warm === true) ?? false);
  const startedMs = clock.now();
  let opened: Promise<CallEngine> | null = null;
  const engine = () => {
    opened ??= import('./call-engine.ts').then(({openCallEngine}) =>
      openCallEngine({
        ...options,
        store,
        startedMs,
        idleMs: options.idleMs === undefined ? defaultIdleMs : options.idleMs,
        maxResidentBytes: options.maxResidentBytes ?? defaultMaxResidentBytes,
        isWarm,
        onRunCall: options.onRunCall ?? (() => {}),
        onCall: options.onCall ?? (() => {}),
      }),
    );
    opened.catch(() => {
      // A failure of the machine passes; the next call tries again.
      opened = null;
    });
    return opened;
  };
  let hasSchedules = false;

  async function replaceSet(next: (present: CurrentDeployment | null) => DeploymentInput): Promise<Deployed> {
    const before = store.current()?.digest;
    const {digest, files} = await store.deploy(next);
    if (digest !== before) {
      const running = await opened;
      running?.retire();
      await store.prune(running?.digestsInUse() ?? new Set());
      if ((await kindOf(packagesDirectory)) !== null) await (await packages()).prune(await store.keptSets());
      for (const listener of listeners) listener({type: 'deployment_changed', digest});
      if (isWarm()) (await engine()).warm();
    }
    await followSchedules();
    return {digest, files: files.length};
  }

  const validation = lazily(async () => {
    const [{createValidation}, {knownModules}, {inspector}] = await Promise.all([
      import('./validation.ts'),
      import('./known-modules.ts'),
      engine(),
    ]);
    const types = lazily(async () => {
      const {createTypeChecker} = await import('./type-checker.ts');
      const executable = hostCommand[0] ?? '';
      return createTypeChecker({store, inspector, directory: packagesDirectory, executable});
    });
    return createValidation(inspector, {known: () => knownModules(store), types});
  });
  const openFiles = lazily(async () => {
    const {createScriptFiles} = await import('./script-files.ts');
    return createScriptFiles({store, root: directory, validation: await validation(), replaceSet});
  });
  const files = createLazyScriptFiles(openFiles);
  const management = lazily(async () => {
    const [{openExecManagement}, {createExecutionLogs}, {manager}, running] = await Promise.all([
      import('./management.ts'),
      import('./execution-logs.ts'),
      packages(),
      engine(),
    ]);
    return openExecManagement({
      ...running,
      store,
      files,
      validation: await validation(),
      executionLogs: createExecutionLogs(running.executions),
      isScheduleOpen: options.isScheduleOpen ?? (() => true),
      clock,
      packageManager: manager,
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
    deployed: () => store.current()?.files ?? [],
    readDeployed: async (path) => (await store.read(path))?.bytes ?? null,
    async rollBack(to) {
      const {digest, commit, files: kept, mounts} = await keptVersion(store, to);
      return replaceSet(() => ({digest, commit, files: [...kept], mounts: [...mounts]}));
    },
    ...createLazyCalls(engine, options.log),
    executions: async () => (await engine()).executions,
    management,
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async stop(stopOptions) {
      if (hasSchedules) (await management()).schedules.stop();
      await (await opened)?.stop(stopOptions);
    },
  };
}
