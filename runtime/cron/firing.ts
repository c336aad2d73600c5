import {randomUUID} from 'node:crypto';
import type {ScheduleGate} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import type {CrontabStore} from './crontab-store.ts';
import {movedByGap} from './due.ts';
import {type Entry, isExpired, runId} from './entry.ts';
import type {GivenEnvironment, JobRunner} from './job-runner.ts';
import type {PauseStore} from './pause-store.ts';
import type {Retries} from './retries.ts';
import {type JobLimits, type LimitReason, limitSentences} from './run-limits.ts';
import type {RunClaim, RunStore} from './run-store.ts';
import {type DueRun, makeUp} from './scheduler.ts';
import type {Zones} from './zones.ts';

/** What the container gives to a job; read at each start. */
export type JobEnvironment = () => GivenEnvironment & {readonly revision: string | null};

/** Turns what is due into claims, and claims into running jobs or records of why there is none. */
export interface Firing {
  /** Together with what could not be claimed before. Never throws. */
  fire(due: readonly DueRun[]): void;
  /** Runs that happen once at their instant or as soon after it as they may. Never throws. */
  fireOverdue(): void;
  /** Records what nobody was there to see, entry by entry, and makes up for it where an entry asks for that. */
  recordDowntime(missed: readonly (readonly DueRun[])[]): void;
  /** `@reboot` lines are due, once the schedule is no longer held. */
  expectReboot(): void;
  setState(state: ScheduleGate): void;
  /** A run that a person asks for, whatever the schedule says. Returns its id. */
  runNow(entry: Entry): string;
  /** Starts a further try that was claimed before. */
  startRetry(entry: Entry, claim: RunClaim): void;
  /** Why a further try of the entry may not run now; null where it may. */
  retryObstacle(entry: Entry): string | null;
}

/** What waited longer for its claim does not run any more. The limit of the Vixie daemon for a late wake-up. */
const longestLateMs = 5 * 60_000;

/** Beyond so many waiting runs only those stay that would be kept as records. */
const mostUnclaimed = 10_000;

