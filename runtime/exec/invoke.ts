import {AppError} from '../../schemas/errors.ts';
import type {Clock} from '../platform/clock.ts';
import {type Call, callHeader, encodeCall} from './call.ts';
import type {HostLease} from './host-pool.ts';

const pongWithinMs = 1000;
const hopByHop = [
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'proxy-authenticate',
  'te',
  'trailer',
];

/**
 * Passes a request to the host and its answer back, both as streams. The lease is released when the answer's
 * body has ended or its reader has left. After `timeoutMs` without an answer: SCRIPT_TIMEOUT, and a host whose
 * event loop is blocked is ended with it. A host that dies in the middle: SCRIPT_HOST_FAILED.
 */
export async function invoke({
  lease,
  call,
  request,
  timeoutMs,
  clock,
}: {
  lease: HostLease;
  call: Call;
  request: Request;
  timeoutMs: number | null;
  clock: Clock;
}): Promise<Response> {
  const ended = new AbortController();
  const cancelled = new AbortController();
  let answered = false;
  const finish = () => {
    ended.abort();
    lease.release();
  };
  void lease.host.ended.then(finish);
  if (timeoutMs !== null) {
    void clock.sleep(timeoutMs, {signal: ended.signal}).then(
      async () => {
        if (!answered)
          cancelled.abort(
            new AppError('SCRIPT_TIMEOUT', `${call.file} did not answer within ${timeoutMs} ms.`),
          );
        await endIfBlocked(lease, clock);
      },
      () => {
        // The call ended in time.
      },
    );
  }
  try {
    const answer = await fetch(`http://script${call.target.startsWith('/') ? call.target : '/'}`, {
      unix: lease.host.socketPath,
      method: request.method,
      headers: forwarded(request.headers, call),
      signal: AbortSignal.any([request.signal, cancelled.signal]),
      redirect: 'manual',
      decompress: false,
      ...(request.body === null ? {} : {body: request.body, duplex: 'half'}),
    });
    answered = true;
    return passedOn(answer, finish);
  } catch (error) {
    finish();
    if (cancelled.signal.aborted) throw cancelled.signal.reason;
    if (request.signal.aborted) throw error;
    lease.retire();
    throw new AppError(
      'SCRIPT_HOST_FAILED',
      `The script host ended while ${call.file} ran. The call may have done part of its work.`,
      {
        cause: error,
        details: {execution_id: call.executionId},
      },
    );
  }
}

/** A busy host may enter the script only after its deadline: it is watched until it must have done so. */
async function endIfBlocked(lease: HostLease, clock: Clock): Promise<void> {
  for (let look = 1; look <= looksAfterDeadline; look += 1) {
    if (!(await lease.host.responds(pongWithinMs))) {
      lease.discard();
      return;
    }
    await clock.sleep(pongWithinMs);
  }
}

const looksAfterDeadline = 40;

function forwarded(headers: Headers, call: Call): Headers {
  const copy = new Headers(headers);
  for (const name of hopByHop) copy.delete(name);
  copy.set(callHeader, encodeCall(call));
  return copy;
}

function passedOn(answer: Response, onEnd: () => void): Response {
  const headers = new Headers(answer.headers);
  for (const name of hopByHop) headers.delete(name);
  if (answer.body === null) {
    onEnd();
    return new Response(null, {status: answer.status, headers});
  }
  return new Response(watched(answer.body, onEnd), {status: answer.status, headers});
}

/** The same bytes, one chunk at a time as they are asked for. */
function watched(body: ReadableStream<Uint8Array>, onEnd: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const {done, value} = await reader.read();
          if (!done) {
            controller.enqueue(value);
            return;
          }
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        onEnd();
      },
      async cancel(reason) {
        onEnd();
        await reader.cancel(reason);
      },
    },
    {highWaterMark: 0},
  );
}
