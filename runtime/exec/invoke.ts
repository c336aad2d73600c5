import {AppError} from '../../schemas/errors.ts';
import {hopByHopHeaders} from '../../schemas/hop-by-hop.ts';
import type {ByteSource} from '../platform/byte-flow.ts';
import {type Call, callHeader} from './call.ts';
import type {AnswerHead} from './call-frames.ts';
import type {Exchange, ExchangeEvents} from './host-link.ts';
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

/** What a host is told of a request. */
export interface HostRequest {
  readonly method: string;
  /** As `passedOn` leaves them. */
  readonly headers: readonly string[];
}

/** A call whose slot is known when a host is. */
export type HostCall = Omit<Call, 'slot'> & {slot: number};

/** One attempt. The answer is streamed; each side is read only as fast as the other one takes it. */
export class Invocation implements ExchangeEvents {
  readonly #call: HostCall;
  readonly #request: HostRequest;
  readonly #body: RequestBody | null;
  readonly #sink: AnswerSink;
  readonly #over = Promise.withResolvers<Attempt>();
  #exchange: Exchange | null = null;
  #lease: HostLease | null = null;
  #isOver = false;
  #hasHead = false;
  #failed = false;

  constructor(options: {
    call: HostCall;
    request: HostRequest;
    body: RequestBody | null;
    sink: AnswerSink;
  }) {
    this.#call = options.call;
    this.#request = options.request;
    this.#body = options.body;
    this.#sink = options.sink;
  }

  /** Aborts an attempt that the host has not begun with; the call can then be sent to another host. */
  onStuck(): void {
    if (this.#lease !== null && !this.#hasHead && canBeSentAgain(this.#lease, this.#body))
      this.#settle('withdrawn');
  }

  onTimeout(): void {
    const lease = this.#lease;
    if (lease === null || this.#hasHead) return;
    lease.host.slots.withdraw(lease.call.slot);
    const {script, executionId} = this.#call;
    const message = `${script.file} did not answer within ${lease.call.timeoutMs} ms.`;
    this.#settle(new AppError('SCRIPT_TIMEOUT', message, {details: {execution_id: executionId}}));
  }

  /**
   * Resolves when it is over; the lease is released then. Rejects with AppError SCRIPT_TIMEOUT or SCRIPT_HOST_FAILED
   * before any answer.
   */
  run(lease: HostLease): Promise<Attempt> {
    try {
      this.#begin(lease);
    } catch (error) {
      lease.release();
      throw error;
    }
    return this.#over.promise;
  }

  #begin(lease: HostLease): void {
    this.#lease = lease;
    this.#call.slot = lease.call.slot;
    const {method, headers} = this.#request;
    this.#sink.onLeave(() => this.#settle('left'));
    const frame = {call: this.#call, method, headers, hasBody: this.#body !== null};
    this.#exchange = lease.host.link.exchange(frame, this);
    this.#sink.onDrain(() => this.#exchange?.resume());
    this.#body?.attach(this.#exchange);
  }

  head(head: AnswerHead): void {
    this.#hasHead = true;
    this.#failed = head.failed;
    this.#lease?.answering();
    this.#sink.head(head.status, head.headers.some(isHopByHop) ? passedOn(head.headers) : head.headers);
  }

  body(chunk: Uint8Array): void {
    if (!this.#sink.write(chunk)) this.#exchange?.pause();
  }

  end(last?: Uint8Array): void {
    this.#sink.end(last);
    this.#settle(this.#failed ? 'failed' : 'answered');
  }

  breakOff(): void {
    if (this.#hasHead) {
      this.#sink.destroy();
      this.#settle('broken_off');
    } else {
      const {script, executionId} = this.#call;
      const message = `${script.file} broke its answer off before it began.`;
      this.#settle(new AppError('SCRIPT_FAILED', message, {details: {execution_id: executionId}}));
    }
  }

  fail(): void {
    const lease = this.#lease;
    if (lease === null || this.#isOver) return;
    lease.lost();
    if (this.#hasHead) {
      this.#sink.destroy();
      this.#settle('broken_off');
    } else if (canBeSentAgain(lease, this.#body)) this.#settle('withdrawn');
    else this.#settle(hostFailure(this.#call, lease));
  }

  drain(): void {
    this.#body?.resume();
  }

  #settle(outcome: Attempt | AppError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#exchange?.abort();
    this.#body?.detach();
    this.#lease?.release();
    if (outcome instanceof AppError) this.#over.reject(outcome);
    else this.#over.resolve(outcome);
  }
}

/** True where the host has not begun with the call and never will, and nothing of its body is lost. */
function canBeSentAgain({host, call}: HostLease, body: RequestBody | null): boolean {
  return (body === null || body.isComplete) && host.slots.withdraw(call.slot);
}

/** `expect` was met by the listener; `callHeader` is nobody's to set. */
function isHopByHop(name: string): boolean {
  return hopByHopHeaders.has(name) || name === 'expect' || name === callHeader;
}

/** Headers without those that are for the next hop alone. */
export function passedOn(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? '';
    if (!isHopByHop(name.toLowerCase())) kept.push(name, headers[at + 1] ?? '');
  }
  return kept;
}

function hostFailure({script, executionId}: HostCall, lease: HostLease): AppError {
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
