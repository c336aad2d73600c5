import {createHash} from 'node:crypto';
import type {Duct} from '../platform/byte-duct.ts';
import type {ByteSink, ByteSource} from '../platform/byte-flow.ts';
import {createPump, type Pump} from '../platform/byte-pump.ts';
import type {Clock} from '../platform/clock.ts';
import type {FarPump} from '../platform/far-pumps.ts';
import type {Metadata, Receiver} from './parties.ts';
import type {PartyId} from './rendezvous.ts';
import type {Receipt} from './transfer-log.ts';

/** Bytes on their way from one sender, and what can be said about it while they are. */
export interface Transfer {
  readonly bytes: number;
  readonly totalBytes: number | null;
  /** Of the last seconds. */
  readonly bytesPerSecond: number;
  readonly seconds: number;
  /** Most receivers there were at the same time. */
  readonly peak: number;
  /** Seconds in which the sender waited for a receiver, as seen once a second. */
  readonly stalledSeconds: number;
  /** In hex, of what came so far; null where nobody asked for it. */
  sha256(): string | null;
  receivers(): readonly ReceiverProgress[];
  start(): void;
  add(party: PartyId, receiver: Receiver): void;
  /** Tells what it got before the others go on without it; null where it was not there. */
  remove(party: PartyId, tell: (receipt: Receipt | null) => void): void;
  /** Ends the answers of all receivers as complete. */
  complete(): Receipt[];
  /** Breaks them off. */
  cut(): Receipt[];
}

export interface ReceiverProgress {
  readonly name: string | null;
  readonly bytes: number;
  /** True while the others wait for this one. */
  readonly blocking: boolean;
}

export interface TransferEvents {
  uploaded(): void;
  delivered(): void;
  broken(): void;
  /** The receiver has taken nothing for a while although there was something to take. */
  slow(party: PartyId): void;
  idleSoon(leftMs: number): void;
  idle(): void;
  /** Once, when the rate can be told. */
  rate(bytesPerSecond: number): void;
}

export interface TransferOptions {
  readonly id: string;
  readonly metadata: Metadata;
  readonly source: ByteSource;
  readonly sha256: boolean;
  readonly idleMs: number;
  readonly clock: Clock;
  /** Receivers may come in the middle. */
  readonly mayBeJoined: boolean;
  /** Null until there is one, and where there is none. */
  readonly duct: () => Duct | null;
  readonly farPump: FarPump;
  readonly events: TransferEvents;
}

interface Place {
  readonly label: string | null;
  readonly sink: ByteSink;
  /** Of the transfer when it came: a live stream is joined in the middle. */
  readonly fromBytes: number;
  pendingBytes: number;
  takingSinceMs: number;
}

const tickMs = 1000;
/** A receiver that takes nothing for so long is slow. */
const slowMs = 10_000;
const idleWarningMs = 60_000;
const rateAfterTicks = 2;
const speedSamples = 5;
/** Why nobody watches any more. Given, since the engine would make an error with a stack. */
const ended = 'the transfer is over';

