import {randomUUID} from 'node:crypto';
import {AppError} from '../../schemas/errors.ts';
import type {
  ReloadedSchedules,
  ScheduledRun,
  ScriptSchedule,
  TriggeredSchedule,
} from '../../schemas/exec-operations.ts';
import {createZone} from '../../schemas/schedule/zone.ts';
import type {Clock} from '../platform/clock.ts';
import {nextRunOf, type ScheduledScript} from './schedule-scan.ts';

/** Runs the scripts that were written over the API with `@schedule`. In a branch `.hoody/crontab` says when. */
export interface ScriptSchedules {
  list(): ScriptSchedule[];
  runningCount(): number;
  /** Takes over what the scripts say now; a script that stays keeps its next run. */
  reload(scripts: readonly ScheduledScript[], options: {dryRun: boolean}): ReloadedSchedules;
  /** Runs a script now. One that runs already is left out unless forced. Throws SCHEDULE_NOT_FOUND. */
  trigger(scriptPath: string, options: {force: boolean}): Promise<TriggeredSchedule>;
  stop(): void;
}

/** What became of one start of a script. */
export interface FireOutcome {
  readonly status: 'success' | 'error' | 'timeout';
  readonly httpStatus: number | null;
  readonly executionId: string | null;
  readonly error: string | null;
}

interface Slot {
  script: ScheduledScript;
  nextMs: number | null;
}

/** Short enough that a step of the clock or a resumed machine is seen soon. */
const longestSleepMs = 30_000;

export function createScriptSchedules({
  clock,
  isOpen,
  fire,
  record,
}: {
  clock: Clock;
  /** False while the container is held or paused: then a due minute is left out. */
  isOpen: () => boolean;
  fire: (script: ScheduledScript) => Promise<FireOutcome>;
  record: (run: ScheduledRun) => void;
}): ScriptSchedules {
  const zone = createZone('UTC');
  const slots = new Map<string, Slot>();
  const running = new Map<string, number>();
  let sleeping = new AbortController();
  let isLooping = false;
  let isStopped = false;

  async function run(
    {script}: Slot,
    {trigger, scheduledMs, skipped}: {trigger: 'schedule' | 'manual'; scheduledMs: number; skipped: boolean},
  ): Promise<ScheduledRun> {
    const beganMs = clock.now();
    const {scriptPath} = script;
    if (!skipped) running.set(scriptPath, (running.get(scriptPath) ?? 0) + 1);
    const outcome = skipped ? null : await fire(script);
    if (!skipped) running.set(scriptPath, (running.get(scriptPath) ?? 1) - 1);
    const finished: ScheduledRun = {
      runId: randomUUID(),
      scriptPath,
      trigger,
      scheduledAt: new Date(scheduledMs).toISOString(),
      status: outcome?.status ?? 'skipped',
      httpStatus: outcome?.httpStatus ?? null,
      executionId: outcome?.executionId ?? null,
      durationMs: Math.max(0, clock.now() - beganMs),
      error: outcome === null ? 'It runs already, or the schedule is paused.' : outcome.error,
    };
    record(finished);
    return finished;
  }

  const isRunning = (scriptPath: string) => (running.get(scriptPath) ?? 0) > 0;

  /** A minute that went by while the machine slept is not made up for. */
  function tick(): void {
    const nowMs = clock.now();
    for (const slot of slots.values()) {
      const {nextMs, script} = slot;
      if (nextMs === null || nextMs > nowMs) continue;
      slot.nextMs = nextRunOf(script, zone, nowMs);
      void run(slot, {
        trigger: 'schedule',
        scheduledMs: nextMs,
        skipped: isRunning(script.scriptPath) || !isOpen(),
      });
    }
  }

  async function loop(): Promise<void> {
    isLooping = true;
    while (!isStopped && slots.size > 0) {
      tick();
      const nextMs = Math.min(...[...slots.values()].map((slot) => slot.nextMs ?? Infinity));
      sleeping = new AbortController();
      const waitMs = Math.min(longestSleepMs, Math.max(1, nextMs - clock.now()));
      await clock.sleep(waitMs, {signal: sleeping.signal}).catch(() => {
        // The schedules changed: look again at once.
      });
    }
    isLooping = false;
  }

  return {
    list: () =>
      [...slots.values()].map(({script, nextMs}) => ({
        scriptPath: script.scriptPath,
        schedule: script.text,
        timezone: 'UTC',
        timeoutMs: script.timeoutMs,
        nextRun: nextMs === null ? null : new Date(nextMs).toISOString(),
        running: isRunning(script.scriptPath),
        issue: script.issue,
      })),
    runningCount: () => [...running.values()].reduce((sum, count) => sum + count, 0),
    reload(scripts, {dryRun}) {
      const wanted = new Map(scripts.map((script) => [script.scriptPath, script]));
      const isKept = ({scriptPath, text}: ScheduledScript) => slots.get(scriptPath)?.script.text === text;
      const report = {
        dryRun,
        added: scripts.filter((script) => !isKept(script)).map(({scriptPath}) => scriptPath),
        kept: scripts.filter(isKept).map(({scriptPath}) => scriptPath),
        removed: [...slots.keys()].filter((scriptPath) => !wanted.has(scriptPath)),
      };
      if (dryRun) return report;
      for (const scriptPath of report.removed) slots.delete(scriptPath);
      for (const script of scripts) {
        const slot = slots.get(script.scriptPath);
        const nextMs =
          slot !== undefined && isKept(script) ? slot.nextMs : nextRunOf(script, zone, clock.now());
        slots.set(script.scriptPath, {script, nextMs});
      }
      sleeping.abort();
      if (!isLooping && slots.size > 0) void loop();
      return report;
    },
    async trigger(scriptPath, {force}) {
      const slot = slots.get(scriptPath);
      if (slot === undefined) {
        throw new AppError(
          'SCHEDULE_NOT_FOUND',
          `${scriptPath} has no @schedule. GET /api/v1/exec/schedules/list shows those that have.`,
        );
      }
      const skipped = !force && isRunning(scriptPath);
      const done = await run(slot, {trigger: 'manual', scheduledMs: clock.now(), skipped});
      const {runId, status, durationMs, error} = done;
      return {triggered: !skipped, scriptPath, runId, status, durationMs, ...(error === null ? {} : {error})};
    },
    stop() {
      isStopped = true;
      sleeping.abort();
    },
  };
}
