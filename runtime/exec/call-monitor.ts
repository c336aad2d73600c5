import {errorCatalogue} from '../../schemas/errors.ts';
import type {ActiveCall, CallTotals, ScriptMetrics} from '../../schemas/exec-operations.ts';
import type {Clock} from '../platform/clock.ts';

export interface CallStart {
  readonly executionId: string;
  readonly scriptPath: string;
  readonly method: string;
  /** Path without query: that may hold a token. */
  readonly path: string;
}

export interface ActiveStart {
  readonly call: CallStart;
  /** Epoch ms. */
  readonly startedMs: number;
}

/** How a call ended; `status` as the caller saw it. */
export interface CallEnd extends ActiveStart {
  readonly durationMs: number;
  readonly status: number;
}

/** What is counted of calls since the runtime started; nothing of their contents. */
export interface CallMonitor {
  readonly startedMs: number;
  /** Counts a call as active, until `end` is told what this returns. */
  begin(call: CallStart): ActiveStart;
  end(call: ActiveStart, status: number): void;
  active(): ActiveCall[];
  totals(): CallTotals;
  scripts(): readonly ScriptMetrics[];
}

interface Counter {
  calls: number;
  errors: number;
  totalMs: number;
  maxMs: number;
  lastMs: number;
  lastStatus: number;
  /** The newest durations, for percentiles. */
  recentMs: number[];
}

/** So many scripts have counters of their own; the one that was called longest ago gives way. */
const mostScripts = 500;
const mostRecent = 200;
const firstErrorStatus = errorCatalogue.INTERNAL_ERROR.status;

export function createCallMonitor({
  clock,
  startedMs,
  onEnd,
}: {
  clock: Clock;
  startedMs: number;
  onEnd: (call: CallEnd) => void;
}): CallMonitor {
  const open = new Set<ActiveStart>();
  const counters = new Map<string, Counter>();
  /** Most often the next call is of the same script. */
  let newest: {readonly scriptPath: string; readonly counter: Counter} | null = null;
  const totals = {total: 0, success: 0, errors: 0};

  function counterOf(scriptPath: string): Counter {
    if (scriptPath === newest?.scriptPath) return newest.counter;
    const known = counters.get(scriptPath);
    counters.delete(scriptPath);
    const counter = known ?? newCounter();
    counters.set(scriptPath, counter);
    newest = {scriptPath, counter};
    const [oldest] = counters.keys();
    if (counters.size > mostScripts && oldest !== undefined) counters.delete(oldest);
    return counter;
  }

  return {
    startedMs,
    begin(call) {
      const start = {call, startedMs: clock.now()};
      open.add(start);
      return start;
    },
    end(start, status) {
      open.delete(start);
      const atMs = clock.now();
      const durationMs = Math.max(0, atMs - start.startedMs);
      const failed = status >= firstErrorStatus;
      totals.total += 1;
      totals[failed ? 'errors' : 'success'] += 1;
      count(counterOf(start.call.scriptPath), {durationMs, status, failed, atMs});
      onEnd({...start, durationMs, status});
    },
    active: () =>
      [...open].map(({call: {executionId, scriptPath, method, path}, startedMs: beganMs}) => ({
        executionId,
        scriptPath,
        method,
        url: path,
        startedAt: new Date(beganMs).toISOString(),
        duration: Math.max(0, clock.now() - beganMs),
      })),
    totals: () => ({...totals, activeHttp: open.size}),
    scripts: () => [...counters].map(([scriptPath, counter]) => metricsOf(scriptPath, counter)),
  };
}

function newCounter(): Counter {
  return {calls: 0, errors: 0, totalMs: 0, maxMs: 0, lastMs: 0, lastStatus: 0, recentMs: []};
}

function count(
  counter: Counter,
  {durationMs, status, failed, atMs}: {durationMs: number; status: number; failed: boolean; atMs: number},
): void {
  counter.calls += 1;
  counter.errors += failed ? 1 : 0;
  counter.totalMs += durationMs;
  counter.maxMs = Math.max(counter.maxMs, durationMs);
  counter.lastMs = atMs;
  counter.lastStatus = status;
  counter.recentMs.push(durationMs);
  if (counter.recentMs.length > mostRecent) counter.recentMs.shift();
}

function metricsOf(scriptPath: string, counter: Counter): ScriptMetrics {
  const sorted = counter.recentMs.toSorted((a, b) => a - b);
  const percentile = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return {
    scriptPath,
    calls: counter.calls,
    errors: counter.errors,
    averageMs: counter.totalMs / Math.max(1, counter.calls),
    p50Ms: percentile(0.5),
    p95Ms: percentile(0.95),
    maxMs: counter.maxMs,
    lastCalledAt: new Date(counter.lastMs).toISOString(),
    lastStatus: counter.lastStatus,
  };
}
