import {AppError} from '../../schemas/errors.ts';
import {hopByHopHeaders} from '../../schemas/hop-by-hop.ts';
import type {ByteSource} from '../platform/byte-flow.ts';
import {type Call, callHeader} from './call.ts';
import type {Exchange} from './host-link.ts';
import type {HostLease} from './host-pool.ts';
import type {RequestBody} from './request-body.ts';

/** A request to a script, from whatever server it came. */
export interface CallRequest {
  readonly method: string;
  /** Names and values in turn, as they came over the wire. */
  readonly headers: readonly string[];
  /** Null where there is none. */
  readonly body: ByteSource | null;
}

/** Where the answer goes. */
export interface AnswerSink {
  head(status: number, headers: readonly string[]): void;
  /** False when the reader is behind; `onDrain` tells when it is not any more. */
  write(chunk: Uint8Array): boolean;
  /** `last` is what is left of the body. */
  end(last?: Uint8Array): void;
  /** Breaks the answer off, so that it does not look complete. */
  destroy(): void;
  onDrain(listener: () => void): void;
  /** The reader has left before the end. */
  onLeave(listener: () => void): void;
}

/** How one attempt to have a call answered came out; `failed`: the host answered that the script failed. */
export type Attempt = 'answered' | 'failed' | 'left' | 'broken_off' | 'withdrawn';

export interface Invocation {
  /** Aborts an attempt that the host has not begun with; the call can then be sent to another host. */
  readonly onStuck: () => void;
  readonly onTimeout: () => void;
  /** Resolves when it is over. Rejects with AppError SCRIPT_TIMEOUT or SCRIPT_HOST_FAILED before any answer. */
  run(lease: HostLease): Promise<Attempt>;
}

/** One attempt. The answer is streamed; each side is read only as fast as the other one takes it. */
export function createInvocation({
  call,
  request,
  body,
  sink,
}: {
  call: Omit<Call, 'slot'>;
  request: CallRequest;
  body: RequestBody | null;
  sink: AnswerSink;
}): Invocation {
  const over = Promise.withResolvers<Attempt>();
  let exchange: Exchange | null = null;
  let lease: HostLease | null = null;
  let isOver = false;
  let hasHead = false;
  let failed = false;

  function settle(outcome: Attempt | AppError): void {
    if (isOver) return;
    isOver = true;
    exchange?.abort();
    body?.detach();
    if (outcome instanceof AppError) over.reject(outcome);
    else over.resolve(outcome);
  }

  function fail(): void {
    if (lease === null || isOver) return;
    lease.lost();
    if (hasHead) {
      sink.destroy();
      settle('broken_off');
    } else if (canBeSentAgain(lease, body)) settle('withdrawn');
    else settle(hostFailure(call, lease));
  }

  return {
    onStuck() {
      if (lease !== null && !hasHead && canBeSentAgain(lease, body)) settle('withdrawn');
    },
    onTimeout() {
      if (lease === null || hasHead) return;
      lease.host.slots.withdraw(lease.call.slot);
      const message = `${call.script.file} did not answer within ${lease.call.timeoutMs} ms.`;
      settle(new AppError('SCRIPT_TIMEOUT', message, {details: {execution_id: call.executionId}}));
    },
    async run(given) {
      lease = given;
      sink.onLeave(() => settle('left'));
      exchange = given.host.link.exchange(
        {
          call: {...call, slot: given.call.slot},
          method: request.method,
          headers: passedOn(request.headers),
          hasBody: body !== null,
        },
        {
          head(head) {
            hasHead = true;
            failed = head.failed;
            given.answering();
            sink.head(head.status, head.headers.some(isHopByHop) ? passedOn(head.headers) : head.headers);
          },
          body(chunk) {
            if (!sink.write(chunk)) exchange?.pause();
          },
          end(last) {
            sink.end(last);
            settle(failed ? 'failed' : 'answered');
          },
          breakOff() {
            if (hasHead) {
              sink.destroy();
              settle('broken_off');
            } else {
              const message = `${call.script.file} broke its answer off before it began.`;
              settle(new AppError('SCRIPT_FAILED', message, {details: {execution_id: call.executionId}}));
            }
          },
          fail,
          drain: () => body?.resume(),
        },
      );
      sink.onDrain(() => exchange?.resume());
      body?.attach(exchange);
      return over.promise;
    },
  };
}

/** True where the host has not begun with the call and never will, and nothing of its body is lost. */
function canBeSentAgain({host, call}: HostLease, body: RequestBody | null): boolean {
  return (body === null || body.isComplete) && host.slots.withdraw(call.slot);
}

/** `expect` was met by the listener; `callHeader` is nobody's to set. */
function isHopByHop(name: string): boolean {
  return hopByHopHeaders.has(name) || name === 'expect' || name === callHeader;
}

function passedOn(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? '';
    if (!isHopByHop(name.toLowerCase())) kept.push(name, headers[at + 1] ?? '');
  }
  return kept;
}

function hostFailure({script, executionId}: Omit<Call, 'slot'>, lease: HostLease): AppError {
  const {reason, file} = lease.endedBy();
  const collateral = reason !== 'ended' && file !== script.file;
  return new AppError('SCRIPT_HOST_FAILED', hostFailureText(script.file, reason, file), {
    details: {execution_id: executionId, reason, collateral, blamed: file},
  });
}

function hostFailureText(file: string, reason: string, blamed: string | null): string {
  const also = 'The call may have done part of its work.';
  const who = blamed ?? 'a script';
  if (reason === 'timeout') {
    return `The script host was ended while ${file} ran, because ${who} blocked it beyond its time. ${also}`;
  }
  if (reason === 'memory')
    return `The script host was ended while ${file} ran, because ${who} took too much memory. ${also}`;
  return `The script host ended while ${file} ran. ${also}`;
}
