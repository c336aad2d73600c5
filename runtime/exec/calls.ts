import {randomUUID} from 'node:crypto';
import {AppError, callerLeftStatus, successStatus} from '../../schemas/errors.ts';
import type {RunCall} from '../../schemas/run.ts';
import type {Log} from '../platform/log.ts';
import {sendWhole, WatchedSink} from './answer-sink.ts';
import {executionHeader} from './call.ts';
import type {CallMonitor} from './call-monitor.ts';
import {endOf, keptBodyBytes, recordedHeaders} from './call-record.ts';
import {createConcurrencyLimits} from './concurrency.ts';
import {corsHeaders, preflightHeaders} from './cors.ts';
import type {ExecutionRecorder} from './execution-recorder.ts';
import {
  type AnswerSink,
  type Attempt,
  type CallRequest,
  type HostCall,
  Invocation,
  passedOn,
} from './invoke.ts';
import {readMarkdown} from './markdown-files.ts';
import {type Destination, type PreparedCall, prepareCall, refuseUnparsable} from './prepared-call.ts';
import {createRequestBody, type RequestBody} from './request-body.ts';
import {type RequestWatch, watchRequestBody} from './request-watch.ts';
import {refuseOtherMethods} from './script-settings.ts';
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

export interface Calls {
  /** Answers a call, whatever comes of it. Never rejects. */
  answer(call: ScriptCall, sink: AnswerSink): Promise<void>;
}

export interface CallsOptions {
  readonly recorder: ExecutionRecorder;
  readonly monitor: CallMonitor;
  /** Throws VERSION_NOT_FOUND. */
  readonly destinationOf: (call: Pick<ScriptCall, 'path' | 'target'>) => Destination | Promise<Destination>;
  readonly log: Log;
  readonly onRunCall: (runId: string, call: RunCall) => void;
}

/** A call on its way, under its id. */
interface Journey {
  readonly id: string;
  readonly call: ScriptCall;
  readonly body: RequestBody | null;
  readonly sink: AnswerSink;
}

/** Of an answer, in the record of the run that made the call. */
const runBodyBytes = 4096;
const mostAttempts = 5;

export function createCalls({recorder, monitor, destinationOf, log, onRunCall}: CallsOptions): Calls {
  const limits = createConcurrencyLimits();
  /** Heads that come again on a connection are the same objects. */
  const passedBefore = new WeakMap<readonly string[], readonly string[]>();

  function headersForHost(headers: readonly string[]): readonly string[] {
    const former = passedBefore.get(headers);
    if (former !== undefined) return former;
    const passed = passedOn(headers);
    passedBefore.set(headers, passed);
    return passed;
  }

  /** Sends the call to hosts until one begins with it; each time to what is deployed then. */
  async function travel(first: PreparedCall, journey: Journey): Promise<Attempt> {
    let prepared = first;
    for (let count = 1; count <= mostAttempts; count += 1) {
      while (first.destination.ground()?.generation !== prepared.ground.generation)
        prepared = await prepareCall(first.destination);
      const outcome = await attempt(prepared, journey);
      if (outcome !== 'withdrawn') return outcome;
    }
    throw new AppError(
      'SCRIPT_HOST_FAILED',
      `No script host could begin with ${first.route.file}. Call again in a moment.`,
    );
  }

  async function travelInTurn(
    prepared: PreparedCall,
    journey: Journey,
    concurrency: number,
  ): Promise<Attempt> {
    const leave = await limits.enter(prepared.script.ref.file, concurrency);
    try {
      return await travel(prepared, journey);
    } finally {
      leave();
    }
  }

  function attempt(prepared: PreparedCall, {id, call, body, sink}: Journey): Promise<Attempt> {
    const {ground: here, script} = prepared;
    const {method, headers} = call.request;
    const request = {method, headers: headersForHost(headers)};
    const invocation = new Invocation({call: hostCall(prepared, id, call.clientIp), request, body, sink});
    const leased = here.pool.lease({
      generation: here.generation,
      start: here.start,
      file: script.ref.file,
      timeoutMs: script.options.timeoutMs,
      isolated: script.options.isolated,
      waiter: invocation,
    });
    if (leased instanceof Promise) return leased.then((lease) => invocation.run(lease));
    return invocation.run(leased);
  }

  function run(
    prepared: PreparedCall,
    id: string,
    call: ScriptCall,
    {sink, watch}: {sink: AnswerSink; watch: RequestWatch},
  ): Promise<Attempt> {
    const {script, route} = prepared;
    refuseUnparsable(prepared);
    refuseWithoutToken(prepared, call);
    refuseOtherMethods(call.request.method, route.settings);
    if (script.options.websocket) {
      const message = `${script.ref.file} is a websocket script. Connect with ws://.`;
      throw new AppError('SCRIPT_NOT_UPGRADABLE', message);
    }
    const {request} = call;
    const body = request.body === null ? null : createRequestBody(request.body, watch.note);
    const {concurrency} = script.options;
    const journey = {id, call, body, sink};
    return concurrency === null ? travel(prepared, journey) : travelInTurn(prepared, journey, concurrency);
  }

  async function answerScript(prepared: PreparedCall, call: ScriptCall, outer: AnswerSink): Promise<void> {
    const {request, target} = call;
    const {options} = prepared.script;
    const id = randomUUID();
    const runId = call.findRun();
    const added = corsHeaders(options.cors, headerOf(request, 'origin'));
    added.push(executionHeader, id);
    const sink = new WatchedSink(outer, {
      added,
      keptBytes: Math.max(runId === null ? 0 : runBodyBytes, keptBodyBytes(options.log)),
    });
    if (isPreflight(request) && options.cors.origin !== 'none') {
      const wanted = headerOf(request, 'access-control-request-headers');
      sendWhole(sink, successStatus.noContent, preflightHeaders(options.cors, wanted), '');
      return;
    }
    begin(prepared, id, call, runId);
    const watch = watchRequestBody(request.body !== null, options.log);
    const counted = monitor.begin({
      executionId: id,
      scriptPath: prepared.route.file,
      method: request.method,
      path: call.path,
    });
    let outcome: Attempt | AppError;
    try {
      outcome = await run(prepared, id, call, {sink, watch});
    } catch (error) {
      outcome = asAppError(error, log);
      sendError(sink, outcome);
    }
    const seen = sink.seen();
    recorder.end(id, endOf(outcome, seen, options.log, watch.recorded()));
    monitor.end(counted, seen.status ?? callerLeftStatus);
    if (runId === null) return;
    const {mask} = prepared.ground;
    const body = mask.text(seen.body.slice(0, runBodyBytes), {cutEnd: seen.bytes > runBodyBytes});
    onRunCall(runId, {url: mask.text(maskToken(target)), status: seen.status, body, execution_id: id});
  }

  function begin(
    {ground: here, route, script: {options, compiled}}: PreparedCall,
    id: string,
    {request, target, clientIp}: ScriptCall,
    runId: string | null,
  ): void {
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
        warnings: compiled.warnings,
        request_headers: recordedHeaders(request.headers, options.log),
      },
      options.log,
      here.mask,
    );
  }

  return {
    async answer(call, sink) {
      try {
        const found = destinationOf(call);
        const destination = found instanceof Promise ? await found : found;
        if (destination.path.endsWith('.md') && (await answerMarkdown(destination, call, sink))) return;
        const prepared = prepareCall(destination);
        await answerScript(prepared instanceof Promise ? await prepared : prepared, call, sink);
      } catch (error) {
        sendError(sink, asAppError(error, log));
      }
    },
  };
}

