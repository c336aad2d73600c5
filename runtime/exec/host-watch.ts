import {type Clock, monotonicMs} from '../platform/clock.ts';
import type {HostProcess} from './host-process.ts';

export interface CallWaiter {
  /** Called once when the call is over its time. */
  onTimeout(): void;
  /** Called when the host is blocked and has not begun with the call. */
  onStuck(): void;
}

/** A call while its script may be running. */
export interface WatchedCall {
  readonly file: string;
  readonly slot: number;
  readonly startedMs: number;
  /** Null for no limit. */
  readonly timeoutMs: number | null;
  /** Goes on for as long as its two ends like: its limit is for each stretch in which it blocks the host. */
  readonly isLasting: boolean;
  /** Who waits for its answer, if anybody does. */
  readonly waiter: CallWaiter | null;
  isTimedOut: boolean;
  /** Its answer has begun. */
  isAnswering: boolean;
  /** Its answer is out or nobody waits for it, but its script has not ended. */
  isReleased: boolean;
}

export interface HostWatch {
  /** True while the host's event loop gives no sign of life. */
  readonly isBlocked: boolean;
  readonly calls: ReadonlySet<WatchedCall>;
  add(call: WatchedCall): void;
  /** The caller has its answer or left; the call stays until its script has ended. */
  release(call: WatchedCall): void;
}

export interface HostWatchOptions {
  readonly host: HostProcess;
  readonly clock: Clock;
  readonly maxResidentBytes: number;
  readonly onUnblocked: () => void;
  /** Called when no call is left, each time. */
  readonly onEmpty: () => void;
  /** The host has to be ended; `file` is the script that is to blame, null where nobody can tell. */
  readonly onHopeless: (reason: 'timeout' | 'memory', file: string | null) => void;
}

const tickMs = 40;
/** A host that has computed for so long and has not answered is blocked, however busy the machine is. */
const busyCpuMs = 100;
/** Looks are counted and not time: where the machine leaves us no time either, nothing is known of the host. */
const busyLooks = 3;
/** One that sleeps inside of a system call has longer; one that wants to run and may not is not blocked. */
const sleepingLooks = 25;
const ticksPerMemoryLook = 25;

/**
 * Looks after one host for as long as it has calls: their deadlines, its signs of life, its memory. A blocked
 * host is ended only when a call that may be the one that blocks it is over its time.
 */
export function watchHost(options: HostWatchOptions): HostWatch {
  const {host, clock} = options;
  const calls = new Set<WatchedCall>();
  let isLooking = false;
  let isBlocked = false;
  let blockedSinceMs = 0;
  let isGone = false;
  let asked: {readonly cpuMs: number; looks: number} | null = null;

  function ask(): void {
    asked = {cpuMs: host.usage()?.cpuMs ?? 0, looks: 0};
    host.ping(() => {
      asked = null;
      if (!isBlocked) return;
      isBlocked = false;
      options.onUnblocked();
    });
  }

  function lookForLife(): void {
    if (asked === null) {
      ask();
      return;
    }
    asked.looks += 1;
    if (isBlocked || asked.looks < busyLooks) return;
    const usage = host.usage();
    const isBusy = (usage?.cpuMs ?? 0) - asked.cpuMs >= busyCpuMs;
    const isAsleep = asked.looks >= sleepingLooks && usage?.isRunnable !== true;
    if (!isBusy && !isAsleep) return;
    isBlocked = true;
    blockedSinceMs = monotonicMs();
  }

  /** Who may be the one that blocks: the call that has not waited yet, else every call that was begun. */
  function suspects(): WatchedCall[] {
    const running = host.slots.running();
    return [...calls].filter(({slot}) => (running === 0 ? host.slots.isStarted(slot) : slot === running));
  }

  function lookAtCalls(): void {
    const nowMs = monotonicMs();
    for (const call of calls) {
      if (call.isReleased && host.slots.isEnded(call.slot)) {
        remove(call);
        continue;
      }
      if (isBlocked && !call.isReleased && !host.slots.isStarted(call.slot)) call.waiter?.onStuck();
      const sinceMs = call.isLasting ? blockedSinceMs : call.startedMs;
      if (call.timeoutMs === null || call.isTimedOut || nowMs - sinceMs < call.timeoutMs) continue;
      if (call.isLasting && !(isBlocked && suspects().includes(call))) continue;
      call.isTimedOut = true;
      call.waiter?.onTimeout();
    }
    if (!isBlocked) return;
    const guilty = suspects().find(({isTimedOut}) => isTimedOut);
    if (guilty !== undefined) options.onHopeless('timeout', host.slots.running() === 0 ? null : guilty.file);
  }

  function lookAtMemory(): void {
    if ((host.usage()?.residentBytes ?? 0) <= options.maxResidentBytes) return;
    const [only, ...others] = calls;
    options.onHopeless('memory', others.length === 0 ? (only?.file ?? null) : null);
  }

  function remove(call: WatchedCall): void {
    if (!calls.delete(call)) return;
    host.slots.release(call.slot);
    if (calls.size === 0) options.onEmpty();
  }

  async function look(): Promise<void> {
    isLooking = true;
    asked = null;
    for (let tick = 1; calls.size > 0; tick += 1) {
      await clock.sleep(tickMs);
      if (isGone) return;
      lookForLife();
      lookAtCalls();
      if (tick % ticksPerMemoryLook === 0) lookAtMemory();
    }
    lookAtMemory();
    isLooking = false;
  }

  void host.ended.then(() => {
    isGone = true;
    calls.clear();
  });
  return {
    get isBlocked() {
      return isBlocked;
    },
    calls,
    add(call) {
      calls.add(call);
      if (!isLooking) void look();
    },
    release(call) {
      call.isReleased = true;
      if (host.slots.isEnded(call.slot)) remove(call);
    },
  };
}
