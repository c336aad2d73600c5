import {type IncomingMessage, request} from 'node:http';
import {Readable} from 'node:stream';
import {text} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import * as z from 'zod';
import type {RequestOptions, RuntimeClient, WorkspaceChanges} from '../reconciler/runtime-client.ts';
import {type ControlState, controlEventSchema, controlStateSchema} from '../schemas/control-state.ts';
import {seedResultSchema} from '../schemas/data-archive.ts';
import {AppError, type ErrorCode, errorCatalogue} from '../schemas/errors.ts';
import {runListSchema} from '../schemas/run.ts';
import {readBytes, readText} from './answer-body.ts';
import {readServerSentEvents} from './server-sent-events.ts';

const requestTimeoutMs = 60_000;
/** Packages are installed before the switch. */
const deployTimeoutMs = 10 * 60_000;
const answerer = {who: 'The runtime', code: 'CONTAINER_UNAVAILABLE'} as const;

/** Speaks to one runtime over its control socket. */
export function createRuntimeClient({socketPath}: {socketPath: string}): RuntimeClient {
  const send = async (
    method: string,
    path: string,
    {signal, body, headers = {}}: SendOptions,
  ): Promise<Response> => {
    let response: Response;
    try {
      response = await fetch(`http://runtime${path}`, {
        unix: socketPath,
        method,
        headers,
        signal,
        ...(body === undefined ? {} : {body}),
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw unavailable(cause);
    }
    if (!response.ok) throw answeredError(response.status, await textOf(response));
    return response;
  };
  const sendJson = (method: string, path: string, value: unknown, {signal}: RequestOptions) =>
    send(method, path, {
      signal: limited(signal),
      body: JSON.stringify(value),
      headers: {'Content-Type': 'application/json'},
    });
  const state = async (response: Response): Promise<ControlState> =>
    parse(controlStateSchema, await textOf(response));

  return {
    state: async ({signal}) => state(await send('GET', '/api/v1/control', {signal: limited(signal)})),
    setSchedule: async (change, options) =>
      state(await sendJson('PUT', '/api/v1/control/schedule', change, options)),
    setLease: async (change, options) =>
      state(await sendJson('PUT', '/api/v1/control/lease', change, options)),
    setEnvironment: async (change, options) =>
      state(await sendJson('PUT', '/api/v1/control/environment', change, options)),
    async syncWorkspace(changes, options) {
      await sendStream(socketPath, workspaceBody(changes), {...options, method: 'POST', path: 'workspace'});
    },
    async crontab(user, {signal}) {
      const path = `/api/v1/cron/users/${encodeURIComponent(user)}/crontab`;
      const response = await send('GET', path, {signal: limited(signal), headers: {Accept: 'text/plain'}});
      return {text: await textOf(response), etag: response.headers.get('etag') ?? ''};
    },
    async putWholeCrontab(user, text, {signal, ifMatch}) {
      const path = `/api/v1/cron/users/${encodeURIComponent(user)}/crontab`;
      const headers = {
        'Content-Type': 'text/plain; charset=utf-8',
        Prefer: 'return=minimal',
        'If-Match': ifMatch,
      };
      await textOf(await send('PUT', path, {signal: limited(signal), body: text, headers}));
    },
    async packData({signal}) {
      const {body} = await send('GET', '/api/v1/control/data', {signal});
      if (body === null) throw unavailable(new Error('the archive has no body'));
      return body;
    },
    async replaceData(archive, options) {
      await sendStream(socketPath, archive, {...options, method: 'PUT', path: 'data'});
    },
    async seed(request, {signal}) {
      const response = await send('POST', '/api/v1/control/seed', {
        signal: AbortSignal.any([signal, AbortSignal.timeout(request.timeout_ms + requestTimeoutMs)]),
        body: JSON.stringify(request),
        headers: {'Content-Type': 'application/json'},
      });
      return parse(seedResultSchema, await textOf(response));
    },
    async deploy(deployment, options) {
      await send('PUT', '/api/v1/exec/deployments', {
        signal: AbortSignal.any([options.signal, AbortSignal.timeout(deployTimeoutMs)]),
        body: JSON.stringify(deployment),
        headers: {'Content-Type': 'application/json'},
      });
    },
    async deployedScripts({signal}) {
      const response = await send('GET', '/api/v1/exec/deployments/current', {signal: limited(signal)});
      return parse(deployedSchema, await textOf(response)).files;
    },
    async readDeployedScript(path, {signal}) {
      const query = new URLSearchParams({path});
      return readBytes(
        await send('GET', `/api/v1/exec/deployments/current/file?${query}`, {signal: limited(signal)}),
        answerer,
      );
    },
    async putCrontab(user, text, {signal, ifMatch}) {
      const response = await send(
        'PUT',
        `/api/v1/cron/users/${encodeURIComponent(user)}/crontab?managed=keep`,
        {
          signal: limited(signal),
          body: text,
          headers: {
            'Content-Type': 'text/plain; charset=utf-8',
            Prefer: 'return=minimal',
            ...(ifMatch === null ? {} : {'If-Match': ifMatch}),
          },
        },
      );
      await textOf(response);
      const tag = response.headers.get('x-raw-etag');
      if (tag === null)
        throw new AppError('CONTAINER_UNAVAILABLE', 'The runtime answered a crontab without its tag');
      return tag;
    },
    async stopJobs({graceMs, reason}, {signal}) {
      await send('POST', '/api/v1/control/jobs/stop', {
        signal: AbortSignal.any([signal, AbortSignal.timeout(graceMs + requestTimeoutMs)]),
        body: JSON.stringify({grace_ms: graceMs, reason}),
        headers: {'Content-Type': 'application/json'},
      });
    },
    async runs(user, query, {signal}) {
      const path = `/api/v1/cron/users/${encodeURIComponent(user)}/runs?${new URLSearchParams(query)}`;
      return parse(runListSchema, await textOf(await send('GET', path, {signal: limited(signal)})));
    },
    async openShell(request, {signal}) {
      const {body} = await send('POST', '/api/v1/control/shells', {
        signal,
        body: JSON.stringify(request),
        headers: {'Content-Type': 'application/json'},
      });
      if (body === null) throw unavailable(new Error('the shell has no output'));
      return body;
    },
    async shellInput(id, bytes, {end, signal}) {
      const path = `/api/v1/control/shells/${encodeURIComponent(id)}/input${end ? '?end=true' : ''}`;
      await send('POST', path, {signal: limited(signal), body: bytes});
    },
    async resizeShell(id, size, options) {
      await sendJson('PUT', `/api/v1/control/shells/${encodeURIComponent(id)}/size`, size, options);
    },
    async *events({signal}) {
      const body = await openEvents(socketPath, {signal});
      for await (const {data} of readServerSentEvents({body})) yield parse(controlEventSchema, data);
    },
  };
}

const deployedSchema = z.object({
  files: z.array(z.object({path: z.string(), sha256: z.string()})).max(10_000),
});

interface SendOptions extends RequestOptions {
  readonly body?: string | Uint8Array;
  readonly headers?: Record<string, string>;
}

/** These stay open, one for each container, and `fetch` lets all that come after its first 256 requests wait. */
async function openEvents(socketPath: string, {signal}: RequestOptions): Promise<IncomingMessage> {
  const outgoing = request({socketPath, path: '/api/v1/control/events', agent: false, signal});
  const answered = Promise.withResolvers<IncomingMessage>();
  outgoing.on('response', answered.resolve);
  outgoing.on('error', answered.reject);
  outgoing.end();
  let answer: IncomingMessage;
  try {
    answer = await answered.promise;
  } catch (cause) {
    signal.throwIfAborted();
    throw unavailable(cause);
  }
  if (answer.statusCode === 200) return answer;
  throw answeredError(answer.statusCode ?? 0, await text(answer));
}

/** `fetch` would gather a generated body; `node:http` sends it as the runtime reads it. */
async function sendStream(
  socketPath: string,
  body: AsyncIterable<Uint8Array>,
  {method, path, signal}: RequestOptions & {method: 'POST' | 'PUT'; path: string},
): Promise<void> {
  const outgoing = request({
    socketPath,
    method,
    path: `/api/v1/control/${path}`,
    headers: {'Content-Type': 'application/octet-stream'},
    signal,
  });
  const answered = new Promise<{status: number; text: string}>((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString()}),
      );
    });
  });
  // A refusal ends the upload early: what the runtime answered counts, not the broken pipe.
  const sent = pipeline(Readable.from(body), outgoing).catch((error: unknown) => error);
  let answer: {status: number; text: string};
  try {
    answer = await answered;
  } catch (cause) {
    signal.throwIfAborted();
    const failure = await sent;
    throw failure instanceof AppError ? failure : unavailable(cause);
  }
  if (answer.status !== 200) throw answeredError(answer.status, answer.text);
}

