import {AppError} from '../../schemas/errors.ts';
import {type Clock, monotonicMs} from '../platform/clock.ts';
import type {HostProcess} from './host-process.ts';
import {type HostWatch, type WatchedCall, watchHost} from './host-watch.ts';

export type HostEnd = 'timeout' | 'memory' | 'ended';

/** A host that is in use until `release`; it is neither stopped for idleness nor drained before. */
export interface HostLease {
  readonly host: HostProcess;
  /** The call that the lease is for. */
  readonly call: WatchedCall;
  release(): void;
  /** The answer is on its way; a host that is to be drained waits for it a while only. */
  answering(): void;
  /** The host does not answer its socket any more; no call is sent there again. */
  lost(): void;
  /** Why the host was ended, and the script to blame where it is known. */
  endedBy(): {readonly reason: HostEnd; readonly file: string | null};
}

type CallToWatch = Pick<WatchedCall, 'file' | 'timeoutMs' | 'waiter'> &
  Partial<Pick<WatchedCall, 'isLasting'>>;

/** Which host is wanted, and how it is started where there is none. */
export interface HostOrder {
  /** One deployment with one set of variables; another one retires the former. */
  readonly generation: string;
  readonly start: () => HostProcess;
}

export interface LeaseRequest extends HostOrder, CallToWatch {
  /** In a host of its own, which ends with the call. */
  readonly isolated: boolean;
}

export interface HostPoolOptions {
  readonly clock: Clock;
  /** Asked for each host; null keeps it for ever. */
  readonly idleMs: () => number | null;
  readonly maxResidentBytes: number;
}

interface Member {
  readonly generation: string;
  readonly host: HostProcess;
  readonly watch: HostWatch;
  /** Leases that wait for the host to be ready. */
  waiting: number;
  retired: boolean;
  lastUsedMs: number;
  end: {readonly reason: HostEnd; readonly file: string | null};
  /** No call is sent there any more. */
  readonly forget: () => void;
}

const noCall: CallToWatch = {file: '', timeoutMs: null, waiter: null};

/** A script that has taken down its host so often gets one of its own, until the next deployment. */
const killsToIsolation = 2;

/** An answer that goes on and on, such as events, ends its host's drain after this time. */
const drainMs = 5 * 60_000;

class MemberLease implements HostLease {
  readonly call: WatchedCall;
  readonly #member: Member;

  constructor(member: Member, call: WatchedCall) {
    this.call = call;
    this.#member = member;
  }

  get host(): HostProcess {
    return this.#member.host;
  }

  release(): void {
    this.#member.watch.release(this.call);
  }

  answering(): void {
    this.call.isAnswering = true;
  }

  lost(): void {
    this.#member.forget();
  }

  endedBy(): Member['end'] {
    return this.#member.end;
  }
}

/**
 * Keeps one host for the newest generation, started at the first call and stopped after `idleMs` without any.
 * While it is blocked a second one takes the calls. Hosts of former generations end with their last call; a
 * host that dies is replaced by the next call.
 */
export class HostPool {
  readonly #options: HostPoolOptions;
  readonly #members = new Set<Member>();
  /** How often a script of the newest generation has taken its host down. */
  readonly #kills = new Map<string, number>();
  #killsOf: string | null = null;
  #current: Member | null = null;
  #overflow: Member | null = null;
  #closed = false;

  constructor(options: HostPoolOptions) {
    this.#options = options;
  }

