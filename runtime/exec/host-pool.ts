import {AppError} from '../../schemas/errors.ts';
import type {Clock} from '../platform/clock.ts';
import type {HostProcess} from './host-process.ts';

/** A host that is in use until `release`; it is neither stopped for idleness nor drained before. */
export interface HostLease {
  readonly host: HostProcess;
  release(): void;
  /** The host takes no more calls and ends with its last one; the next call gets a new one. */
  retire(): void;
  /** The same, but ends it at once: for a host that is blocked. */
  discard(): void;
}

interface Member {
  readonly generation: string;
  readonly host: HostProcess;
  calls: number;
  retired: boolean;
  idle: AbortController | null;
}

/**
 * Keeps one host for the newest generation, started at the first call and stopped after `idleMs` without any.
 * Hosts of former generations end with their last call; a host that dies is replaced by the next call.
 */
export class HostPool {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #members = new Set<Member>();
  #current: Member | null = null;
  #closed = false;

  constructor({clock, idleMs}: {clock: Clock; idleMs: number}) {
    this.#clock = clock;
    this.#idleMs = idleMs;
  }

  /** Generations that still have a host. */
  get generations(): readonly string[] {
    return [...this.#members].map(({generation}) => generation);
  }

  /** A host of this generation, started by `start` if there is none; former generations are retired. */
  async lease(generation: string, start: () => HostProcess): Promise<HostLease> {
    if (this.#closed) throw new AppError('SHUTTING_DOWN', 'The runtime is stopping. Try again in a moment.');
    const member = this.#memberOf(generation, start);
    member.idle?.abort();
    member.calls += 1;
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      member.calls -= 1;
      if (member.calls === 0) this.#rest(member);
    };
    try {
      await member.host.ready;
    } catch (error) {
      release();
      throw error;
    }
    const retire = () => {
      if (this.#current === member) this.retire();
    };
    const discard = () => {
      retire();
      member.host.kill('SIGKILL');
    };
    return {host: member.host, release, retire, discard};
  }

  /** The present generation takes no more calls; it ends with its last one. */
  retire(): void {
    const member = this.#current;
    this.#current = null;
    if (member === null) return;
    member.retired = true;
    if (member.calls === 0) this.#rest(member);
  }

  /** Lets running calls end for `graceMs`, then ends every host. */
  async close({graceMs}: {graceMs: number}): Promise<void> {
    this.#closed = true;
    this.retire();
    const drained = Promise.all([...this.#members].map(({host}) => host.ended));
    const stop = new AbortController();
    const grace = this.#clock.sleep(graceMs, {signal: stop.signal}).catch(() => {
      // Drained before the grace was over.
    });
    await Promise.race([drained, grace]);
    stop.abort();
    for (const {host} of this.#members) host.kill('SIGKILL');
    await drained;
  }

  #memberOf(generation: string, start: () => HostProcess): Member {
    if (this.#current?.generation === generation) return this.#current;
    this.retire();
    const member: Member = {generation, host: start(), calls: 0, retired: false, idle: null};
    this.#members.add(member);
    this.#current = member;
    void member.host.ended.then(() => {
      member.idle?.abort();
      this.#members.delete(member);
      if (this.#current === member) this.#current = null;
    });
    return member;
  }

  #rest(member: Member): void {
    if (member.retired) {
      member.host.kill('SIGTERM');
      return;
    }
    const idle = new AbortController();
    member.idle = idle;
    this.#clock.sleep(this.#idleMs, {signal: idle.signal}).then(
      () => {
        if (this.#current === member) this.retire();
      },
      () => {
        // Woken by a call or by the host's end.
      },
    );
  }
}
