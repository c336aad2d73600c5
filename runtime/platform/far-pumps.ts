import {pumpsProtocol, RELAYED_HEADER} from '../../schemas/control.ts';
import {maxPumpLineBytes, type PumpNews, type PumpOrder, pumpNewsSchema} from '../../schemas/pump-orders.ts';
import type {ByteSink, ByteSource} from './byte-flow.ts';
import type {Pump, PumpEvents} from './byte-pump.ts';
import type {ByteSocket} from './byte-socket.ts';
import type {Exchange} from './http-exchange.ts';
import {JsonChannel} from './json-channel.ts';

/** Makes a pump of a source to sinks that are all there already; null where it has none for them. */
export type FarPump = (
  source: ByteSource,
  sinks: readonly ByteSink[],
  events: Omit<PumpEvents, 'onBytes'>,
) => Pump | null;

/**
 * Pumps in the process that relays the exchanges of both ends, so that their bytes never come here. What it relays is
 * said in `schemas/pump-orders.ts`.
 */
export interface FarPumps {
  /** The relay's request for a channel, by which it is told what to do. */
  open(exchange: Exchange): void;
  /** The exchange with ends that `pump` knows, where it is relayed; its body is kept back until it is wanted. */
  known(exchange: Exchange): Exchange;
  readonly pump: FarPump;
  /** Ends the channels; what they move breaks off. */
  close(): void;
}

const tag = /^([0-9a-f]{1,64})\.([1-9]\d{0,14})$/;

export function createFarPumps(): FarPumps {
  const relays = new Map<string, Relay>();
  const ends = new WeakMap<ByteSource | ByteSink, FarEnd>();

  return {
    open(exchange) {
      const name = exchange.head.fields.get(RELAYED_HEADER) ?? '';
      exchange.takeOver((socket) => {
        const relay = new Relay(socket, () => relays.delete(name));
        relays.set(name, relay);
        return relay.channel;
      });
    },
    known(exchange) {
      const {head, peer, connection, body, onLeft} = exchange;
      const [, name = '', number] = tag.exec(head.fields.get(RELAYED_HEADER) ?? '') ?? [];
      const relay = relays.get(name);
      if (relay === undefined) return exchange;
      const end = {relay, number: Number(number)};
      const source = keptBack(body, end);
      ends.set(source, end);
      return {
        head,
        peer,
        connection,
        body: source,
        onLeft,
        respond(answer) {
          const sink = exchange.respond(answer);
          ends.set(sink, end);
          return sink;
        },
        takeOver: (accept) => exchange.takeOver(accept),
      };
    },
    pump(source, sinks, events) {
      const from = ends.get(source);
      const to = new Map<ByteSink, number>();
      for (const sink of sinks) {
        const end = ends.get(sink);
        if (end !== undefined && end.relay === from?.relay) to.set(sink, end.number);
      }
      if (from === undefined || to.size === 0 || to.size < sinks.length) return null;
      if (!from.relay.channel.isOpen) return null;
      return new OrderingPump(from, to, events);
    },
    close() {
      for (const {channel} of relays.values()) channel.end();
    },
  };
}

/** One exchange as the relay knows it. */
interface FarEnd {
  readonly relay: Relay;
  readonly number: number;
}

function keptBack(body: ByteSource, {relay, number}: FarEnd): ByteSource {
  return {
    start(reader) {
      relay.order({order: 'read', from: number});
      body.start(reader);
    },
    pause: () => body.pause(),
    resume: () => body.resume(),
    shortcut: () => body.shortcut?.() ?? null,
  };
}

const switching = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${pumpsProtocol}\r\n\r\n`;

/** What is ordered from one relay, and what it tells. */
class Relay {
  readonly channel: JsonChannel<PumpNews, PumpOrder>;
  readonly #pumps = new Map<number, OrderingPump>();

  constructor(socket: ByteSocket, onClosed: () => void) {
    socket.write(Buffer.from(switching, 'latin1'));
    this.channel = new JsonChannel(socket, {
      parse: (value) => pumpNewsSchema.parse(value),
      hear: (news) => this.#pumps.get(news.from)?.hear(news),
      closed: () => {
        onClosed();
        for (const pump of [...this.#pumps.values()]) pump.lost();
      },
      maxLineBytes: maxPumpLineBytes,
    });
  }

  order(order: PumpOrder): void {
    this.channel.say(order);
  }

  add(number: number, pump: OrderingPump): void {
    this.#pumps.set(number, pump);
  }

  delete(number: number): void {
    this.#pumps.delete(number);
  }
}

/** A pump as the relay tells of it. */
class OrderingPump implements Pump {
  bytes = 0;
  movements = 0;
  readonly #from: FarEnd;
  readonly #to: Map<ByteSink, number>;
  readonly #events: Omit<PumpEvents, 'onBytes'>;
  #behind = new Map<number, number>();
  #state: 'ready' | 'flowing' | 'uploaded' | 'over' = 'ready';

  constructor(from: FarEnd, to: Map<ByteSink, number>, events: Omit<PumpEvents, 'onBytes'>) {
    this.#from = from;
    this.#to = to;
    this.#events = events;
  }

  get isStalled(): boolean {
    return this.#behind.size > 0;
  }

  isBehind(sink: ByteSink): boolean {
    return this.#behind.has(this.#to.get(sink) ?? 0);
  }

  pendingBytes(sink: ByteSink): number {
    return this.#behind.get(this.#to.get(sink) ?? 0) ?? 0;
  }

  /** All are there from the beginning. */
  add(): void {}

  remove(sink: ByteSink): void {
    const number = this.#to.get(sink);
    if (number === undefined) return;
    this.#to.delete(sink);
    this.#behind.delete(number);
    const {relay, number: from} = this.#from;
    if (this.#state !== 'over') relay.order({order: 'drop', from, to: number});
  }

  start(): void {
    const {relay, number} = this.#from;
    this.#state = 'flowing';
    relay.add(number, this);
    relay.order({order: 'pump', from: number, to: [...this.#to.values()]});
    if (!relay.channel.isOpen) this.lost();
  }

  stop(): void {
    if (this.#state === 'over') return;
    this.#end();
    this.#from.relay.order({order: 'stop', from: this.#from.number});
  }

  hear(news: PumpNews): void {
    if (this.#state !== 'flowing' && this.#state !== 'uploaded') return;
    this.bytes = news.bytes;
    this.movements += 1;
    switch (news.news) {
      case 'moving':
        this.movements = news.movements;
        this.#behind = new Map(news.behind);
        return;
      case 'uploaded':
        if (this.#state !== 'flowing') return;
        this.#state = 'uploaded';
        this.#events.onUploaded();
        return;
      case 'delivered':
        this.#behind.clear();
        this.#end();
        this.#events.onDelivered();
        return;
      case 'cut':
        this.lost();
        return;
    }
  }

  lost(): void {
    if (this.#state === 'over') return;
    this.#end();
    this.#events.onCut();
  }

  #end(): void {
    this.#state = 'over';
    this.#from.relay.delete(this.#from.number);
  }
}
