import {randomUUID} from 'node:crypto';
import {AppError, successStatus} from '../../schemas/errors.ts';
import type {RunCall} from '../../schemas/run.ts';
import type {Log} from '../platform/log.ts';
import {sendWhole, type WatchedSink, watchSink} from './answer-sink.ts';
import {type Call, failureHeader} from './call.ts';
import {createConcurrencyLimits} from './concurrency.ts';
import {corsHeaders, preflightHeaders} from './cors.ts';
import type {ExecutionEnd, ExecutionRecorder} from './execution-recorder.ts';
import type {HostPool, LeaseRequest} from './host-pool.ts';
import {type AnswerSink, type Attempt, type CallRequest, createInvocation, declaredLength} from './invoke.ts';
import {createRequestBody, type RequestBody} from './request-body.ts';
import type {ReadyScript, Route, ScriptSet} from './script-set.ts';
import {isAllowedToken, maskToken, presentedToken} from './script-token.ts';

export interface ScriptCall {
  readonly request: CallRequest;
  /** Path as the client sent it, still percent-encoded. */
  readonly path: string;
  /** Path and query as the client sent them. */
  readonly target: string;
  readonly clientIp: string;
  /** The run of a job that makes the call; looked for when a script answers. */
  readonly findRun: () => string | null;
}

/** Where a call is sent: a deployment's scripts with one set of variables. */
export interface CallGround {
  readonly set: ScriptSet;
  readonly generation: string;
  readonly commit: string | null;
  readonly start: LeaseRequest['start'];
}

export interface Calls {
  /** Answers a call, whatever comes of it. Never rejects. */
  answer(call: ScriptCall, sink: AnswerSink): Promise<void>;
}

export const executionHeader = 'x-execution-id';
/** Of an answer, in the record of the run that made the call. */
const runBodyBytes = 4096;
const mostAttempts = 5;
/** A script that has taken down its host so often gets one of its own, until the next deployment. */
const killsToIsolation = 2;

