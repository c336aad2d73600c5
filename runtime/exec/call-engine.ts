import {join} from 'node:path';
import {createCallGrounds} from './call-grounds.ts';
import {type CallMonitor, createCallMonitor} from './call-monitor.ts';
import {type Calls, type CallsOptions, createCalls} from './calls.ts';
import {type CurrentDeployment, cacheDirectoryOf, type DeploymentStore} from './deployment-store.ts';
import {type ExecLogs, openExecLogs} from './exec-logs.ts';
import {createExecutionRecorder} from './execution-recorder.ts';
import {createExecutions, type Executions} from './executions.ts';
import type {HostControl} from './host-operations.ts';
import {HostPool} from './host-pool.ts';
import {type HostProcess, startHostProcess} from './host-process.ts';
import {createLazyExecutionStore} from './lazy-execution-store.ts';
import {openScriptCompiler} from './script-compiler.ts';
import {createScriptInspector, type ScriptInspector} from './script-inspector.ts';
import type {ExecOptions} from './service.ts';
import {createWebsocketCalls, type WebsocketCalls} from './websocket-calls.ts';

/** Everything that runs scripts and tells of it. Loaded with the first call: most containers wait for hours. */
export interface CallEngine {
  readonly calls: Calls;
  readonly websockets: WebsocketCalls;
  readonly executions: Executions;
  readonly monitor: CallMonitor;
  readonly logs: ExecLogs;
  readonly inspector: ScriptInspector;
  readonly hosts: HostControl;
  /** Digests of the sets that hosts still use. */
  digestsInUse(): ReadonlySet<string>;
  /** The present hosts take no more calls. */
  retire(): void;
  /** Starts a host of the present set. */
  warm(): void;
  stop(options: {graceMs: number}): Promise<void>;
}

type Given = Pick<
  ExecOptions,
  'directory' | 'homeDirectory' | 'socketDirectory' | 'hostCommand' | 'environment' | 'clock' | 'log'
>;
type Decided = Required<Pick<ExecOptions, 'idleMs' | 'maxResidentBytes' | 'onRunCall' | 'onCall'>>;

export interface CallEngineOptions extends Given, Decided {
  readonly store: DeploymentStore;
  /** When calls began to be counted, epoch ms. */
  readonly startedMs: number;
  readonly isWarm: () => boolean;
}

const pinnedIdleMs = 30_000;

export async function openCallEngine(options: CallEngineOptions): Promise<CallEngine> {
  const {store, directory, homeDirectory, socketDirectory, hostCommand, environment} = options;
  const {clock, log, startedMs, idleMs, maxResidentBytes, isWarm, onRunCall} = options;
  const inspector = createScriptInspector({command: hostCommand, directory, clock});
  const cacheDirectory = cacheDirectoryOf(join(directory, 'scripts'));
  const compiler = await openScriptCompiler({cacheDirectory, inspector});
  await compiler.prune(store.current()?.files ?? []);
  const logs = openExecLogs({directory: join(directory, 'logs'), clock, log});
  const monitor = createCallMonitor({
    clock,
    startedMs,
    onEnd: (call) => {
      logs.noteCall(call);
      options.onCall();
    },
  });
  const openStore = createLazyExecutionStore(join(directory, 'executions.db'));
  const recorder = createExecutionRecorder({clock, log, openStore: openStore.get});
  const executions = createExecutions(recorder, openStore.get);
  const pool = new HostPool({clock, idleMs: () => (isWarm() ? null : idleMs), maxResidentBytes});
  const pinnedPool = new HostPool({
    clock,
    idleMs: () => Math.min(idleMs ?? pinnedIdleMs, pinnedIdleMs),
    maxResidentBytes,
  });
  const grounds = createCallGrounds({store, compiler, environment, pool, pinnedPool, startHost});

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
        if (message.type === 'closed') websockets.closed(message.executionId);
        else if (message.type === 'failed') recorder.failed(message.executionId, message.failure);
        else recorder.output(message.executionId, message.chunks, message.leftOut);
      },
    });
    log.info('script host started', {pid: host.pid, deployment: deployment.digest});
    void host.ended.then(() => log.info('script host ended', {pid: host.pid}));
    return host;
  }

  const callsOptions: CallsOptions = {
    recorder,
    monitor,
    destinationOf: grounds.destinationOf,
    log,
    onRunCall,
  };
  const calls = createCalls(callsOptions);
  const websockets = createWebsocketCalls(callsOptions);

  return {
    calls,
    websockets,
    executions,
    monitor,
    logs,
    inspector,
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
    digestsInUse: grounds.digestsInUse,
    retire: () => pool.retire(),
    warm() {
      const here = grounds.present();
      if (here !== null) pool.warm(here);
    },
    async stop(stopOptions) {
      inspector.stop();
      await Promise.all([pool.close(stopOptions), pinnedPool.close(stopOptions)]);
      recorder.stop();
      openStore.close();
      await logs.flush();
    },
  };
}
