import {errorResponse} from '../../api/errors.ts';
import {refuseMisdirected} from '../../api/host-guard.ts';
import {selectKit} from '../../api/kit-selection.ts';
import type {RuntimeApp} from '../../api/runtime-app.ts';
import type {Calls, ScriptCall} from '../../runtime/exec/calls.ts';
import type {AnswerSink} from '../../runtime/exec/invoke.ts';
import type {ByteSource} from '../../runtime/platform/byte-flow.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {KIT_HEADER} from '../../schemas/control.ts';
import {bodylessStatuses} from '../../schemas/errors.ts';

/**
 * A call of a script with the web's `Request` and `Response`. Rejects with the signal's reason when the request
 * is aborted before the head of the answer is there.
 */
export async function callScript(
  calls: Calls,
  request: Request,
  call: Omit<ScriptCall, 'request'>,
): Promise<Response> {
  const {sink, response} = createResponseSink(request.signal);
  const headers = [...request.headers].flat();
  const body = request.body === null ? null : sourceOf(request.body);
  void calls.answer({...call, request: {method: request.method, headers, body}}, sink);
  return response;
}

/** Calls and everything else, as a listener shares them out. */
export function fetchAsListener({
  app,
  calls,
  trusted,
}: {
  app: RuntimeApp;
  calls: Calls;
  trusted: boolean;
}): (request: Request) => Promise<Response> {
  return async (request) => {
    const {pathname: path, search} = new URL(request.url);
    const host = request.headers.get('host') ?? '';
    const kitHeader = trusted ? request.headers.get(KIT_HEADER) : null;
    const selection = selectKit({host, kitHeader, path});
    if (selection.part !== 'exec' || selection.prefixed) return app.fetch(request);
    try {
      if (!trusted) refuseMisdirected(host, []);
      const target = `${path}${search}`;
      return await callScript(calls, request, {path, target, clientIp: '', findRun: () => null});
    } catch (error) {
      return errorResponse(error, silentLog);
    }
  };
}

function sourceOf(stream: ReadableStream<Uint8Array>): ByteSource {
  return {
    start(reader) {
      const read = async () => {
        for await (const chunk of stream) reader.chunk(chunk);
      };
      read().then(
        () => reader.end(),
        () => reader.cut(),
      );
    },
    pause() {},
    resume() {},
  };
}

interface ResponseSink {
  readonly sink: AnswerSink;
  /** Resolves with the head; the body follows as it is read. */
  readonly response: Promise<Response>;
}

function createResponseSink(left: AbortSignal): ResponseSink {
  const response = Promise.withResolvers<Response>();
  const leaving = new Set<() => void>();
  const drains = new Set<() => void>();
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  let isOver = false;
  const leave = () => {
    if (isOver) return;
    isOver = true;
    response.reject(left.reason);
    for (const listener of leaving) listener();
  };
  left.addEventListener('abort', leave);
  const over = () => {
    isOver = true;
    left.removeEventListener('abort', leave);
  };
  const sink: AnswerSink = {
    head(status, headers) {
      const pairs: [string, string][] = [];
      for (let at = 0; at + 1 < headers.length; at += 2)
        pairs.push([headers[at] ?? '', headers[at + 1] ?? '']);
      const body = new ReadableStream<Uint8Array>({
        start(given) {
          controller = given;
        },
        pull() {
          for (const listener of drains) listener();
        },
        cancel: leave,
      });
      const isBodyless = bodylessStatuses.includes(status);
      response.resolve(new Response(isBodyless ? null : body, {status, headers: pairs}));
    },
    write(chunk) {
      controller?.enqueue(chunk.slice());
      return (controller?.desiredSize ?? 0) > 0;
    },
    end(last) {
      if (last !== undefined && last.length > 0 && !isOver) controller?.enqueue(last.slice());
      if (!isOver) controller?.close();
      over();
    },
    destroy() {
      if (!isOver) controller?.error(new Error('The answer broke off.'));
      over();
    },
    onDrain: (listener) => drains.add(listener),
    onLeave: (listener) => leaving.add(listener),
  };
  return {sink, response: response.promise};
}