export function createCalls({
  pool,
  recorder,
  ground,
  log,
  onRunCall,
}: {
  pool: HostPool;
  recorder: ExecutionRecorder;
  /** Null before the first deployment. */
  ground: () => CallGround | null;
  log: Log;
  onRunCall: (runId: string, call: RunCall) => void;
}): Calls {
  const limits = createConcurrencyLimits();
  const kills = new WeakMap<ScriptSet, Map<string, number>>();

  function blame(set: ScriptSet, file: string): void {
    const counts = kills.get(set) ?? new Map<string, number>();
    counts.set(file, (counts.get(file) ?? 0) + 1);
    kills.set(set, counts);
    log.warn('a script took its host down', {file, times: counts.get(file)});
  }

  function isIsolated({ref, options}: ReadyScript, set: ScriptSet): boolean {
    return options.isolated || (kills.get(set)?.get(ref.file) ?? 0) >= killsToIsolation;
  }

  /** Sends the call to hosts until one begins with it. */
  async function attempt(
    {set, generation, start}: CallGround,
    script: ReadyScript,
    call: Omit<Call, 'slot'>,
    {request, body, sink}: {request: CallRequest; body: RequestBody | null; sink: AnswerSink},
  ): Promise<Attempt> {
    for (let count = 1; count <= mostAttempts; count += 1) {
      const invocation = createInvocation({call, request, body, sink});
      const lease = await pool.lease({
        generation,
        start,
        file: script.ref.file,
        timeoutMs: script.options.timeoutMs,
        isolated: isIsolated(script, set),
        onTimeout: invocation.onTimeout,
        onStuck: invocation.onStuck,
      });
      try {
        const outcome = await invocation.run(lease);
        if (outcome !== 'withdrawn') return outcome;
      } finally {
        lease.release();
        const {reason, file} = lease.endedBy();
        if (reason !== 'ended' && file === script.ref.file) blame(set, file);
      }
    }
    throw new AppError(
      'SCRIPT_HOST_FAILED',
      `No script host could begin with ${script.ref.file}. Call again in a moment.`,
    );
  }

  async function run(
    here: CallGround,
    script: ReadyScript,
    route: Route,
    {request, target, clientIp}: ScriptCall,
    executionId: string,
    sink: AnswerSink,
  ): Promise<Attempt> {
    const {set} = here;
    const middleware = async (name: 'pre' | 'post') => {
      const file = set.middleware(route.file, name);
      if (file === null) return null;
      const ready = await set.ready(file);
      refuseUnparsable(ready);
      return ready.ref;
    };
    const [pre, post] = await Promise.all([middleware('pre'), middleware('post')]);
    const call = {
      executionId,
      script: script.ref,
      pre,
      post,
      parameters: route.parameters,
      target,
      clientIp,
      rawBody: script.options.rawBody,
      awaitsPromises: script.options.awaitsPromises,
      environmentFiles: set.environmentFiles(route.file),
    };
    const body =
      request.body === null
        ? null
        : createRequestBody(request.body, {chunked: declaredLength(request.headers) === null});
    const {concurrency} = script.options;
    const leave = concurrency === null ? null : await limits.enter(script.ref.file, concurrency);
    try {
      return await attempt(here, script, call, {request, body, sink});
    } finally {
      leave?.();
    }
  }

  async function answerScript(
    here: CallGround,
    script: ReadyScript,
    route: Route,
    scriptCall: ScriptCall,
    plainSink: AnswerSink,
  ): Promise<void> {
    const {request, target, clientIp} = scriptCall;
    const {options} = script;
    const id = randomUUID();
    const runId = scriptCall.findRun();
    const origin = headerOf(request, 'origin');
    const sink = watchSink(plainSink, {
      added: [...corsHeaders(options.cors, origin), executionHeader, id],
      failureHeader,
      keptBytes: Math.max(
        runId === null ? 0 : runBodyBytes,
        options.log.responseBody === 'full' || options.log.level === 'debug' ? options.log.maxBodyBytes : 0,
      ),
    });
    if (isPreflight(request) && options.cors.origin !== 'none') {
      const headers = preflightHeaders(options.cors, headerOf(request, 'access-control-request-headers'));
      sendWhole(sink, successStatus.noContent, headers, '');
      return;
    }
    recorder.begin(
      {
        id,
        script: route.file,
        method: request.method,
        url: options.tokens.length === 0 ? target : maskToken(target),
        client_ip: clientIp,
        commit: here.commit,
        deployment: here.set.deployment.digest,
        run_id: runId,
        warnings: [...script.compiled.warnings],
        request_headers: recordedHeaders(script, request),
      },
      options.log,
    );
    let outcome: Attempt | AppError;
    try {
      refuseUnparsable(script);
      refuseWithoutToken(script, scriptCall);
      if (options.websocket) {
        throw new AppError(
          'SCRIPT_NOT_UPGRADABLE',
          `${route.file} is a websocket script. Connect with ws://.`,
        );
      }
      outcome = await run(here, script, route, scriptCall, id, sink);
    } catch (error) {
      outcome = asAppError(error, log);
      sendError(sink, outcome);
    }
    const end = endOf(outcome, sink, script);
    recorder.end(id, end);
    if (runId !== null) {
      const {status, body} = sink.seen();
      onRunCall(runId, {url: maskToken(target), status, body: cut(body, runBodyBytes), execution_id: id});
    }
  }

  async function answer(scriptCall: ScriptCall, sink: AnswerSink): Promise<void> {
    try {
      const here = ground();
      const route = here?.set.routes.find(scriptCall.path) ?? null;
      const script = here === null || route === null ? null : await here.set.ready(route.file);
      // Deployed anew meanwhile: a call must not bring a former generation back.
      if (here !== null && ground()?.set !== here.set) return await answer(scriptCall, sink);
      if (here === null || route === null || script?.options.enabled !== true)
        throw new AppError('SCRIPT_NOT_FOUND', `No script answers ${scriptCall.path}.`);
      await answerScript(here, script, route, scriptCall, sink);
    } catch (error) {
      sendError(sink, asAppError(error, log));
    }
  }

  return {answer};
}