/** False where there is no such file. */
async function answerMarkdown(
  destination: Destination,
  {request: {method}}: ScriptCall,
  sink: AnswerSink,
): Promise<boolean> {
  if (method !== 'GET' && method !== 'HEAD') return false;
  const text = await readMarkdown(destination);
  if (text === null) return false;
  sendWhole(sink, successStatus.ok, ['content-type', 'text/markdown; charset=utf-8'], text);
  return true;
}

function hostCall(
  {ground, destination, route, script, pre, post}: PreparedCall,
  id: string,
  clientIp: string,
): HostCall {
  return {
    executionId: id,
    slot: 0,
    script: script.ref,
    pre: pre?.ref ?? null,
    post: post?.ref ?? null,
    parameters: route.parameters,
    target: destination.target,
    clientIp,
    rawBody: script.options.rawBody,
    awaitsPromises: script.options.awaitsPromises,
    environmentFiles: ground.set.neighbours(route.file).environmentFiles,
  };
}

/** Throws SCRIPT_TOKEN_REQUIRED. */
export function refuseWithoutToken(
  {script: {ref, options}}: PreparedCall,
  {request, target}: Pick<ScriptCall, 'request' | 'target'>,
): void {
  if (options.tokens.length === 0) return;
  const token = presentedToken((name) => headerOf(request, name), target);
  if (isAllowedToken(token, options.tokens)) return;
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
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? '';
    if (name.length === wanted.length && name.toLowerCase() === wanted) return headers[at + 1] ?? null;
  }
  return null;
}

/** Where an answer has begun it is broken off. */
function sendError(sink: AnswerSink, error: AppError): void {
  if (sink instanceof WatchedSink && sink.seen().status !== null) {
    sink.destroy();
    return;
  }
  const headers = ['content-type', 'application/json', ...headersOf(error)];
  sendWhole(sink, error.status, headers, JSON.stringify(error.toBody()));
}

/** What HTTP asks of some answers beside their body. */
function headersOf({code, details}: AppError): string[] {
  if (code === 'SCRIPT_TOKEN_REQUIRED') return ['www-authenticate', 'Bearer'];
  const hasMethods = typeof details === 'object' && details !== null && 'allow' in details;
  if (code !== 'METHOD_NOT_ALLOWED' || !hasMethods || !Array.isArray(details.allow)) return [];
  return ['allow', details.allow.join(', ')];
}

export function asAppError(error: unknown, log: Log): AppError {
  if (error instanceof AppError) return error;
  log.error('a call failed on our side', {error});
  return new AppError('INTERNAL_ERROR', 'Something went wrong on our side; the log has the details.');
}
