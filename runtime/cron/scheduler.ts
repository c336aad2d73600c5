import type {Zone} from '../../schemas/schedule/zone.ts';
import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import {newestDue, nextDue} from './due.ts';
import type {Entry} from './entry.ts';
import {createHeap, type Heap} from './heap.ts';

export interface DueRun {
  readonly entry: Entry;
  readonly scheduledMs: number;
  /** Why it shall not run, whatever the state of the schedule; null where nothing speaks against it. */
  readonly skipped: 'missed' | 'runtime_down' | 'storage_full' | null;
  /** It makes up for a minute that went by. */
  readonly catchup: boolean;
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
  /** What `atMs` comes after, by the clock of that time. */
  followedMs: number;
}

interface Ticket {
  readonly atMs: number;
  readonly slot: Slot;
}

/** Short enough that a step of the clock or a resumed machine is seen soon. */
const longestSleepMs = 30_000;

const minuteMs = 60_000;

/**
 * The limits of the Vixie daemon for a wake-up that comes late, in minutes. Up to the first every job runs for every
 * minute. Up to the second, a machine that slept or summer time, a job of fixed times runs for every minute and a
 * wildcard job for the present one. Beyond it the clock was set, and only the present minute counts.
 */
const lateMinutes = 5;
const correctionMinutes = 180;

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
  mostMissed,
}: {
  clock: Clock;
  log: Log;
  zoneOf: (entry: Entry) => Zone;
  onDue: (due: readonly DueRun[]) => void;
  onExpired: (entries: readonly Entry[]) => void;
  /** Called after each pass, at least every 30 s. */
  onIdle: () => void;
  /** Of so many missed runs of an entry, the newest, `onDue` is told. */
  mostMissed: number;
}): Scheduler {
  const slots = new Map<string, Map<string, Slot>>();
  const stopped = new AbortController();
  let runs: Heap<Ticket> = createHeap();
  let expiries: Heap<Ticket> = createHeap();
  let lastMs = clock.now();
  /** The longest that the present tick can be after the one before. */
  let sleptMs = 0;
  let isStarted = false;
  let sleeping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  function follow(slot: Slot, afterMs: number): void {
    slot.atMs = nextDue(slot.entry, slot.zone, afterMs);
    slot.followedMs = afterMs;
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
    const minutes = minuteOf(nowMs) - minuteOf(lastMs);
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
      const {entry} = slot;
      if (minutes <= lateMinutes || entry.runAtMs !== null || minuteOf(atMs) === minuteOf(nowMs)) {
        // Expiry counts at the fire time too: late is not before.
        const expires = entry.expiresAtMs;
        if (expires === null || expires > nowMs)
          due.push({entry, scheduledMs: atMs, skipped: null, catchup: false});
        follow(slot, atMs);
      } else {
        due.push(...dueAfterGap(slot, atMs, nowMs, minutes));
        follow(slot, nowMs);
      }
      if (slot.atMs !== null) runs.push({atMs: slot.atMs, slot});
    }
    if (due.length > 0) guard(() => onDue(due));
    guard(onIdle);
  }

  /** What an entry that was due first at `firstMs` has had until now, while nobody looked for `minutes`. */
  function dueAfterGap({entry, zone}: Slot, firstMs: number, nowMs: number, minutes: number): DueRun[] {
    const {expiresAtMs, job} = entry;
    const everyMinute = minutes <= correctionMinutes && !job.schedule.wildcard;
    // Runs are not left out for want of room, only records of what did not run.
    const most = everyMinute ? Math.max(mostMissed, correctionMinutes + 1) : mostMissed;
    const all = newestDue(entry, zone, {fromMs: firstMs - 1, untilMs: nowMs + 1, most});
    if (expiresAtMs !== null && expiresAtMs <= nowMs)
      return all.map((scheduledMs) => ({entry, scheduledMs, skipped: 'missed', catchup: false}));
    return makeUp(
      all.map((scheduledMs): DueRun => {
        const runs = everyMinute || minuteOf(scheduledMs) === minuteOf(nowMs);
        return {entry, scheduledMs, skipped: runs ? null : 'missed', catchup: false};
      }),
      nowMs,
    );
  }

  function followBack(nowMs: number, backMs: number): void {
    // The clock may have gone back right after the tick before; a minute that ran already is not claimed again.
    const backToMs = nowMs - sleptMs;
    for (const slot of [...slots.values()].flatMap((ofUser) => [...ofUser.values()])) {
      // Whoever was followed by the clock as it is now needs no correction.
      if (slot.followedMs <= nowMs) continue;
      if (slot.entry.job.schedule.wildcard || backMs > correctionMinutes * minuteMs) follow(slot, backToMs);
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
      sleptMs = waitMs;
    }
  }

  return {
    replace(user, entries) {
      // What a line was due for is due although the line goes a moment later; its successor begins after that.
      if (isStarted && (runs.peek()?.atMs ?? Infinity) <= clock.now()) tick();
      const before = slots.get(user);
      const nowMs = clock.now();
      const after = new Map<string, Slot>();
      for (const entry of entries) {
        const zone = zoneOf(entry);
        const known = before?.get(entry.id);
        const slot: Slot = {entry, zone, atMs: null, followedMs: nowMs};
        if (known !== undefined && sameTimes(known, slot)) {
          slot.atMs = known.atMs;
          slot.followedMs = known.followedMs;
        } else follow(slot, nowMs);
        after.set(entry.id, slot);
      }
      slots.set(user, after);
      rebuild();
    },
    start() {
      isStarted = true;
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

/**
 * Where an entry asks for it and none of its runs happens anyway, the newest missed one happens late after all, if
 * that is soon enough. `due` is of one entry, in ascending order.
 */
export function makeUp(due: readonly DueRun[], nowMs: number): DueRun[] {
  const last = due.at(-1);
  const catchupMs = last?.entry.job.options.catchupMs ?? null;
  if (last === undefined || catchupMs === null || due.some(({skipped}) => skipped === null)) return [...due];
  if (nowMs - last.scheduledMs > catchupMs) return [...due];
  return [...due.slice(0, -1), {...last, skipped: null, catchup: true}];
}

function minuteOf(epochMs: number): number {
  return Math.floor(epochMs / minuteMs);
}

function sameTimes(a: Slot, b: Slot): boolean {
  return (
    a.zone.name === b.zone.name &&
    a.entry.job.schedule.text === b.entry.job.schedule.text &&
    a.entry.job.enabled === b.entry.job.enabled &&
    a.entry.expiresAtMs === b.entry.expiresAtMs &&
    a.entry.runAtMs === b.entry.runAtMs &&
    a.entry.delayMs === b.entry.delayMs
  );
}