/** The body that `runtime/workspace/change-set.ts` reads. */
async function* workspaceBody({base, target, changes}: WorkspaceChanges): AsyncGenerator<Uint8Array> {
  const line = (value: unknown) => Buffer.from(`${JSON.stringify(value)}\n`);
  yield line({base, target});
  for await (const change of changes) {
    if (change.kind === 'delete') yield line({path: change.path, kind: 'delete'});
    else
      yield Buffer.concat([
        line({path: change.path, kind: change.kind, size: change.bytes.byteLength}),
        change.bytes,
      ]);
  }
  yield line({end: true});
}

function limited(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]);
}

function textOf(response: Response): Promise<string> {
  return readText(response, answerer);
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new AppError(
      'CONTAINER_UNAVAILABLE',
      'The runtime answered something that is not of the agreed form',
      {cause},
    );
  }
}

const errorBodySchema = z.object({code: z.string(), message: z.string(), details: z.unknown()});

function answeredError(status: number, text: string): AppError {
  let body: unknown = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Not our runtime's form: reported below by its status.
  }
  const parsed = errorBodySchema.safeParse(body);
  if (!parsed.success)
    return new AppError('CONTAINER_UNAVAILABLE', `The runtime answered ${status} without an explanation`);
  const {code, message, details} = parsed.data;
  return new AppError(code in errorCatalogue ? (code as ErrorCode) : 'BACKEND_ERROR', message, {details});
}

function unavailable(cause: unknown): AppError {
  return new AppError('CONTAINER_UNAVAILABLE', 'The container does not answer on its control socket', {
    cause,
  });
}
