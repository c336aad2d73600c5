import {AppError} from '../../schemas/errors.ts';
import {type ByteSink, type ByteSource, Frame} from './byte-flow.ts';
import {nextTurn} from './clock.ts';
import type {Exchange} from './http-exchange.ts';

/**
 * Answers an exchange by a function of the web's `Request`, which is aborted when the client leaves. `target` is in
 * origin form, for it is joined with the request's Host. Throws AppError MALFORMED_REQUEST for what is no such request.
 */
export async function answerByFetch(
  exchange: Exchange,
  target: string,
  fetch: (request: Request) => Promise<Response>,
): Promise<void> {
  const left = new AbortController();
  const request = requestOf(exchange, target, left.signal);
  exchange.onLeft(() => left.abort(new Error('The client has left.')));
  const response = await fetch(request);
  if (left.signal.aborted) {
    await response.body?.cancel();
    return;
  }
  await send(exchange, response, left.signal);
}

function requestOf({head, body}: Exchange, target: string, signal: AbortSignal): Request {
  const {method, fields, pairs, framing} = head;
  const headers: [string, string][] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) headers.push([pairs[at] ?? '', pairs[at + 1] ?? '']);
  const hasBody = framing.kind !== 'none' && method !== 'GET' && method !== 'HEAD';
  try {
    return new Request(`http://${fields.get('host') ?? 'localhost'}${target}`, {
      method,
      headers,
      signal,
      body: hasBody ? streamOf(body) : null,
    });
  } catch (error) {
    throw new AppError(
      'MALFORMED_REQUEST',
      'The request has a method, a Host or a target that is not served here.',
      {
        cause: error,
      },
    );
  }
}

/** Read only as fast as it is asked for. */
function streamOf(source: ByteSource): ReadableStream<Uint8Array<ArrayBuffer>> {
  let hasStarted = false;
  return new ReadableStream({
    pull(controller) {
      if (hasStarted) {
        source.resume();
        return;
      }
      hasStarted = true;
      source.start({
        chunk(bytes) {
          controller.enqueue(bytes.slice());
          if ((controller.desiredSize ?? 0) <= 0) source.pause();
        },
        end: () => controller.close(),
        cut: () => controller.error(new AppError('INVALID_BODY', 'The body ended before it was complete.')),
      });
    },
    cancel: () => source.resume(),
  });
}

async function send(exchange: Exchange, response: Response, left: AbortSignal): Promise<void> {
  const {status} = response;
  const announced = response.headers.get('content-length');
  const fields = [...response.headers].filter(([name]) => !ownHeaders.has(name)).flat();
  const respond = (lengthBytes: number | null) =>
    exchange.respond({status, fields, lengthBytes, keepsConnection: true});
  const reader = response.body?.getReader() ?? null;
  if (reader === null || exchange.head.method === 'HEAD') {
    await reader?.cancel();
    respond(announced === null && reader === null ? 0 : announced === null ? null : Number(announced)).end();
    return;
  }
  left.addEventListener('abort', () => {
    reader.cancel().catch(() => {
      // It has failed already, and nobody is there to be told.
    });
  });
  const first = await reader.read();
  const second = first.done ? null : reader.read();
  // Most answers are there in one piece, and the client likes to know its length.
  const isWhole =
    second === null || (await Promise.race([second.then(({done}) => done), nextTurn().then(() => false)]));
  const bytes = first.value ?? new Uint8Array();
  if (isWhole) {
    respond(bytes.length).end(new Frame(bytes));
    return;
  }
  await stream(reader, {first: bytes, second}, respond(announced === null ? null : Number(announced)));
}

interface Read {
  readonly done: boolean;
  readonly value?: Uint8Array | undefined;
}

/** What the answer is framed with is ours to say. */
const ownHeaders: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
]);

async function stream(
  reader: {read(): Promise<Read>},
  {first, second}: {first: Uint8Array; second: Promise<Read> | null},
  sink: ByteSink,
): Promise<void> {
  let drained = () => {};
  sink.onDrained(() => drained());
  let next = second ?? Promise.resolve<Read>({done: true});
  try {
    for (let bytes = first; ; ) {
      if (bytes.length > 0 && !sink.write(new Frame(bytes)))
        await new Promise<void>((resolve) => {
          drained = resolve;
        });
      const {done, value} = await next;
      if (done) break;
      bytes = value ?? new Uint8Array();
      next = reader.read();
    }
    sink.end();
  } catch {
    // The answer must not look complete; why it broke off is told by whoever makes it.
    sink.cut();
  }
}
