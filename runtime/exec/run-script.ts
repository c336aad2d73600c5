import {errorCatalogue, successStatus} from '../../schemas/errors.ts';
import {BodyNames} from './body-names.ts';
import type {Call, ScriptRef} from './call.ts';
import {type CallNames, ExchangeNames} from './call-names.ts';
import type {HostedExchange} from './call-server.ts';
import {markRunning, type ScriptHost} from './hosted-call.ts';
import {notAwaited} from './script-answer.ts';
import {bodyOf} from './script-loader.ts';

/** What the scripts of a call are given. */
export interface ScriptRun {
  readonly host: ScriptHost;
  readonly call: Call;
  readonly names: CallNames;
  /** Null for a websocket. */
  readonly exchange: HostedExchange | null;
}

/**
 * Runs what answers a call: `pre`, whose answer other than nothing stops it, then the script, then `post`, whose
 * answer other than nothing replaces the script's. Rejects with whatever a script throws.
 */
export async function runCall(run: ScriptRun): Promise<unknown> {
  const {pre, script, post, awaitsPromises} = run.call;
  if (pre !== null) {
    const answer = await runScript(pre, run);
    if (isAnswer(answer) || run.exchange?.reply.isEnded === true) return answer;
  }
  const running = runScript(script, run);
  if (!awaitsPromises) {
    running.catch((error: unknown) => console.error('The script failed after its call was answered:', error));
    return notAwaited;
  }
  const mainResult = await running;
  if (post === null) return mainResult;
  run.names.mainResult = mainResult;
  const replaced = await runScript(post, run);
  return isAnswer(replaced) ? replaced : mainResult;
}

function isAnswer(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A body runs once a call; a module is loaded once, and its handler is called. */
async function runScript(script: ScriptRef, run: ScriptRun): Promise<unknown> {
  const {loader} = run.host;
  const module = loader.loaded(script) ?? (await loader.load(script));
  const body = bodyOf(module);
  if (isHandler(body)) return runBody(body, script, run);
  const {default: exported} = module;
  if (isHandler(exported)) return callHandler(exported, run);
  if (hasFetch(exported)) return markRunning(run.host, run.call, () => exported.fetch(requestOf(run)));
  if (exported !== undefined) return exported;
  return callMethod(module, run);
}

async function runBody(body: Handler, {file}: ScriptRef, run: ScriptRun): Promise<unknown> {
  const {globals, directory} = run.host;
  const names = new BodyNames({names: run.names, globals, directory, file});
  const answer = await markRunning(run.host, run.call, () => body(names));
  if (answer !== undefined) return answer;
  const {exports} = names.module;
  return isHandler(exports) ? callHandler(exports, run) : undefined;
}

type Handler = (...values: unknown[]) => unknown;

function isHandler(value: unknown): value is Handler {
  return typeof value === 'function';
}

function hasFetch(value: unknown): value is {fetch: Handler} {
  return typeof value === 'object' && value !== null && 'fetch' in value && isHandler(value.fetch);
}

/** A handler that takes `res`, returns nothing and has not answered yet will do so from a callback. */
async function callHandler(handler: Handler, {host, call, names, exchange}: ScriptRun): Promise<unknown> {
  const {req, res, metadata, shared} = names;
  const returned = markRunning(host, call, () => handler(req, res, metadata, shared));
  const answersLater =
    returned === undefined && handler.length >= 2 && exchange !== null && !exchange.reply.isEnded;
  if (answersLater) await new Promise<void>((resolve) => exchange.reply.onOver(resolve));
  return returned;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** `export function GET(request, {params})` and the like; HEAD falls back to GET. */
async function callMethod(module: Record<string, unknown>, run: ScriptRun): Promise<unknown> {
  const {exchange} = run;
  const method = exchange?.method ?? 'GET';
  const wanted = method === 'HEAD' && module.HEAD === undefined ? 'GET' : method;
  const handler = methods.some((known) => known === wanted) ? module[wanted] : undefined;
  if (isHandler(handler)) {
    const {host, call} = run;
    return markRunning(host, call, () => handler(requestOf(run), {params: call.parameters}));
  }
  if (exchange === null) return null;
  const {reply} = exchange;
  reply.status = method === 'OPTIONS' ? successStatus.noContent : errorCatalogue.METHOD_NOT_ALLOWED.status;
  reply.setHeader('allow', allowed(module).join(', '));
  return null;
}

function allowed(module: Record<string, unknown>): string[] {
  return methods.filter((method) => {
    if (isHandler(module[method]) || method === 'OPTIONS') return true;
    return method === 'HEAD' && isHandler(module.GET);
  });
}

function requestOf({names}: ScriptRun): Request {
  if (!(names instanceof ExchangeNames)) throw new TypeError('A websocket script exports no methods.');
  return names.webRequest;
}