export function createFiring({
  clock,
  log,
  environment,
  isHeld,
  limits,
  store,
  runs,
  pauses,
  runner,
  retries,
  zones,
  keptPerEntry,
  onSpent,
}: {
  clock: Clock;
  log: Log;
  environment: JobEnvironment;
  isHeld: (entry: Entry) => boolean;
  limits: JobLimits;
  store: CrontabStore;
  runs: RunStore;
  pauses: PauseStore;
  runner: JobRunner;
  retries: Retries;
  zones: Zones;
  /** Records kept of each entry; nothing older is worth remembering. */
  keptPerEntry: number;
  /** Called when the only run of an entry has been claimed. */
  onSpent: (entry: Entry) => void;
}): Firing {
  let state: ScheduleGate = 'held';
  let rebootPending = false;
  /** Due, but not on record, for example because the disk is full. */
  let unclaimed: readonly DueRun[] = [];
  let hasOverdue = false;

  /** Why no run of the entry may start by itself. */
  function blocked(entry: Entry): string | null {
    if (state !== 'running') return state;
    if (isHeld(entry)) return 'held';
    return pauses.of(entry, clock.now()) === null ? null : 'entry_paused';
  }

  /** Of a run that would begin beside others that begin with it. */
  function refused(beside: number): LimitReason | null {
    const reason = limits.refusal(beside);
    if (reason !== null) limits.noteRefused(reason);
    return reason;
  }

  function claimOf(entry: Entry, scheduledMs: number): RunClaim {
    return {
      id: runId(entry.id, scheduledMs),
      entryId: entry.id,
      entryName: entry.name,
      user: entry.user,
      schedule: entry.job.schedule.text,
      command: entry.job.command,
      scheduledMs,
      attempt: 1,
      revision: environment().revision,
      skipped: null,
      cause: null,
    };
  }

  /** Claims first: whoever finds the claim after a crash knows that the run may have begun. */
  function claimAndStart(due: readonly DueRun[]): void {
    const entries = new Map<string, Entry>();
    const starting = new Set<string>();
    const claims = due.map(({entry, scheduledMs, skipped, catchup}): RunClaim => {
      const overlaps =
        limits.overlapOf(entry.job.options) === 'forbid' &&
        (runner.isRunning(entry.id) || starting.has(entry.id));
      const reason = skipped ?? blocked(entry) ?? (overlaps ? 'overlap' : refused(starting.size));
      if (reason === null) starting.add(entry.id);
      const moved = movedByGap(entry, zones.of(entry.job.timeZone), scheduledMs);
      const cause = catchup ? 'catchup' : moved ? 'dst_gap' : null;
      const claim = {...claimOf(entry, scheduledMs), skipped: reason, cause};
      entries.set(claim.id, entry);
      return claim;
    });
    const given = environment();
    for (const claim of runs.claim(claims)) {
      const entry = entries.get(claim.id);
      if (entry === undefined) continue;
      if (claim.skipped === null) {
        retries.supersede(entry.id);
        limits.noteStarted(1);
        runner.start(entry, claim, given);
      }
    }
    // Also after a former runtime that claimed it and did not come to this.
    for (const {entry} of due) if (entry.runAtMs !== null) onSpent(entry);
  }

  function fire(due: readonly DueRun[]): void {
    // Whoever runs only once waits out whatever speaks against it.
    const repeated = due.filter(({entry}) => entry.runAtMs === null);
    if (repeated.length < due.length) hasOverdue = true;
    const all = [...(unclaimed.length > 0 ? unclaimedNow() : []), ...repeated];
    try {
      if (all.length > 0) claimAndStart(all);
      unclaimed = [];
    } catch (error) {
      if (unclaimed.length === 0)
        log.error('due runs cannot be recorded; they wait', {error, runs: all.length});
      unclaimed = all.length > mostUnclaimed ? newestOfEach(all, keptPerEntry) : all;
    }
    if (hasOverdue) fireOverdue();
  }

  /** Late is not before: what its entry or the time has left behind does not start any more. */
  function unclaimedNow(): DueRun[] {
    const nowMs = clock.now();
    const obstacle = obstacles();
    return unclaimed.map((run) =>
      run.skipped === null && (nowMs - run.scheduledMs > longestLateMs || obstacle(run.entry) !== null)
        ? {...run, skipped: 'storage_full'}
        : run,
    );
  }

  function fireOverdue(): void {
    const nowMs = clock.now();
    const overdue = allEntries().filter((entry) => {
      const {job, runAtMs} = entry;
      return job.enabled && runAtMs !== null && runAtMs <= nowMs && !isExpired(entry, nowMs);
    });
    hasOverdue = overdue.length > 0;
    if (!hasOverdue) return;
    const ready = overdue.filter((entry) => blocked(entry) === null);
    try {
      claimAndStart(
        ready.map((entry) => ({entry, scheduledMs: entry.runAtMs ?? nowMs, skipped: null, catchup: false})),
      );
    } catch (error) {
      log.error('a run of its own instant cannot be recorded; it waits', {error, runs: ready.length});
    }
  }

  function fireReboot(): void {
    if (!rebootPending || state === 'held') return;
    rebootPending = false;
    const scheduledMs = clock.now();
    fire(
      allEntries()
        .filter(({job}) => job.schedule.reboot && job.enabled)
        .filter((entry) => !isExpired(entry, scheduledMs))
        .map((entry) => ({entry, scheduledMs, skipped: null, catchup: false})),
    );
  }

  /** For many entries at once: why what was due before may not begin now; null where it may. */
  function obstacles(): (entry: Entry) => EndOfEntry | null {
    const nowMs = clock.now();
    const present = new Map(allEntries().map((entry) => [keyOf(entry), entry]));
    return (entry) => endOf(present.get(keyOf(entry)), nowMs);
  }

  function allEntries(): Entry[] {
    return store.users().flatMap((user) => store.get(user).entries);
  }

  return {
    fire,
    fireOverdue,
    recordDowntime(missed) {
      const nowMs = clock.now();
      const obstacle = obstacles();
      fire(
        missed.flatMap((ofEntry) => {
          const mayRun = ofEntry.every(({entry}) => (blocked(entry) ?? obstacle(entry)) === null);
          return mayRun ? makeUp(ofEntry, nowMs) : ofEntry;
        }),
      );
    },
    expectReboot() {
      rebootPending = true;
      fireReboot();
    },
    setState(next) {
      state = next;
      fireReboot();
      if (hasOverdue) fireOverdue();
    },
    runNow(entry) {
      const limit = refused(0);
      if (limit !== null) throw new AppError('LIMIT_REACHED', `It does not run: ${limitSentences[limit]}.`);
      const overlaps = limits.overlapOf(entry.job.options) === 'forbid' && runner.isRunning(entry.id);
      const claim = {
        ...claimOf(entry, clock.now()),
        id: randomUUID(),
        skipped: overlaps ? 'overlap' : null,
        cause: 'manual',
      };
      runs.claim([claim]);
      if (!overlaps) {
        limits.noteStarted(1);
        runner.start(entry, claim, environment());
      }
      return claim.id;
    },
    startRetry(entry, claim) {
      limits.noteStarted(1);
      runner.start(entry, claim, environment());
    },
    retryObstacle(entry) {
      const reason = blocked(entry);
      if (reason !== null) return reason;
      if (limits.overlapOf(entry.job.options) === 'forbid' && runner.isRunning(entry.id)) return 'overlap';
      const limit = limits.refusal();
      if (limit !== null) return limit;
      // An entry that runs once is gone by now, and that is no reason against its further tries.
      if (entry.runAtMs !== null) return null;
      return endOf(
        store.get(entry.user).entries.find(({id}) => id === entry.id),
        clock.now(),
      );
    },
  };
}

type EndOfEntry = 'removed' | 'disabled' | 'expired';

function endOf(present: Entry | undefined, nowMs: number): EndOfEntry | null {
  if (present === undefined) return 'removed';
  if (!present.job.enabled) return 'disabled';
  return isExpired(present, nowMs) ? 'expired' : null;
}

function keyOf({user, id}: Entry): string {
  return `${user}\n${id}`;
}

function newestOfEach(due: readonly DueRun[], kept: number): DueRun[] {
  const counts = new Map<string, number>();
  return due
    .toReversed()
    .filter(({entry}) => {
      const count = (counts.get(entry.id) ?? 0) + 1;
      counts.set(entry.id, count);
      return count <= kept;
    })
    .reverse();
}
