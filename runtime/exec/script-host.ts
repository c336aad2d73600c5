import {Database} from 'bun:sqlite';
import nodeFs from 'node:fs';
import {createRequire} from 'node:module';
import nodePath from 'node:path';
import {$} from 'bun';
import {errorCatalogue, successStatus} from '../../schemas/errors.ts';
import {type IncomingMessage, type ServerResponse, serveCalls} from '../platform/call-server.ts';
import {connectParent, forbidProcessWideCalls, surviveStrayErrors} from '../platform/parent-process.ts';
import {addToEveryDatabase} from '../platform/sqlite-functions.ts';
import {
  type Call,
  callHeader,
  decodeCall,
  failureHeader,
  type HostMessage,
  runtimeMessageSchema,
} from './call.ts';
import {dateTrunc} from './date-trunc.ts';
import {sendAnswer} from './script-answer.ts';
import {scriptFailure} from './script-failure.ts';
import {bodyOf, createScriptLoader, type ScriptLoader} from './script-loader.ts';
import {RequestBodyError, readBody, withShortcuts} from './script-request.ts';
import {sharedStateHeader} from './shared-state-header.ts';

interface Host {
  readonly directory: string;
  readonly loader: ScriptLoader;
  /** One object for all scripts of the deployment, for as long as the host lives. */
  readonly shared: Record<string, unknown>;
}

/**
 * Runs the scripts of one deployment for the runtime that started us. Arguments: socket path, scripts
 * directory, cache directory. Ends when the runtime ends.
 */
export async function scriptHostMain([
  socketPath,
  directory,
  cacheDirectory,
]: readonly string[]): Promise<void> {
  if (socketPath === undefined || directory === undefined || cacheDirectory === undefined) {
    throw new Error('usage: script-host <socket> <scripts directory> <cache directory>');
  }
  const parent = connectParent((message) => {
    const {ping} = runtimeMessageSchema.parse(message);
    send({type: 'pong', ping});
  });
  const send = (message: HostMessage) => parent.send(message);
  surviveStrayErrors((error) => console.error('A script left an error behind:', error));
  forbidProcessWideCalls();
  addToEveryDatabase({name: 'date_trunc', call: (unit, time) => dateTrunc(unit, time), busyTimeoutMs: 5000});
  Object.assign(globalThis, {Database, $, fs: nodeFs, path: nodePath});
  const host = {directory, loader: createScriptLoader(directory, cacheDirectory), shared: {}};
  await serveCalls(socketPath, (request, response) => void answer(host, request, response));
  send({type: 'ready'});
}

async function answer(host: Host, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    if (request.headers[callHeader] === undefined && request.headers[sharedStateHeader] !== undefined) {
      const {answerSharedState} = await import('./shared-state.ts');
      return await answerSharedState(host.shared, request, response);
    }
    const call = decodeCall(String(request.headers[callHeader]));
    delete request.headers[callHeader];
    request.url = call.target;
    Object.assign(request, await readBody(request));
    await sendAnswer(response, await run(host, call, request, withShortcuts(response)));
  } catch (error) {
    fail(host, response, error);
  }
}

async function run(
  host: Host,
  call: Call,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const module = await host.loader.load(call.file);
  const metadata = metadataOf(call, request);
  const body = bodyOf(module);
  if (isHandler(body)) {
    const cell: {exports: unknown} = {exports: {}};
    const file = nodePath.join(host.directory, call.file);
    const scope = {module: cell, exports: cell.exports, require: createRequire(file), console};
    const value: unknown = await body({req: request, res: response, metadata, shared: host.shared, ...scope});
    if (value !== undefined || !isHandler(cell.exports)) return value;
    return handle(cell.exports, [request, response, metadata, host.shared], response);
  }
  if (isHandler(module.default)) {
    return handle(module.default, [request, response, metadata, host.shared], response);
  }
  if (module.default !== undefined) return module.default;
  return byMethod(module, request, response);
}

type Handler = (...values: unknown[]) => unknown;

function isHandler(value: unknown): value is Handler {
  return typeof value === 'function';
}

/** A handler that takes `res`, returns nothing and has not answered yet will do so from a callback. */
async function handle(
  handler: Handler,
  values: readonly unknown[],
  response: ServerResponse,
): Promise<unknown> {
  const returned = handler(...values);
  const answersLater = returned === undefined && handler.length >= 2 && !response.writableEnded;
  if (answersLater) await new Promise((resolve) => response.once('close', resolve));
  return returned;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** `export function GET(request)` and the like; HEAD falls back to GET. */
async function byMethod(
  module: Record<string, unknown>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const wanted = request.method === 'HEAD' && module.HEAD === undefined ? 'GET' : (request.method ?? 'GET');
  const handler = methods.some((method) => method === wanted) ? module[wanted] : undefined;
  if (isHandler(handler)) return handler(webRequest(request));
  response.statusCode =
    request.method === 'OPTIONS' ? successStatus.noContent : errorCatalogue.METHOD_NOT_ALLOWED.status;
  response.setHeader('allow', methods.filter((method) => typeof module[method] === 'function').join(', '));
  return null;
}

function webRequest(request: IncomingMessage): Request {
  const body = 'rawBody' in request && request.rawBody instanceof Buffer ? request.rawBody : undefined;
  const bodyless = request.method === 'GET' || request.method === 'HEAD';
  return new Request(`http://${request.headers.host ?? 'localhost'}${request.url ?? '/'}`, {
    method: request.method ?? 'GET',
    headers: Object.entries(request.headers).map(([name, value]): [string, string] => [
      name,
      [value ?? ''].flat().join(', '),
    ]),
    ...(bodyless || body === undefined ? {} : {body: new Uint8Array(body)}),
  });
}

function metadataOf(call: Call, request: IncomingMessage): Record<string, unknown> {
  const {pathname, searchParams} = new URL(call.target, 'http://localhost');
  return {
    executionId: call.executionId,
    parameters: call.parameters,
    query: {...Object.fromEntries(searchParams), ...call.parameters},
    method: request.method,
    path: pathname,
    url: call.target,
    clientIp: call.clientIp,
  };
}

function fail(host: Host, response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    // Half an answer is out; a cut connection is the only honest end.
    response.destroy();
    return;
  }
  const body = scriptFailure(error, {directory: host.directory, firstLineShift: host.loader.firstLineShift});
  const shown =
    error instanceof RequestBodyError
      ? {...body, code: 'INVALID_BODY' as const, message: error.message}
      : body;
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.writeHead(errorCatalogue[shown.code].status, {
    'content-type': 'application/json',
    [failureHeader]: shown.code,
  });
  response.end(JSON.stringify(shown));
}
