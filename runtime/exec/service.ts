import {randomUUID} from 'node:crypto';
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
import type {Clock} from '../platform/clock.ts';
import {mkdir} from '../platform/files.ts';
import type {Log} from '../platform/log.ts';
import {
  type CurrentDeployment,
  cacheDirectoryOf,
  deploymentDigest,
  openDeploymentStore,
  type ScriptFile,
  sha256Of,
} from './deployment-store.ts';
import {HostPool} from './host-pool.ts';
import {type HostProcess, startHostProcess} from './host-process.ts';
import {invoke} from './invoke.ts';
import {readMagicComments, readScriptOptions, redactMagicComments} from './magic-comments.ts';
import {findRoute, refuseReserved} from './routes.ts';

export interface ScriptCall {
  readonly request: Request;
  /** Path as the client sent it, still percent-encoded. */
  readonly path: string;
  /** Path and query as the client sent them. */
  readonly target: string;
  readonly clientIp: string;
}

export interface ExecService {
  /** SHA-256 of the present set of scripts, null before the first. */
  digest(): string | null;
  /** Replaces the whole set. Throws BLOBS_MISSING, INVALID_BODY. */
  deploy(deployment: Deployment): Promise<Deployed>;
  /** Runs the script of a path. Throws SCRIPT_NOT_FOUND, PATH_EXCLUDED, SCRIPT_TIMEOUT, SCRIPT_HOST_FAILED. */
  call(call: ScriptCall): Promise<Response>;
  write(script: WriteScript): Promise<WrittenScript>;
  read(path: string): Promise<Script>;
  list(options: {directory: string; recursive: boolean}): ScriptList;
  delete(path: string): Promise<DeletedScript>;
  on(listener: (event: ControlEvent) => void): () => void;
  /** Lets calls end for `graceMs`, then ends the hosts. */
  stop(options: {graceMs: number}): Promise<void>;
}

const defaultIdleMs = 5 * 60_000;
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
}: {
  directory: string;
  homeDirectory: string;
  socketDirectory: string;
  hostCommand: readonly string[];
  environment: () => {variables: Readonly<Record<string, string>>};
  clock: Clock;
  log: Log;
  idleMs?: number;
}): Promise<ExecService> {
  const store = await openDeploymentStore(join(directory, 'scripts'));
  const cacheDirectory = cacheDirectoryOf(join(directory, 'scripts'));
  await mkdir(cacheDirectory, {recursive: true});
  await store.prune(new Set());
  const listeners = new Set<(event: ControlEvent) => void>();
  const pool = new HostPool({clock, idleMs});

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

  async function replaceSet(next: (files: readonly ScriptFile[]) => Deployment): Promise<Deployed> {
    const before = store.current()?.digest;
    const {digest, files} = await store.deploy(next);
    if (digest !== before) {
      pool.retire();
      await store.prune(new Set(pool.generations.map(deploymentOf)));
      for (const listener of listeners) listener({type: 'deployment_changed', digest});
    }
    return {digest, files: files.length};
  }

  async function call(scriptCall: ScriptCall): Promise<Response> {
    const {request, path, target, clientIp} = scriptCall;
    const deployment = store.current();
    const route = findRoute(
      files().map((file) => file.path),
      path,
    );
    const script = route === null ? null : await store.read(route.file);
    // Deployed anew while the file was read: a call must not bring a former generation back.
    if (store.current() !== deployment) return call(scriptCall);
    const options = script === null ? null : readScriptOptions(text(script.bytes));
    if (route === null || deployment === null || options?.enabled !== true) {
      throw new AppError('SCRIPT_NOT_FOUND', `No script answers ${path}.`);
    }
    const {variables} = environment();
    const lease = await pool.lease(`${deployment.digest} ${sha256Of(JSON.stringify(variables))}`, () =>
      startHost(deployment, variables),
    );
    const executionId = randomUUID();
    const hostCall = {executionId, file: route.file, parameters: mutable(route.parameters), target, clientIp};
    const response = await invoke({lease, call: hostCall, request, timeoutMs: options.timeoutMs, clock});
    response.headers.set(executionHeader, executionId);
    return response;
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

  return {
    digest: () => store.current()?.digest ?? null,
    deploy: (deployment) => replaceSet(() => deployment),
    call,
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
    stop: (stopOptions) => pool.close(stopOptions),
  };
}

/** A generation is named by the deployment's digest and a hash of the variables. */
function deploymentOf(generation: string): string {
  return generation.split(' ')[0] ?? generation;
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
