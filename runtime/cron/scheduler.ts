import {nextRun} from '../../schemas/schedule/next-run.ts';
import type {Zone} from '../../schemas/schedule/zone.ts';
import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import type {Entry} from './entry.ts';
import {createHeap, type Heap} from './heap.ts';

export interface DueRun {
  readonly entry: Entry;
  readonly scheduledMs: number;
  /** Why it shall not run, whatever the state of the schedule; null where nothing speaks against it. */
  readonly skipped: 'missed' | 'runtime_down' | null;
}

export interface Scheduler {
  /** Makes `entries` the whole of what the user has. An entry that was there with the same schedule keeps its place. */
  replace(user: string, entries: readonly Entry[]): void;
  start(): void;
  stop(): Promise<void>;
  /** The earliest run of all entries. */
  next(): {readonly entry: Entry; readonly atMs: number} | null;
  nextOf(user: string, id: string): number | null;
}

interface Slot {
  entry: Entry;
  zone: Zone;
  /** null where the schedule never comes again. */
  atMs: number | null;
}

interface Ticket {
  readonly atMs: number;
  readonly slot: Slot;
}

/** Short enough that a step of the clock or a resumed machine is seen soon. */
const longestSleepMs = 30_000;

/** A wake-up later than this is a suspended machine or a clock that was set, no longer a busy event loop. */
const catchUpMs = 5 * 60_000;

/** A clock that goes back further is a correction and moves every entry; less than that only those that follow the wall clock. */
const correctionMs = 3 * 60 * 60_000;

const minuteMs = 60_000;

/**
 * One loop over two heaps: runs and expiries. `onDue` and `onExpired` are called in the loop and must not wait;
 * at the same instant expiries come first.
 */
export function createScheduler({
  clock,
  log,
  zoneOf,
  onDue,
  onExpired,
  onIdle,
}: {
  clock: Clock;
  log: Log;
  zoneOf: (entry: Entry) => Zone;
  onDue: (due: readonly DueRun[]) => void;
  onExpired: (entries: readonly Entry[]) => void;
  /** Called after each pass, at least every 30 s. */
  onIdle: () => void;
}): Scheduler {
  const slots = new Map<string, Map<string, Slot>>();
  const stopped = new AbortController();
  let runs: Heap<Ticket> = createHeap();
  let expiries: Heap<Ticket> = createHeap();
  let lastMs = clock.now();
  let sleeping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  function follow(slot: Slot, afterMs: number): void {
    const {job, expiresAtMs} = slot.entry;
    const atMs = job.enabled ? nextRun(job.schedule, slot.zone, afterMs) : null;
    slot.atMs = atMs !== null && expiresAtMs !== null && atMs >= expiresAtMs ? null : atMs;
  }

  function rebuild(): void {
    runs = createHeap();
    expiries = createHeap();
    for (const slot of [...slots.values()].flatMap((ofUser) => [...ofUser.values()])) {
      if (slot.atMs !== null) runs.push({atMs: slot.atMs, slot});
      if (slot.entry.expiresAtMs !== null) expiries.push({atMs: slot.entry.expiresAtMs, slot});
    }
    sleeping.abort();
  }

  function tick(): void {
    const nowMs = clock.now();
    if (nowMs < lastMs - minuteMs) followBack(nowMs, lastMs - nowMs);
    lastMs = nowMs;

    const expired: Entry[] = [];
    while ((expiries.peek()?.atMs ?? Infinity) <= nowMs) {
      const ticket = expiries.pop();
      if (ticket !== undefined) expired.push(ticket.slot.entry);
    }
    if (expired.length > 0) guard(() => onExpired(expired));

    const due: DueRun[] = [];
    while ((runs.peek()?.atMs ?? Infinity) <= nowMs) {
      const ticket = runs.pop();
      if (ticket === undefined) break;
      const {slot, atMs} = ticket;
      // One record stands for all runs missed in the same stretch.
      const missed = nowMs - atMs > catchUpMs;
      const {entry} = slot;
      if (entry.expiresAtMs === null || entry.expiresAtMs > nowMs)
        due.push({entry, scheduledMs: atMs, skipped: missed ? 'missed' : null});
      follow(slot, missed ? Math.max(atMs, nowMs - catchUpMs - 1) : atMs);
      if (slot.atMs !== null) runs.push({atMs: slot.atMs, slot});
    }
    if (due.length > 0) guard(() => onDue(due));
    guard(onIdle);
  }

  function followBack(nowMs: number, backMs: number): void {
    for (const slot of [...slots.values()].flatMap((ofUser) => [...ofUser.values()])) {
      if (slot.entry.job.schedule.wildcard || backMs > correctionMs) follow(slot, nowMs);
    }
    rebuild();
  }

  function guard(task: () => void): void {
    try {
      task();
    } catch (error) {
      log.error('the schedule goes on after a failure', {error});
    }
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      sleeping = new AbortController();
      tick();
      const nextMs = Math.min(runs.peek()?.atMs ?? Infinity, expiries.peek()?.atMs ?? Infinity);
      const waitMs = Math.min(longestSleepMs, Math.max(0, nextMs - clock.now()));
      // Rejects only by the signal, and that means: look again.
      await clock.sleep(waitMs, {signal: sleeping.signal}).catch(() => {});
    }
  }

  return {
    replace(user, entries) {
      const before = slots.get(user);
      const nowMs = clock.now();
      const after = new Map<string, Slot>();
      for (const entry of entries) {
        const zone = zoneOf(entry);
        const known = before?.get(entry.id);
        const slot: Slot = {entry, zone, atMs: null};
        if (known !== undefined && sameTimes(known, slot)) slot.atMs = known.atMs;
        else follow(slot, nowMs);
        after.set(entry.id, slot);
      }
      slots.set(user, after);
      rebuild();
    },
    start() {
      loop = run();
    },
    async stop() {
      stopped.abort();
      sleeping.abort();
      await loop;
    },
    next() {
      const ticket = runs.peek();
      return ticket === undefined ? null : {entry: ticket.slot.entry, atMs: ticket.atMs};
    },
    nextOf: (user, id) => slots.get(user)?.get(id)?.atMs ?? null,
  };
}

function sameTimes(a: Slot, b: Slot): boolean {
  return (
    a.zone.name === b.zone.name &&
    a.entry.job.schedule.text === b.entry.job.schedule.text &&
    a.entry.job.enabled === b.entry.job.enabled &&
    a.entry.expiresAtMs === b.entry.expiresAtMs
  );
}