  /** Generations that still have a host. */
  get generations(): readonly string[] {
    return [...this.#members].map(({generation}) => generation);
  }

  /** At once where a host is ready. */
  lease(request: LeaseRequest): HostLease | Promise<HostLease> {
    if (this.#closed) throw shuttingDown();
    const isolated = request.isolated || (this.#kills.get(request.file) ?? 0) >= killsToIsolation;
    const member = isolated ? this.#isolatedMember(request) : this.#memberOf(request);
    const leased = () => this.#leaseOf(member, request, member.host.slots.take());
    return member.host.isReady ? leased() : this.#untilReady(member).then(leased);
  }

  /** Starts the host of a generation before anybody calls. */
  warm({generation, start}: HostOrder): void {
    if (!this.#closed) this.#memberOf({generation, start});
  }

  /** A host that is needed for something other than a call. */
  async hold(order: HostOrder): Promise<HostLease> {
    if (this.#closed) throw shuttingDown();
    const member = this.#memberOf(order);
    if (!member.host.isReady) await this.#untilReady(member);
    return this.#leaseOf(member, noCall, 0);
  }

  /** New calls get new hosts; the present ones end with their last call, at the latest after `graceMs`. */
  async replace({graceMs}: {graceMs: number}): Promise<void> {
    const former = [...this.#members].map(({host}) => host);
    this.retire();
    const drained = Promise.all(former.map(({ended}) => ended));
    const stop = new AbortController();
    await Promise.race([drained, slept(this.#options.clock, graceMs, stop.signal)]);
    stop.abort();
    for (const host of former) host.kill('SIGKILL');
    await drained;
  }

  /** The present generation takes no more calls; it ends with its last one. */
  retire(): void {
    for (const member of [this.#current, this.#overflow]) if (member !== null) this.#retireMember(member);
    this.#current = null;
    this.#overflow = null;
  }

  /** Lets running calls end for `graceMs`, then ends every host. */
  async close({graceMs}: {graceMs: number}): Promise<void> {
    this.#closed = true;
    await this.replace({graceMs});
  }

  /** The overflow host only while the current one is blocked: both have a `shared` of their own. */
  #memberOf({generation, start}: HostOrder): Member {
    if (this.#current?.generation !== generation) {
      this.retire();
      if (this.#killsOf !== generation) this.#kills.clear();
      this.#killsOf = generation;
      this.#current = this.#add(generation, start());
    }
    if (!this.#current.watch.isBlocked) return this.#current;
    if (this.#overflow === null || this.#overflow.watch.isBlocked) {
      if (this.#overflow !== null) this.#retireMember(this.#overflow);
      this.#overflow = this.#add(generation, start());
    }
    return this.#overflow;
  }

  #isolatedMember({generation, start}: LeaseRequest): Member {
    const member = this.#add(generation, start());
    member.retired = true;
    return member;
  }

  #add(generation: string, host: HostProcess): Member {
    const {clock, maxResidentBytes} = this.#options;
    const watch = watchHost({
      host,
      clock,
      maxResidentBytes,
      onUnblocked: () => this.#onUnblocked(member),
      onEmpty: () => this.#rest(member),
      onHopeless: (reason, file) => this.#kill(member, reason, file),
    });
    const member: Member = {
      generation,
      host,
      watch,
      waiting: 0,
      retired: false,
      lastUsedMs: monotonicMs(),
      end: {reason: 'ended', file: null},
      forget: () => this.#forget(member),
    };
    this.#members.add(member);
    const over = new AbortController();
    void this.#endWhenIdle(member, over.signal);
    void host.ended.then(() => {
      over.abort();
      this.#members.delete(member);
      if (this.#current === member) this.#current = null;
      if (this.#overflow === member) this.#overflow = null;
    });
    return member;
  }

  async #untilReady(member: Member): Promise<void> {
    member.waiting += 1;
    try {
      await member.host.ready;
    } finally {
      member.waiting -= 1;
    }
  }

  #leaseOf(
    member: Member,
    {file, timeoutMs, isLasting = false, waiter}: CallToWatch,
    slot: number,
  ): HostLease {
    const call: WatchedCall = {
      file,
      slot,
      startedMs: monotonicMs(),
      timeoutMs,
      isLasting,
      waiter,
      isTimedOut: false,
      isAnswering: false,
      isReleased: false,
    };
    member.watch.add(call);
    return new MemberLease(member, call);
  }

  #onUnblocked(member: Member): void {
    if (this.#current !== member || this.#overflow === null) return;
    this.#retireMember(this.#overflow);
    this.#overflow = null;
  }

  #kill(member: Member, reason: HostEnd, file: string | null): void {
    member.end = {reason, file};
    if (file !== null) this.#kills.set(file, (this.#kills.get(file) ?? 0) + 1);
    this.#forget(member);
    member.host.kill('SIGKILL');
  }

  /** Gives its place to the overflow host, if there is one. */
  #forget(member: Member): void {
    if (this.#current === member) {
      this.#current = this.#overflow;
      this.#overflow = null;
    }
    if (this.#overflow === member) this.#overflow = null;
    this.#retireMember(member);
  }

  #retireMember(member: Member): void {
    if (member.retired) return;
    member.retired = true;
    this.#rest(member);
    void this.#endSlowDrain(member);
  }

  /** Answers that have begun get a while, answers that are still made have their own deadlines. */
  async #endSlowDrain(member: Member): Promise<void> {
    const over = new AbortController();
    void member.host.ended.then(() => over.abort());
    for (;;) {
      await slept(this.#options.clock, drainMs, over.signal);
      if (over.signal.aborted) return;
      const isWorking = [...member.watch.calls].some(
        ({isAnswering, isTimedOut, isReleased}) => !isAnswering && !isTimedOut && !isReleased,
      );
      if (!isWorking) member.host.kill('SIGTERM');
    }
  }

  /** Called whenever a host may have nothing to do. */
  #rest(member: Member): void {
    if (member.waiting > 0 || member.watch.calls.size > 0) return;
    member.lastUsedMs = monotonicMs();
    if (member.retired) member.host.kill('SIGTERM');
  }

  async #endWhenIdle(member: Member, over: AbortSignal): Promise<void> {
    const {clock} = this.#options;
    const idleMs = this.#options.idleMs();
    if (idleMs === null) return;
    while (!over.aborted) {
      const isBusy = member.waiting > 0 || member.watch.calls.size > 0;
      if (isBusy) member.lastUsedMs = monotonicMs();
      const leftMs = member.lastUsedMs + idleMs - monotonicMs();
      if (leftMs <= 0) {
        if (this.#current === member) this.retire();
        return;
      }
      await slept(clock, leftMs, over);
    }
  }
}

function shuttingDown(): AppError {
  return new AppError('SHUTTING_DOWN', 'The runtime is stopping. Try again in a moment.');
}

/** A sleep that ends quietly when it is no longer wanted. */
function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return clock.sleep(ms, {signal}).catch(() => {
    // Aborted: whoever aborts has another answer already.
  });
}