function refuseUnparsable({ref, compiled: {issue}}: ReadyScript): void {
  if (issue === null) return;
  const {line, column, message} = issue;
  throw new AppError('SCRIPT_FAILED', `SyntaxError: ${message}`, {details: {file: ref.file, line, column}});
}

function refuseWithoutToken({ref, options: {tokens}}: ReadyScript, {request, target}: ScriptCall): void {
  if (tokens.length === 0) return;
  const token = presentedToken((name) => headerOf(request, name), target);
  if (isAllowedToken(token, tokens)) return;
  throw new AppError(
    'SCRIPT_TOKEN_REQUIRED',
    `${ref.file} asks for a token. Send it as \`Authorization: Bearer <token>\` or \`X-Token\`.`,
  );
}

function isPreflight(request: CallRequest): boolean {
  return (
    request.method === 'OPTIONS' &&
    headerOf(request, 'origin') !== null &&
    headerOf(request, 'access-control-request-method') !== null
  );
}

function headerOf({headers}: CallRequest, wanted: string): string | null {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === wanted);
  return at === -1 ? null : (headers[at + 1] ?? null);
}

function recordedHeaders(
  {options: {log}}: ReadyScript,
  {headers}: CallRequest,
): Record<string, string> | null {
  if (log.level !== 'full' && log.level !== 'debug') return null;
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase();
    if (!log.excludedHeaders.includes(name)) pairs.push([name, headers[at + 1] ?? '']);
  }
  return Object.fromEntries(pairs);
}

function endOf(outcome: Attempt | AppError, sink: WatchedSink, {options: {log}}: ReadyScript): ExecutionEnd {
  const {status, bytes, body, failure} = sink.seen();
  const keepsBody = log.responseBody === 'full' || log.level === 'debug';
  const shared = {
    httpStatus: status,
    responseBytes: bytes,
    requestBody: null,
    responseBody: keepsBody
      ? cut(body, log.maxBodyBytes)
      : log.responseBody === 'redacted'
        ? `[${bytes} bytes]`
        : null,
  };
  if (outcome instanceof AppError) {
    const {code, message, details} = outcome;
    const at = {file: null, line: null, column: null, ...positionIn(details)};
    const error = {code, message, ...at, stack: message};
    if (code === 'SCRIPT_TIMEOUT') return {...shared, status: 'timed_out', error};
    return {...shared, status: code === 'SCRIPT_HOST_FAILED' ? 'interrupted' : 'failed', error};
  }
  if (outcome === 'left') return {...shared, status: 'aborted', error: null};
  if (outcome !== 'answered') return {...shared, status: 'interrupted', error: null};
  const isFailure = failure !== null || (status ?? 0) >= firstServerError;
  return {...shared, status: isFailure ? 'failed' : 'succeeded', error: null};
}

const firstServerError = 500;

function positionIn(details: unknown): {file?: string; line?: number; column?: number} {
  if (typeof details !== 'object' || details === null || !('line' in details)) return {};
  const {file, line, column}: {file?: unknown; line?: unknown; column?: unknown} = details;
  if (typeof file !== 'string' || typeof line !== 'number' || typeof column !== 'number') return {};
  return {file, line, column};
}

/** Where an answer has begun it is broken off. */
function sendError(sink: AnswerSink | WatchedSink, error: AppError): void {
  if ('seen' in sink && sink.seen().status !== null) {
    sink.destroy();
    return;
  }
  const challenge = error.code === 'SCRIPT_TOKEN_REQUIRED' ? ['www-authenticate', 'Bearer'] : [];
  sendWhole(
    sink,
    error.status,
    ['content-type', 'application/json', ...challenge],
    JSON.stringify(error.toBody()),
  );
}

function asAppError(error: unknown, log: Log): AppError {
  if (error instanceof AppError) return error;
  log.error('a call failed on our side', {error});
  return new AppError('INTERNAL_ERROR', 'Something went wrong on our side; the log has the details.');
}

function cut(text: string, maxBytes: number): string {
  return text.length <= maxBytes ? text : text.slice(0, maxBytes);
}
