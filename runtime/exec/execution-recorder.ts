import type {Execution, ExecutionError, ExecutionEvent} from '../../schemas/execution.ts';
import type {ExecutionStatus} from '../../schemas/execution-status.ts';
import {type Clock, monotonicMs} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import type {MaskedStream, SecretMask} from '../platform/secret-mask.ts';
import type {ExecutionStore} from './execution-store.ts';
import type {OutputChunk, ScriptFailure} from './host-messages.ts';
import {maskExecution} from './masked-execution.ts';
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
  /** `mask` goes over everything that is kept or shown of the call. */
  begin(start: ExecutionStart, log: LogOptions, mask: SecretMask): void;
  /** What a host says of a call. Unknown ids are dropped: a script may write what it likes. */
  output(id: string, chunks: readonly OutputChunk[], leftOut: number): void;
  failed(id: string, failure: ScriptFailure): void;
  end(id: string, end: ExecutionEnd): void;
  /** The present state of a call that is not written yet. */
  recent(id: string): Execution | null;
  subscribe(listener: (event: ExecutionEvent) => void): () => void;
  flush(): void;
  /** Writes what is left, running calls as interrupted. */
  stop(): void;
}

type StreamName = OutputChunk[0];

/** What is known of a call; its record is made of it when somebody wants it. */
interface Entry {
  readonly start: ExecutionStart;
  readonly log: LogOptions;
  readonly mask: SecretMask;
  /** They hold back what may be the beginning of a secret; null before the first output. */
  streams: Readonly<Record<StreamName, MaskedStream>> | null;
  readonly startedMs: number;
  readonly startedMonotonicMs: number;
  stdout: string;
  stderr: string;
  isSilent: boolean;
  isTruncated: boolean;
  failure: ScriptFailure | null;
  end: ExecutionEnd | null;
  finishedMonotonicMs: number;
  isChanged: boolean;
}

