import {createRequire} from 'node:module';
import nodePath from 'node:path';
import {errorCatalogue, successStatus} from '../../schemas/errors.ts';
import type {IncomingMessage, ServerResponse} from '../platform/call-server.ts';
import type {Call, ScriptRef} from './call.ts';
import {markRunning, type ScriptHost} from './hosted-call.ts';
import {bodyOf} from './script-loader.ts';
import {bodyNames} from './script-names.ts';
import {webRequest} from './web-request.ts';

/** What one script of a call is given. */
export interface ScriptRun {
  readonly host: ScriptHost;
  readonly call: Call;
  readonly names: Readonly<Record<string, unknown>>;
  /** Both null for a websocket. */
  readonly request: IncomingMessage | null;
  readonly response: ServerResponse | null;
}

/** Given by a script that was not waited for. */
export const notAwaited = Symbol('not awaited');

/**
 * Runs what answers a call: `pre`, whose answer other than nothing stops it, then the script, then `post`, whose
 * answer other than nothing replaces the script's. Rejects with whatever a script throws.
 */
export async function runCall(run: ScriptRun): Promise<unknown> {
  const {pre, script, post, awaitsPromises} = run.call;
  if (pre !== null) {
    const answer = await runScript(pre, run);
    if (isAnswer(answer) || run.response?.writableEnded === true) return answer;
  }
  const running = runScript(script, run);
  if (!awaitsPromises) {
    running.catch((error: unknown) => console.error('The script failed after its call was answered:', error));
    return notAwaited;
  }
  const mainResult = await running;
  if (post === null) return mainResult;
  const replaced = await runScript(post, {...run, names: {...run.names, mainResult}});
  return isAnswer(replaced) ? replaced : mainResult;
}

function isAnswer(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A body runs once a call; a module is loaded once, and its handler is called. */
async function runScript(script: ScriptRef, run: ScriptRun): Promise<unknown> {
  const module = await run.host.loader.load(script);
  const body = bodyOf(module);
  if (isHandler(body)) return runBody(body, script, run);
  const {default: exported} = module;
  if (isHandler(exported)) return callHandler(exported, run);
  if (hasFetch(exported)) return markRunning(run.host, run.call, () => exported.fetch(requestOf(run)));
  if (exported !== undefined) return exported;
  return callMethod(module, run);
}

async function runBody(body: Handler, {file}: ScriptRef, run: ScriptRun): Promise<unknown> {
  const module: {exports: unknown} = {exports: {}};
  const require = createRequire(nodePath.join(run.host.directory, file));
  const {globals} = run.host;
  const names = {
    ...bodyNames,
    ...run.names,
    console,
    require,
    module,
    exports: module.exports,
    get globalThis() {
      return globals.present();
    },
    get global() {
      return globals.present();
    },
    get self() {
      return globals.present();
    },
  };
  const answer = await markRunning(run.host, run.call, () => body(names));
  if (answer !== undefined) return answer;
  return isHandler(module.exports) ? callHandler(module.exports, run) : undefined;
}

type Handler = (...values: unknown[]) => unknown;

function isHandler(value: unknown): value is Handler {
  return typeof value === 'function';
}

function hasFetch(value: unknown): value is {fetch: Handler} {
  return typeof value === 'object' && value !== null && 'fetch' in value && isHandler(value.fetch);
}

/** A handler that takes `res`, returns nothing and has not answered yet will do so from a callback. */
async function callHandler(handler: Handler, {host, call, names, response}: ScriptRun): Promise<unknown> {
  const {req, res, metadata, shared} = names;
  const returned = markRunning(host, call, () => handler(req, res, metadata, shared));
  const answersLater =
    returned === undefined && handler.length >= 2 && response !== null && !response.writableEnded;
  if (answersLater) await new Promise((resolve) => response.once('close', resolve));
  return returned;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** `export function GET(request, {params})` and the like; HEAD falls back to GET. */
async function callMethod(module: Record<string, unknown>, run: ScriptRun): Promise<unknown> {
  const {request, response} = run;
  const method = request?.method ?? 'GET';
  const wanted = method === 'HEAD' && module.HEAD === undefined ? 'GET' : method;
  const handler = methods.some((known) => known === wanted) ? module[wanted] : undefined;
  if (isHandler(handler)) {
    const {host, call} = run;
    return markRunning(host, call, () => handler(requestOf(run), {params: call.parameters}));
  }
  if (response === null) return null;
  response.statusCode =
    method === 'OPTIONS' ? successStatus.noContent : errorCatalogue.METHOD_NOT_ALLOWED.status;
  response.setHeader('allow', allowed(module).join(', '));
  return null;
}

function allowed(module: Record<string, unknown>): string[] {
  return methods.filter((method) => {
    if (isHandler(module[method]) || method === 'OPTIONS') return true;
    return method === 'HEAD' && isHandler(module.GET);
  });
}

function requestOf({request, response}: ScriptRun): Request {
  if (request === null || response === null) throw new TypeError('A websocket script exports no methods.');
  return webRequest(request, response);
}
