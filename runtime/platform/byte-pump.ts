import type {Duct} from './byte-duct.ts';
import {type ByteSink, type ByteSource, Frame, type SinkShortcut, type SourceShortcut} from './byte-flow.ts';
import {nextTurn} from './clock.ts';

/** Moves bytes from one source to any number of sinks in lockstep, and keeps none of them. */
export interface Pump {
  /** Of the source so far. */
  readonly bytes: number;
  /** True while the source waits for a sink. */
  readonly isStalled: boolean;
  /** Counts whatever moved: bytes that came, and sinks that took what they had left over. */
  readonly movements: number;
  isBehind(sink: ByteSink): boolean;
  /** That the sink was given and has not taken. */
  pendingBytes(sink: ByteSink): number;
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

/** Who brings so much at once will bring more. */
const fastBytes = 64 * 1024;

/**
 * A frame goes to all sinks before the next one is read: the slowest sink paces the source, and what waits in memory
 * is one read of the source, shared by all who wait for it. Where `duct` gives one, bytes of a fast source go through
 * it, unseen by `onBytes` and in the same lockstep.
 */
export function createPump(source: ByteSource, events: PumpEvents, duct: () => Duct | null): Pump {
  const sinks = new Set<ByteSink>();
  const behind = new Set<ByteSink>();
  let state: 'ready' | 'flowing' | 'uploaded' | 'over' = 'ready';
  let bytes = 0;
  let movements = 0;
  let isFast = false;
  let isBypassing = false;
  const widened = new Set<number>();

  function goOn(): void {
    if (behind.size > 0) return;
    if (state === 'flowing' && isFast && way() !== null) void bypass();
    else if (state === 'flowing') source.resume();
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

  function cut(): void {
    if (state !== 'flowing') return;
    state = 'over';
    events.onCut();
  }

  function toSink(sink: ByteSink, frame: Frame): void {
    if (!sink.write(frame)) behind.add(sink);
  }

  /** Past this process, where there is a way. */
  function way(): {through: Duct; from: SourceShortcut; to: SinkShortcut[]} | null {
    const from = source.shortcut?.() ?? null;
    const through = from === null ? null : duct();
    if (from === null || through === null) return null;
    const to = [...sinks].flatMap((sink) => sink.shortcut?.() ?? []);
    return to.length === 0 || to.length < sinks.size ? null : {through, from, to};
  }

  /** The source stays paused while the duct finds something in it. */
  async function bypass(): Promise<void> {
    if (isBypassing) return;
    isBypassing = true;
    source.pause();
    try {
      // A turn of the loop for each move: whoever else is served waits for no more than one.
      do await nextTurn();
      while (state === 'flowing' && behind.size === 0 && moveUnseen());
    } finally {
      isBypassing = false;
    }
    // With somebody behind it goes on when that one has caught up.
    if (behind.size === 0) {
      isFast = false;
      goOn();
    }
  }

  /** What a unix socket does not take at once would be read, copied and kept. */
  function widen(through: Duct, to: readonly SinkShortcut[]): void {
    for (const {descriptor, isUnix} of to) {
      if (!isUnix || widened.has(descriptor)) continue;
      widened.add(descriptor);
      through.widen(descriptor);
    }
  }

  /** False where everything has to be read, or where nothing waits to be. */
  function moveUnseen(): boolean {
    const found = way();
    if (found === null) return false;
    const {through, from, to} = found;
    widen(through, to);
    const all = [...sinks];
    let moved: number;
    try {
      moved = through.move(
        from.descriptor,
        to.map(({descriptor}) => descriptor),
        from.mostBytes,
        (index, left) => {
          const sink = all[index];
          if (sink !== undefined) toSink(sink, new Frame(left));
        },
      );
    } catch {
      // What it had taken is lost; nobody may take the rest for the whole.
      cut();
      return false;
    }
    if (moved === 0) return false;
    bytes += moved;
    movements += 1;
    from.took(moved);
    return true;
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
    pendingBytes: (sink) => sink.pendingBytes,
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
          for (const sink of sinks) toSink(sink, frame);
          isFast = chunk.length >= fastBytes;
          if (behind.size > 0) source.pause();
          else if (isFast) goOn();
        },
        end() {
          if (state !== 'flowing') return;
          state = 'uploaded';
          events.onUploaded();
          goOn();
        },
        cut,
      });
      // Of a large body there may be more waiting already.
      if (state === 'flowing' && behind.size === 0 && source.shortcut?.() && duct() !== null) void bypass();
    },
    stop() {
      state = 'over';
      source.pause();
    },
  };
}