const flushMs = 250;
/** What a script prints after its answer still belongs to its record. */
const lingerMs = 10_000;
/** What a script prints comes on a way of its own, and may be behind the end of its call. */
const settleMs = 1000;
/** Of calls that went well and printed nothing so many are written at once; beyond it the oldest are left out. */
const plainPerFlush = 125;
/** Writing takes at most a tenth of the time. */
const restShare = 9;
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
  /** Went well and silently, and are not written yet; the oldest first. */
  let plain: Entry[] = [];
  let isFlushing = false;

  const emit = (event: ExecutionEvent) => {
    for (const listener of listeners) listener(event);
  };

  function append(entry: Entry, stream: StreamName, text: string): void {
    if (text === '') return;
    const whole = entry[stream] + text;
    entry[stream] = headAndTail(whole);
    if (entry[stream] !== whole) entry.isTruncated = true;
    entry.isChanged = true;
    emit({type: 'output', id: entry.start.id, stream, text});
  }

  /** Nothing follows what was held back; `cutEnd`: because it was left out. */
  function release(entry: Entry, {cutEnd}: {cutEnd: boolean}): void {
    const {streams} = entry;
    if (streams === null) return;
    for (const stream of ['stdout', 'stderr'] as const)
      append(entry, stream, entry.mask.text(streams[stream].end(), {cutEnd}));
  }

  /** Writes what has changed, and forgets what will not change any more. */
  function flush(): void {
    dropOldest(plain.slice(0, -plainPerFlush));
    plain = plain.slice(-plainPerFlush);
    const nowMs = monotonicMs();
    const isOver = ({end, finishedMonotonicMs}: Entry) =>
      end !== null && nowMs - finishedMonotonicMs > lingerMs;
    const changed: Entry[] = [];
    for (const entry of entries.values()) {
      if (isOver(entry)) release(entry, {cutEnd: false});
      if (entry.isChanged) changed.push(entry);
    }
    if (changed.length > 0) {
      try {
        const store = openStore();
        store.save(
          changed.map((entry) => ({execution: toExecution(entry), retentionDays: entry.log.retentionDays})),
        );
        store.retain(clock.now());
      } catch (error) {
        log.error('records of calls could not be written; it is tried again', {error, calls: changed.length});
        return;
      }
    }
    plain = [];
    for (const entry of changed) entry.isChanged = false;
    for (const [id, entry] of entries) {
      const isSettled = nowMs - entry.finishedMonotonicMs > settleMs;
      if ((isPlain(entry) && isSettled) || isOver(entry)) entries.delete(id);
    }
  }

  /** One that has printed since is not like the others any more. */
  function dropOldest(ended: readonly Entry[]): void {
    for (const entry of ended) if (isPlain(entry)) entries.delete(entry.start.id);
  }

  async function flushWhileThereAre(): Promise<void> {
    isFlushing = true;
    let restMs = flushMs;
    while (entries.size > 0) {
      await clock.sleep(restMs);
      const startMs = monotonicMs();
      flush();
      restMs = Math.max(flushMs, (monotonicMs() - startMs) * restShare);
    }
    isFlushing = false;
  }

  return {
    begin(start, options, mask) {
      if (options.level === 'none') return;
      const entry: Entry = {
        start,
        log: options,
        mask,
        streams: null,
        startedMs: clock.now(),
        startedMonotonicMs: monotonicMs(),
        stdout: '',
        stderr: '',
        isSilent: true,
        isTruncated: false,
        failure: null,
        end: null,
        finishedMonotonicMs: 0,
        isChanged: true,
      };
      entries.set(start.id, entry);
      if (listeners.size > 0) emit({type: 'start', execution: toExecution(entry)});
      if (!isFlushing) void flushWhileThereAre();
    },
    output(id, chunks, leftOut) {
      const entry = entries.get(id);
      if (entry === undefined || entry.log.level === 'minimal') return;
      entry.isSilent = false;
      entry.streams ??= {stdout: entry.mask.stream(), stderr: entry.mask.stream()};
      for (const [stream, text] of chunks) append(entry, stream, entry.streams[stream].push(text));
      if (leftOut === 0) return;
      release(entry, {cutEnd: true});
      entry.isTruncated = true;
      entry.isChanged = true;
    },
    failed(id, failure) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      entry.failure = failure;
      entry.isChanged = true;
    },
    end(id, end) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      entry.end = end;
      entry.finishedMonotonicMs = monotonicMs();
      entry.isChanged = true;
      if (listeners.size > 0) emit({type: 'end', execution: toExecution(entry)});
      if (isPlain(entry)) plain.push(entry);
      if (plain.length >= 2 * plainPerFlush) dropOldest(plain.splice(0, plainPerFlush));
    },
    recent(id) {
      const entry = entries.get(id);
      return entry === undefined ? null : toExecution(entry);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    flush,
    stop() {
      for (const entry of entries.values()) {
        release(entry, {cutEnd: false});
        if (entry.end !== null) continue;
        entry.end = interrupted;
        entry.finishedMonotonicMs = monotonicMs();
        entry.isChanged = true;
      }
      flush();
      entries.clear();
    },
  };
}

const interrupted: ExecutionEnd = {
  status: 'interrupted',
  httpStatus: null,
  responseBytes: null,
  error: null,
  requestBody: null,
  responseBody: null,
};

/** Over, well, and silent: nothing more will come, and there are others like it. */
function isPlain({end, failure, isSilent, start}: Entry): boolean {
  return end?.status === 'succeeded' && failure === null && isSilent && start.run_id === null;
}

function toExecution(entry: Entry): Execution {
  const {start, mask, startedMs, startedMonotonicMs, finishedMonotonicMs, failure, end} = entry;
  const durationMs =
    end === null ? null : Math.round((finishedMonotonicMs - startedMonotonicMs) * 1000) / 1000;
  const execution: Execution = {
    ...start,
    status: end?.status ?? 'running',
    http_status: end?.httpStatus ?? null,
    started_at: new Date(startedMs).toISOString(),
    finished_at: durationMs === null ? null : new Date(startedMs + durationMs).toISOString(),
    duration_ms: durationMs,
    response_bytes: end?.responseBytes ?? null,
    error: end?.error ?? (failure === null ? null : {code: 'SCRIPT_FAILED', ...failure}),
    stdout: entry.stdout,
    stderr: entry.stderr,
    truncated: entry.isTruncated,
    request_body: end?.requestBody ?? null,
    response_body: end?.responseBody ?? null,
  };
  return maskExecution(execution, mask);
}

const leftOutMark = '\n[... left out ...]\n';

function headAndTail(text: string): string {
  if (text.length <= keptOutputLength * 2 + leftOutMark.length) return text;
  return text.slice(0, keptOutputLength) + leftOutMark + text.slice(-keptOutputLength);
}
