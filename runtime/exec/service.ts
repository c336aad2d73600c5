import {extname, join} from 'node:path';
import type {ControlEvent, Deployment} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import type {
  DeletedScript,
  Deployed,
  Script,
  ScriptList,
  WriteScript,
  WrittenScript,
} from '../../schemas/exec-api.ts';
import type {RunCall} from '../../schemas/run.ts';
import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import {type Calls, type CallsOptions, createCalls} from './calls.ts';
import {
  type CurrentDeployment,
  cacheDirectoryOf,
  deploymentDigest,
  openDeploymentStore,
  type ScriptFile,
  sha256Of,
} from './deployment-store.ts';
import {createExecutionRecorder} from './execution-recorder.ts';
import {type ExecutionStore, openExecutionStore} from './execution-store.ts';
import {createExecutions, type Executions} from './executions.ts';
import {HostPool} from './host-pool.ts';
import {type HostProcess, startHostProcess} from './host-process.ts';
import {readMagicComments, redactMagicComments} from './magic-comments.ts';
import type {CallGround} from './prepared-call.ts';
import {refuseReserved} from './routes.ts';
import {openScriptCompiler} from './script-compiler.ts';
import {createScriptSet, type ScriptSet} from './script-set.ts';
import {createWebsocketCalls, type WebsocketCalls} from './websocket-calls.ts';

export interface ExecService {
  /** SHA-256 of the present set of scripts, null before the first. */
  digest(): string | null;
  /** Replaces the whole set. Throws BLOBS_MISSING, INVALID_BODY. */
  deploy(deployment: Deployment): Promise<Deployed>;
  /** Runs the script of a path. */
  readonly calls: Calls;
  readonly websockets: WebsocketCalls;
  readonly executions: Executions;
  write(script: WriteScript): Promise<WrittenScript>;
  read(path: string): Promise<Script>;
  list(options: {directory: string; recursive: boolean}): ScriptList;
  delete(path: string): Promise<DeletedScript>;
  on(listener: (event: ControlEvent) => void): () => void;
  /** Lets calls end for `graceMs`, then ends the hosts. */
  stop(options: {graceMs: number}): Promise<void>;
}

const defaultIdleMs = 5 * 60_000;
const defaultMaxResidentBytes = 1024 * 1024 * 1024;
const retention = {ageDays: 30, maxCount: 10_000, maxBytes: 64 * 1024 * 1024};

export interface ExecOptions {
  /** Ours alone: scripts, their cache and the records of calls. */
  readonly directory: string;
  /** The scripts' working directory. */
  readonly homeDirectory: string;
  readonly socketDirectory: string;
  /** Starts this program again. */
  readonly hostCommand: readonly string[];
  /** Asked at every call: a change of its variables starts a new host and drains the old one. */
  readonly environment: () => {
    readonly revision: string | null;
    readonly variables: Readonly<Record<string, string>>;
  };
  readonly clock: Clock;
  readonly log: Log;
  /** A host without calls ends after so long; five minutes unless given, null for never. */
  readonly idleMs?: number | null;
  /** Starts the host with each deployment instead of with its first call. */
  readonly warm?: boolean;
  /** A host that takes more is ended; 1 GiB unless given. */
  readonly maxResidentBytes?: number;
  /** Called when a call that a job's run made is over. */
  readonly onRunCall?: (runId: string, call: RunCall) => void;
}

