import type {PipeService} from '../runtime/pipe/service.ts';
import type {Snapshot} from '../runtime/pipe/snapshot.ts';
import type {ByteSink, Frame} from '../runtime/platform/byte-flow.ts';
import type {Clock} from '../runtime/platform/clock.ts';

export interface ProgressStream {
  readonly pipe: PipeService;
  readonly name: string;
  readonly key: string | null;
  readonly clock: Clock;
  readonly frameOf: (bytes: Uint8Array) => Frame;
  /** Opens the answer; not called where the name cannot be watched. */
  readonly open: () => ByteSink;
  readonly onLeft: (listener: () => void) => void;
}

const throttleMs = 250;
const keepAliveMs = 15_000;
const longestMs = 30 * 60_000;
/** A spectator that does not read is let go. */
const maxPendingBytes = 64 * 1024;

/**
 * Events of one name until its transfer ends: `state` with every change, `progress` while bytes move, `done` last.
 * Throws PIPE_CAPACITY or PIPE_KEY_WRONG.
 */
export function streamProgress({pipe, name, key, clock, frameOf, open, onLeft}: ProgressStream): void {
  let sink: ByteSink | null = null;
  let isOver = false;
  let isStreaming = false;
  let news = new AbortController();
  const early: string[] = [];

  function write(text: string): void {
    if (sink === null) early.push(text);
    else if (sink.pendingBytes > maxPendingBytes) end((to) => to.cut());
    else sink.write(frameOf(Buffer.from(text)));
  }

  function end(how: (sink: ByteSink) => void): void {
    if (isOver) return;
    isOver = true;
    stopWatching();
    news.abort();
    if (sink !== null) how(sink);
  }

  const stopWatching = pipe.watch(name, key, (snapshot, isLast) => {
    if (isOver) return;
    write(isLast ? doneEvent(snapshot) : stateEvent(snapshot));
    isStreaming = snapshot.state === 'streaming';
    news.abort();
    if (isLast) end((to) => to.end());
  });
  sink = open();
  for (const text of early) write(text);
  onLeft(() => end((to) => to.cut()));

  async function run(): Promise<void> {
    const untilMs = clock.now() + longestMs;
    let bytes = -1;
    let quietMs = 0;
    while (!isOver && clock.now() < untilMs) {
      const pauseMs = isStreaming ? throttleMs : keepAliveMs;
      const isWoken = await wokenWithin(pauseMs);
      if (isWoken || isOver) continue;
      const snapshot = pipe.status(name, key, null);
      if (snapshot.bytesTransferred !== bytes && snapshot.state === 'streaming') {
        bytes = snapshot.bytesTransferred;
        quietMs = 0;
        write(progressEvent(snapshot));
        continue;
      }
      quietMs += pauseMs;
      if (quietMs >= keepAliveMs) {
        quietMs = 0;
        write(':keepalive\n\n');
      }
    }
    end((to) => to.end());
  }

  async function wokenWithin(ms: number): Promise<boolean> {
    news = new AbortController();
    try {
      await clock.sleep(ms, {signal: news.signal});
      return false;
    } catch {
      // There is news, or the spectator has left.
      return true;
    }
  }

  void run();
}

function stateEvent({
  state,
  kind,
  hasSender,
  activeReceivers,
  totalReceivers,
  transferId,
  readers,
}: Snapshot): string {
  return event('state', {state, kind, hasSender, activeReceivers, totalReceivers, transferId, readers});
}

function progressEvent(snapshot: Snapshot): string {
  const {bytesTransferred, totalBytes, speed, eta, elapsed, activeReceivers, totalReceivers, readers} =
    snapshot;
  return event('progress', {
    bytesTransferred,
    totalBytes,
    speed,
    eta,
    elapsed,
    activeReceivers,
    totalReceivers,
    // What the public client reads.
    receivers: activeReceivers,
    readers,
  });
}

function doneEvent({state, bytesTransferred, elapsed, reason, sha256, transferId}: Snapshot): string {
  return event('done', {
    state,
    bytesTransferred,
    duration: elapsed,
    avgSpeed: elapsed > 0 ? Math.round(bytesTransferred / elapsed) : 0,
    ...(reason === null ? {} : {reason}),
    sha256,
    transferId,
  });
}

function event(name: string, data: Readonly<Record<string, unknown>>): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
