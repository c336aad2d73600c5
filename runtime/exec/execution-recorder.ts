import type {Execution, ExecutionError, ExecutionEvent, ExecutionStatus} from '../../schemas/execution.ts';
import {type Clock, monotonicMs} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import type {ExecutionStore} from './execution-store.ts';
import type {OutputChunk, ScriptFailure} from './host-messages.ts';
import type {LogOptions} from './script-options.ts';

export type ExecutionStart = Pick<
  Execution,
  | 'id'
  | 'script'
  | 'method'
  | 'url'
  | 'client_ip'
  | 'commit'
  | 'deployment'
  | 'run_id'
  | 'warnings'
  | 'request_headers'
>;

export interface ExecutionEnd {
  readonly status: Exclude<ExecutionStatus, 'running'>;
  readonly httpStatus: number | null;
  readonly responseBytes: number | null;
  readonly error: ExecutionError | null;
  readonly requestBody: string | null;
  readonly responseBody: string | null;
}

/** Takes down what happens to calls, writes it many at a time, and shows it to those who follow. */
export interface ExecutionRecorder {
  begin(start: ExecutionStart, log: LogOptions): void;
  /** What a host says of a call. Unknown ids are dropped: a script may write what it likes. */
  output(id: string, chunks: readonly OutputChunk[], leftOut: number): void;
  failed(id: string, failure: ScriptFailure): void;
  end(id: string, end: ExecutionEnd): void;
  /** The present state of a call that is not written yet. */
  recent(id: string): Execution | null;
  recentAll(): readonly Execution[];
  subscribe(listener: (event: ExecutionEvent) => void): () => void;
  flush(): void;
  /** Writes what is left, running calls as interrupted. */
  stop(): void;
}

interface Entry {
  execution: Execution;
  readonly log: LogOptions;
  readonly startedMonotonicMs: number;
  isChanged: boolean;
  isOver: boolean;
  overMonotonicMs: number;
}

const flushMs = 250;
/** What a script prints after its answer still belongs to its record. */
const lingerMs = 10_000;
/** Where calls come faster than they can be written, the oldest that are over are left out. */
const mostWaiting = 2000;
/** Writing takes at most this share of the time. */
const idleShare = 9;
const keptOutputLength = 32 * 1024;

export function createExecutionRecorder({
  clock,
  log,
  openStore,
}: {
  clock: Clock;
  log: Log;
  openStore: () => ExecutionStore;
}): ExecutionRecorder {
  const entries = new Map<string, Entry>();
  const listeners = new Set<(event: ExecutionEvent) => void>();
  let isFlushing = false;

  const emit = (event: ExecutionEvent) => {
    for (const listener of listeners) listener(event);
  };

  function change(id: string, update: (execution: Execution) => Partial<Execution>): Entry | null {
    const entry = entries.get(id);
    if (entry === undefined) return null;
    entry.execution = {...entry.execution, ...update(entry.execution)};
    entry.isChanged = true;
    void flushSoon();
    return entry;
  }

  /** Writes what has changed; false where that failed. */
  function flush(): boolean {
    const changed = [...entries.values()].filter(({isChanged}) => isChanged);
    try {
      if (changed.length > 0) {
        const store = openStore();
        store.save(changed.map(({execution, log: {retentionDays}}) => ({execution, retentionDays})));
        store.retain(clock.now());
      }
    } catch (error) {
      log.error('records of calls could not be written; it is tried again', {error, calls: changed.length});
      return false;
    }
    for (const entry of changed) entry.isChanged = false;
    const nowMs = monotonicMs();
    for (const [id, entry] of entries)
      if (entry.isOver && (nowMs - entry.overMonotonicMs > lingerMs || !mayPrint(entry))) entries.delete(id);
    return true;
  }

  async function flushSoon(): Promise<void> {
    if (isFlushing) return;
    isFlushing = true;
    let restMs = flushMs;
    while (entries.size > 0) {
      await clock.sleep(restMs);
      const startMs = monotonicMs();
      flush();
      restMs = Math.max(flushMs, (monotonicMs() - startMs) * idleShare);
      dropSurplus();
    }
    isFlushing = false;
  }

  function dropSurplus(): void {
    if (entries.size <= mostWaiting) return;
    for (const [id, {isOver, execution}] of entries) {
      if (entries.size <= mostWaiting) return;
      if (isOver && execution.status === 'succeeded') entries.delete(id);
    }
  }

  return {
    begin(start, options) {
      if (options.level === 'none') return;
      const execution: Execution = {
        ...start,
        status: 'running',
        http_status: null,
        started_at: new Date(clock.now()).toISOString(),
        finished_at: null,
        duration_ms: null,
        response_bytes: null,
        error: null,
        stdout: '',
        stderr: '',
        truncated: false,
        request_body: null,
        response_body: null,
      };
      entries.set(start.id, {
        execution,
        log: options,
        startedMonotonicMs: monotonicMs(),
        isChanged: true,
        isOver: false,
        overMonotonicMs: 0,
      });
      if (entries.size > mostWaiting * 2) dropSurplus();
      if (listeners.size > 0) emit({type: 'start', execution});
      void flushSoon();
    },
    output(id, chunks, leftOut) {
      const entry = entries.get(id);
      if (entry === undefined || entry.log.level === 'minimal') return;
      change(id, ({stdout, stderr, truncated}) => {
        const texts = {stdout, stderr};
        for (const [stream, text] of chunks) texts[stream] += text;
        const isTooLong = Object.values(texts).some((text) => text.length > keptOutputLength * 2);
        return {
          stdout: headAndTail(texts.stdout),
          stderr: headAndTail(texts.stderr),
          truncated: truncated || leftOut > 0 || isTooLong,
        };
      });
      for (const [stream, text] of chunks) emit({type: 'output', id, stream, text});
    },
    failed(id, failure) {
      change(id, () => ({error: {code: 'SCRIPT_FAILED', ...failure}}));
    },
    end(id, {status, httpStatus, responseBytes, error, requestBody, responseBody}) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      entry.isOver = true;
      entry.overMonotonicMs = monotonicMs();
      change(id, (execution) => ({
        status,
        http_status: httpStatus,
        response_bytes: responseBytes,
        finished_at: new Date(clock.now()).toISOString(),
        duration_ms: Math.round((entry.overMonotonicMs - entry.startedMonotonicMs) * 1000) / 1000,
        error: error ?? execution.error,
        request_body: requestBody,
        response_body: responseBody,
      }));
      if (listeners.size > 0) emit({type: 'end', execution: entry.execution});
    },
    recent: (id) => entries.get(id)?.execution ?? null,
    recentAll: () => [...entries.values()].map(({execution}) => execution),
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    flush: () => void flush(),
    stop() {
      for (const entry of entries.values()) {
        if (entry.isOver) continue;
        entry.execution = {...entry.execution, status: 'interrupted'};
        entry.isChanged = true;
      }
      flush();
      entries.clear();
    },
  };
}

/** Only a script that has printed something is likely to print more. */
function mayPrint({execution}: Entry): boolean {
  return execution.stdout !== '' || execution.stderr !== '' || execution.status !== 'succeeded';
}

function headAndTail(text: string): string {
  if (text.length <= keptOutputLength * 2) return text;
  const marker = '\n[... left out ...]\n';
  const head = text.slice(0, keptOutputLength);
  const tail = text.slice(-keptOutputLength);
  return head + marker + tail;
}
