import {type ByteSink, type ByteSource, Frame} from '../platform/byte-flow.ts';

/** Moves bytes from one source to any number of sinks in lockstep, and keeps none of them. */
export interface Pump {
  /** Of the source so far. */
  readonly bytes: number;
  /** True while the source waits for a sink. */
  readonly isStalled: boolean;
  /** Counts whatever moved: bytes that came, and sinks that took what they had left over. */
  readonly movements: number;
  isBehind(sink: ByteSink): boolean;
  add(sink: ByteSink): void;
  /** Goes on without this one. */
  remove(sink: ByteSink): void;
  start(): void;
  /** Reads no more and writes no more; the caller ends or cuts the sinks. */
  stop(): void;
}

export interface PumpEvents {
  /** Sees every byte once, before the sinks do. */
  onBytes(bytes: Uint8Array): void;
  /** The source is complete; sinks may still be behind. */
  onUploaded(): void;
  /** The source is complete, and no sink that is left is behind. */
  onDelivered(): void;
  /** The source broke off. */
  onCut(): void;
}

/**
 * A frame goes to all sinks before the next one is read: the slowest sink paces the source, and what waits in memory
 * is one read of the source, shared by all who wait for it.
 */
export function createPump(source: ByteSource, events: PumpEvents): Pump {
  const sinks = new Set<ByteSink>();
  const behind = new Set<ByteSink>();
  let state: 'ready' | 'flowing' | 'uploaded' | 'over' = 'ready';
  let bytes = 0;
  let movements = 0;

  function goOn(): void {
    if (behind.size > 0) return;
    if (state === 'flowing') source.resume();
    if (state === 'uploaded') {
      state = 'over';
      events.onDelivered();
    }
  }

  function caughtUp(sink: ByteSink): void {
    if (!behind.delete(sink)) return;
    movements += 1;
    goOn();
  }

  return {
    get bytes() {
      return bytes;
    },
    get isStalled() {
      return behind.size > 0;
    },
    get movements() {
      return movements;
    },
    isBehind: (sink) => behind.has(sink),
    add(sink) {
      sinks.add(sink);
      sink.onDrained(() => caughtUp(sink));
    },
    remove(sink) {
      sinks.delete(sink);
      if (behind.delete(sink)) goOn();
    },
    start() {
      state = 'flowing';
      source.start({
        chunk(chunk) {
          if (state !== 'flowing') return;
          bytes += chunk.length;
          movements += 1;
          events.onBytes(chunk);
          const frame = new Frame(chunk);
          for (const sink of sinks) if (!sink.write(frame)) behind.add(sink);
          if (behind.size > 0) source.pause();
        },
        end() {
          if (state !== 'flowing') return;
          state = 'uploaded';
          events.onUploaded();
          goOn();
        },
        cut() {
          if (state !== 'flowing') return;
          state = 'over';
          events.onCut();
        },
      });
    },
    stop() {
      state = 'over';
      source.pause();
    },
  };
}