export async function openExec(options: ExecOptions): Promise<ExecService> {
  const {directory, homeDirectory, socketDirectory, hostCommand, environment, clock, log} = options;
  const store = await openDeploymentStore(join(directory, 'scripts'));
  await store.prune(new Set());
  const compiler = await openScriptCompiler({
    cacheDirectory: cacheDirectoryOf(join(directory, 'scripts')),
    command: hostCommand,
    environment: () => environment().variables,
    clock,
  });
  await compiler.prune(store.current()?.files ?? []);
  const listeners = new Set<(event: ControlEvent) => void>();
  const pool = new HostPool({
    clock,
    idleMs: options.idleMs === undefined ? defaultIdleMs : options.idleMs,
    maxResidentBytes: options.maxResidentBytes ?? defaultMaxResidentBytes,
  });
  const openStore = createLazyStore(join(directory, 'executions.db'));
  const recorder = createExecutionRecorder({clock, log, openStore: openStore.get});
  const fingerprints = createFingerprints();
  let set: ScriptSet | null = null;

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

  async function replaceSet(next: (files: readonly ScriptFile[]) => Deployment): Promise<Deployed> {
    const before = store.current()?.digest;
    const {digest, files} = await store.deploy(next);
    if (digest !== before) {
      pool.retire();
      await store.prune(new Set(pool.generations.map(deploymentOf)));
      for (const listener of listeners) listener({type: 'deployment_changed', digest});
      warm();
    }
    return {digest, files: files.length};
  }

  function ground(): CallGround | null {
    const deployment = store.current();
    if (deployment === null) return null;
    if (set?.deployment !== deployment) set = createScriptSet(deployment, compiler);
    const {revision, variables} = environment();
    return {
      set,
      commit: revision,
      generation: `${deployment.digest} ${fingerprints.of(variables)}`,
      start: () => startHost(deployment, variables),
    };
  }

  function warm(): void {
    const here = options.warm === true ? ground() : null;
    if (here !== null) pool.warm(here.generation, here.start);
  }

  function files(): readonly ScriptFile[] {
    return store.current()?.files ?? [];
  }

  function resolved(path: string): string {
    return join(store.current()?.directory ?? directory, path);
  }

  async function existing(path: string) {
    refuseReserved(path.split('/'));
    const script = await store.read(path);
    if (script === null)
      throw new AppError('SCRIPT_NOT_FOUND', `No script ${path}. GET /api/v1/exec/scripts/list shows all.`);
    return script;
  }

  const callOptions: CallsOptions = {
    pool,
    recorder,
    ground,
    log,
    onRunCall: options.onRunCall ?? (() => {}),
  };

  return {
    digest: () => store.current()?.digest ?? null,
    deploy: (deployment) => replaceSet(() => deployment),
    calls: createCalls(callOptions),
    websockets: createWebsocketCalls(callOptions),
    executions: createExecutions(recorder, openStore.get),
    async write({path, content, validate, ifNotExists}) {
      refuseReserved(path.split('/'));
      const existed = files().some((file) => file.path === path);
      if (existed && ifNotExists)
        throw new AppError('SCRIPT_EXISTS', `${path} exists. Leave out ifNotExists to replace it.`);
      const validated = validate && (await validateScript(path, content));
      const sha256 = sha256Of(content);
      await replaceSet((present) => {
        const changed = [...present.filter((file) => file.path !== path), {path, sha256}];
        return {
          digest: deploymentDigest(changed),
          files: changed,
          contents: {[sha256]: Buffer.from(content).toString('base64')},
        };
      });
      const {bytes, modified} = await existing(path);
      return {
        path,
        resolvedPath: resolved(path),
        created: !existed,
        updated: existed,
        size: bytes.byteLength,
        modified: modified.toISOString(),
        validated,
      };
    },
    async read(path) {
      const {bytes, modified} = await existing(path);
      const content = text(bytes);
      const comments = redactMagicComments(readMagicComments(content));
      return {
        path,
        resolvedPath: resolved(path),
        content,
        magicComments: Object.keys(comments).length === 0 ? null : comments,
        metadata: {
          size: bytes.byteLength,
          created: modified.toISOString(),
          modified: modified.toISOString(),
          isDirectory: false,
          extension: extname(path),
        },
      };
    },
    list({directory: below, recursive}) {
      const prefix = below === '' ? '' : `${below.replace(/\/+$/, '')}/`;
      const scripts = files()
        .map(({path}) => path)
        .filter((path) => path.startsWith(prefix) && (recursive || !path.slice(prefix.length).includes('/')))
        .sort()
        .map((path) => ({name: path.slice(path.lastIndexOf('/') + 1), path, isDirectory: false}));
      return {directory: below, count: scripts.length, recursive, scripts};
    },
    async delete(path) {
      const {bytes} = await existing(path);
      const resolvedPath = resolved(path);
      await replaceSet((present) => {
        const changed = present.filter((file) => file.path !== path);
        return {digest: deploymentDigest(changed), files: changed, contents: {}};
      });
      return {deleted: true, path, resolvedPath, size: bytes.byteLength};
    },
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async stop(stopOptions) {
      await pool.close(stopOptions);
      compiler.stop();
      recorder.stop();
      openStore.close();
    },
  };
}

/** The same variables are asked about at every call. */
function createFingerprints(): {of: (variables: Readonly<Record<string, string>>) => string} {
  let text = '';
  let hash = '';
  return {
    of(variables) {
      const json = JSON.stringify(variables);
      if (json !== text || hash === '') {
        text = json;
        hash = sha256Of(json);
      }
      return hash;
    },
  };
}

/** Opened by the first call or look: most containers wait for hours, and a database takes room. */
function createLazyStore(path: string): {get: () => ExecutionStore; close: () => void} {
  let store: ExecutionStore | null = null;
  return {
    get() {
      if (store === null) {
        store = openExecutionStore(path, retention);
        store.interruptUnfinished();
      }
      return store;
    },
    close() {
      store?.close();
      store = null;
    },
  };
}

/** A generation is named by the deployment's digest and a hash of the variables. */
function deploymentOf(generation: string): string {
  return generation.split(' ')[0] ?? generation;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** False for a kind of file that is written as it is. Throws SCRIPT_INVALID or INVALID_JSON. */
async function validateScript(path: string, content: string): Promise<boolean> {
  if (path.endsWith('.json')) {
    try {
      JSON.parse(content);
      return true;
    } catch (error) {
      throw new AppError('INVALID_JSON', 'Invalid JSON', {cause: error});
    }
  }
  if (!/\.[jt]sx?$/.test(path)) return false;
  const {checkScript} = await import('../platform/script-check.ts');
  const validation = await checkScript({path, text: content});
  if (validation.length > 0)
    throw new AppError('SCRIPT_INVALID', 'Script validation failed', {details: {validation}});
  return true;
}