export function createTransfer(options: TransferOptions): Transfer {
  const {id, metadata, source, mayBeJoined, idleMs, clock, events} = options;
  const startMs = clock.now();
  const hash = options.sha256 ? createHash('sha256') : null;
  const places = new Map<PartyId, Place>();
  const over = new AbortController();
  const samples: {atMs: number; bytes: number}[] = [{atMs: startMs, bytes: 0}];
  let peak = 0;
  let stalledSeconds = 0;
  let endMs: number | null = null;

  const pumpEvents = {
    onBytes: (bytes: Uint8Array) => void hash?.update(bytes),
    onUploaded: events.uploaded,
    onDelivered: events.delivered,
    onCut: events.broken,
  };
  // What is hashed has to be seen.
  let pump: Pump = createPump(source, pumpEvents, hash === null ? options.duct : () => null);
  const seconds = () => Math.max(0, (endMs ?? clock.now()) - startMs) / 1000;

  function bytesPerSecond(): number {
    const [first] = samples;
    if (first === undefined) return 0;
    const pastSeconds = Math.max(0.001, ((endMs ?? clock.now()) - first.atMs) / 1000);
    return Math.max(0, (pump.bytes - first.bytes) / pastSeconds);
  }

  function receiptOf({label, sink, fromBytes}: Place, sha256: string | null): Receipt {
    return {
      label,
      bytes: Math.max(0, pump.bytes - fromBytes - pump.pendingBytes(sink)),
      seconds: seconds(),
      sha256,
    };
  }

  function finish(end: (sink: ByteSink) => void, sha256: string | null): Receipt[] {
    pump.stop();
    endMs = clock.now();
    const receipts = [...places.values()].map((place) => receiptOf(place, sha256));
    for (const {sink} of places.values()) end(sink);
    places.clear();
    over.abort(ended);
    return receipts;
  }

  /** Once a second: who is slow, whether anything moves, and how fast. */
  async function watch(): Promise<void> {
    let movedAtMs = startMs;
    let movements = -1;
    let isWarned = false;
    for (let tick = 1; !over.signal.aborted; tick += 1) {
      await clock.sleep(tickMs, {signal: over.signal});
      const nowMs = clock.now();
      samples.push({atMs: nowMs, bytes: pump.bytes});
      if (samples.length > speedSamples) samples.shift();
      if (pump.isStalled) stalledSeconds += 1;
      const someoneTook = noteTaking(nowMs);
      if (someoneTook || pump.movements !== movements) {
        movements = pump.movements;
        movedAtMs = nowMs;
        isWarned = false;
      }
      if (tick === rateAfterTicks && pump.bytes > 0) events.rate(bytesPerSecond());
      const leftMs = idleMs - (nowMs - movedAtMs);
      if (leftMs <= 0) events.idle();
      else if (leftMs <= idleWarningMs && idleMs > idleWarningMs && !isWarned) {
        isWarned = true;
        events.idleSoon(leftMs);
      }
    }
  }

  /** True where a receiver that was behind has taken some. */
  function noteTaking(nowMs: number): boolean {
    let someoneTook = false;
    for (const [party, place] of [...places]) {
      const pendingBytes = pump.pendingBytes(place.sink);
      if (pendingBytes > 0 && pendingBytes === place.pendingBytes) {
        if (nowMs - place.takingSinceMs >= slowMs) events.slow(party);
        continue;
      }
      if (pendingBytes < place.pendingBytes) someoneTook = true;
      place.pendingBytes = pendingBytes;
      place.takingSinceMs = nowMs;
    }
    return someoneTook;
  }

  return {
    totalBytes: metadata.lengthBytes,
    get bytes() {
      return pump.bytes;
    },
    get bytesPerSecond() {
      return bytesPerSecond();
    },
    get seconds() {
      return seconds();
    },
    get peak() {
      return peak;
    },
    get stalledSeconds() {
      return stalledSeconds;
    },
    sha256: () => hash?.copy().digest('hex') ?? null,
    receivers: () =>
      [...places.values()].map((place) => ({
        name: place.label,
        bytes: receiptOf(place, null).bytes,
        blocking: pump.isBehind(place.sink),
      })),
    start() {
      const sinks = [...places.values()].map(({sink}) => sink);
      if (!mayBeJoined && hash === null) pump = options.farPump(source, sinks, pumpEvents) ?? pump;
      pump.start();
      watch().catch((error: unknown) => {
        if (!over.signal.aborted) throw error;
      });
    },
    add(party, receiver) {
      const sink = receiver.begin(metadata, id);
      const fromBytes = pump.bytes;
      places.set(party, {
        label: receiver.label,
        sink,
        fromBytes,
        pendingBytes: 0,
        takingSinceMs: clock.now(),
      });
      peak = Math.max(peak, places.size);
      pump.add(sink);
    },
    remove(party, tell) {
      const place = places.get(party);
      places.delete(party);
      tell(place === undefined ? null : receiptOf(place, null));
      place?.sink.cut();
      if (place !== undefined) pump.remove(place.sink);
    },
    complete: () => finish((sink) => sink.end(), hash?.copy().digest('hex') ?? null),
    cut: () => finish((sink) => sink.cut(), null),
  };
}
