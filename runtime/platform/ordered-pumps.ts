import {randomBytes} from 'node:crypto';
import {pumpsPath, pumpsProtocol, RELAYED_HEADER} from '../../schemas/control.ts';
import {maxPumpLineBytes, type PumpNews, type PumpOrder, pumpOrderSchema} from '../../schemas/pump-orders.ts';
import type {Duct} from './byte-duct.ts';
import type {ByteSource} from './byte-flow.ts';
import {createPump, type Pump} from './byte-pump.ts';
import type {ByteSocket} from './byte-socket.ts';
import {type Relayed, type RelayedAnswer, type RelayWatch, relayExchange} from './exchange-relay.ts';
import {ask} from './http-asking.ts';
import {JsonChannel} from './json-channel.ts';
import type {RequestHead} from './request-head.ts';

/** A shorter body is as well relayed. */
const leastPumpedBytes = 64 * 1024;
/** A channel that nobody uses is closed after this. */
const unusedMs = 10_000;
const newsMs = 200;
/** Who does not read what we tell gets less of it. */
const maxUnreadBytes = 1024 * 1024;

/**
 * Relays the exchanges of pipes as `relayExchange` does. Where a runtime orders so, bytes of a sender go to its receivers
 * from here, by a pump as the runtime's own, and never through the runtime: what is relayed is all but the bodies.
 */
export function createPipeRelay(duct: () => Duct | null): (relayed: Relayed) => void {
  const stations = new Map<string, Promise<Station | null>>();

  function stationAt(socketPath: string): Promise<Station | null> {
    const known = stations.get(socketPath);
    if (known !== undefined) return known;
    const forget = () => {
      if (stations.get(socketPath) === opening) stations.delete(socketPath);
    };
    const opening = openStation(socketPath, duct, forget);
    stations.set(socketPath, opening);
    return opening;
  }

  return (relayed) => {
    const {exchange, socketPath} = relayed;
    if (!mayBePumped(exchange.head)) {
      relayExchange(relayed, duct);
      return;
    }
    let hasLeft = false;
    exchange.onLeft(() => {
      hasLeft = true;
    });
    void stationAt(socketPath).then((station) => {
      if (hasLeft) return;
      if (station?.channel.isOpen) station.relay(relayed);
      else relayExchange(relayed, duct);
    });
  };
}

function mayBePumped({method, framing}: RequestHead): boolean {
  if (framing.kind === 'none') return method === 'GET';
  return framing.kind === 'chunked' || framing.bytes >= leastPumpedBytes;
}

/** Null where the runtime is of a version that orders nothing, or where nobody answers. */
function openStation(
  socketPath: string,
  duct: () => Duct | null,
  onClosed: () => void,
): Promise<Station | null> {
  const opened = Promise.withResolvers<Station | null>();
  const channel = randomBytes(8).toString('hex');
  const none = () => {
    onClosed();
    opened.resolve(null);
  };
  const giveUp = ask(
    {
      socketPath,
      method: 'GET',
      target: pumpsPath,
      fields: ['Host', 'runtime', RELAYED_HEADER, channel],
      framing: {kind: 'none'},
      protocol: pumpsProtocol,
    },
    {
      connected() {},
      answered() {
        none();
        giveUp();
      },
      switched(_, early, socket) {
        const station = new Station(channel, socket, {duct, onClosed});
        opened.resolve(station);
        if (early.length > 0) station.channel.data(early);
        return station.channel;
      },
      failed: none,
    },
  );
  return opened.promise;
}

/** What is relayed to one runtime that gives orders. */
class Station {
  readonly channel: JsonChannel<PumpOrder, PumpNews>;
  readonly #name: string;
  readonly #duct: () => Duct | null;
  readonly #ends = new Map<number, RelayedEnd>();
  readonly #pumps = new Set<OrderedPump>();
  #lastNumber = 0;
  #telling: ReturnType<typeof setInterval> | null = null;
  #unused: ReturnType<typeof setTimeout> | null = null;

  constructor(
    name: string,
    socket: ByteSocket,
    {duct, onClosed}: {duct: () => Duct | null; onClosed: () => void},
  ) {
    this.#name = name;
    this.#duct = duct;
    // A runtime that does not keep to what was agreed gives no orders any more.
    this.channel = new JsonChannel(socket, {
      parse: (value) => pumpOrderSchema.parse(value),
      hear: (order) => this.#obey(order),
      closed: () => {
        onClosed();
        this.#release();
      },
      maxLineBytes: maxPumpLineBytes,
    });
    this.#awaitUse();
  }

  relay(relayed: Relayed): void {
    if (this.#unused !== null) clearTimeout(this.#unused);
    this.#lastNumber += 1;
    const {exchange, fields} = relayed;
    const {framing} = exchange.head;
    const lengthBytes = framing.kind === 'length' ? framing.bytes : null;
    const end = new RelayedEnd(this.#lastNumber, {body: exchange.body, lengthBytes}, (over) =>
      this.#forget(over),
    );
    this.#ends.set(end.number, end);
    const tag = [RELAYED_HEADER, `${this.#name}.${end.number}`];
    relayExchange({...relayed, fields: [...fields, ...tag]}, this.#duct, end);
  }

  /** Without orders bodies are read as any other. */
  #release(): void {
    for (const pump of [...this.#pumps]) this.#stop(pump);
    for (const end of this.#ends.values()) end.read();
    if (this.#unused !== null) clearTimeout(this.#unused);
  }

  #awaitUse(): void {
    this.#unused = setTimeout(() => this.channel.end(), unusedMs);
    this.#unused.unref();
  }

  #forget(end: RelayedEnd): void {
    this.#ends.delete(end.number);
    for (const pump of [...this.#pumps]) {
      if (pump.from === end) {
        pump.stop();
        this.#stop(pump);
        this.channel.say({news: 'cut', from: end.number, bytes: pump.bytes});
      } else if (pump.has(end)) {
        // The runtime learns of it by its connection; before that, how much it got.
        this.#tellOf(pump);
        pump.leave(end);
      }
    }
    if (this.#ends.size === 0 && this.channel.isOpen) this.#awaitUse();
  }

  /** Throws where it makes no sense. */
  #obey(order: PumpOrder): void {
    const from = this.#ends.get(order.from);
    switch (order.order) {
      case 'read':
        from?.read();
        return;
      case 'pump':
        if (from === undefined) this.channel.say({news: 'cut', from: order.from, bytes: 0});
        else this.#pump(from, order.to);
        return;
      case 'drop': {
        const to = this.#ends.get(order.to);
        if (to !== undefined) this.#pumpOf(from)?.leave(to);
        return;
      }
      case 'stop': {
        const pump = this.#pumpOf(from);
        if (pump !== undefined) this.#stop(pump);
        return;
      }
    }
  }

  #pumpOf(from: RelayedEnd | undefined): OrderedPump | undefined {
    return [...this.#pumps].find((pump) => pump.from === from);
  }

  #pump(from: RelayedEnd, to: readonly number[]): void {
    from.takeBody();
    // Who has left already is not there any more.
    const ends = to.flatMap((number) => this.#ends.get(number) ?? []);
    for (const end of ends) end.take();
    const pump = new OrderedPump(from, ends, {
      duct: this.#duct,
      isOver: (news) => {
        this.#stop(pump);
        this.channel.say(news);
      },
      tell: (news) => this.channel.say(news),
      refuse: () => this.channel.end(),
    });
    this.#pumps.add(pump);
    this.#telling ??= setInterval(() => {
      for (const each of this.#pumps) this.#tellOf(each);
    }, newsMs);
    pump.startIfReady();
  }

  #stop(pump: OrderedPump): void {
    pump.stop();
    this.#pumps.delete(pump);
    if (this.#pumps.size > 0 || this.#telling === null) return;
    clearInterval(this.#telling);
    this.#telling = null;
  }

  #tellOf(pump: OrderedPump): void {
    const news = this.channel.pendingBytes < maxUnreadBytes ? pump.news() : null;
    if (news !== null) this.channel.say(news);
  }
}

/** One relayed exchange. */
class RelayedEnd implements RelayWatch {
  readonly number: number;
  readonly body: ByteSource;
  /** Of the body; null where its head announces none. */
  readonly lengthBytes: number | null;
  readonly #forget: (end: RelayedEnd) => void;
  /** How its body is read as any other; null once that is decided. */
  #begin: (() => void) | null = null;
  answer: RelayedAnswer | null = null;
  /** Called with its answer, or without one. */
  onAnswered: () => void = () => {};
  #isTaken = false;
  #hasAll = false;
  isOver = false;

  constructor(
    number: number,
    {body, lengthBytes}: {body: ByteSource; lengthBytes: number | null},
    forget: (end: RelayedEnd) => void,
  ) {
    this.number = number;
    this.body = body;
    this.lengthBytes = lengthBytes;
    this.#forget = forget;
  }

  connected(begin: () => void): void {
    this.#begin = begin;
  }

  answered(answer: RelayedAnswer): void {
    if (this.isOver) return;
    this.answer = answer;
    this.onAnswered();
  }

  /**
   * What a pump brought is what was announced or it is not: the runtime's word for it would let the rest of an answer be
   * taken from the next one.
   */
  isWhole(isComplete: boolean): boolean {
    return this.#isTaken && this.answer?.lengthBytes != null ? this.#hasAll : isComplete;
  }

  over(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#begin = null;
    this.#forget(this);
  }

  read(): void {
    const begin = this.#begin;
    this.#begin = null;
    begin?.();
  }

  /** Throws where it is not ours to take. */
  takeBody(): void {
    if (this.#begin === null) throw new Error('this body cannot be pumped');
    this.#begin = null;
  }

  /** Throws where a pump has it already. */
  take(): void {
    if (this.#isTaken) throw new Error('this receiver has a sender');
    this.#isTaken = true;
  }

  gotAll(): void {
    this.#hasAll = true;
  }
}

interface PumpEnvironment {
  readonly duct: () => Duct | null;
  readonly tell: (news: PumpNews) => void;
  /** Tells that, and takes the pump for stopped. */
  readonly isOver: (news: PumpNews) => void;
  readonly refuse: () => void;
}

/** From one relayed exchange to others. */
class OrderedPump {
  readonly from: RelayedEnd;
  readonly #to: Set<RelayedEnd>;
  readonly #environment: PumpEnvironment;
  #pump: Pump | null = null;
  #isStopped = false;
  #toldMovements = 0;
  #wasBehind = false;

  constructor(from: RelayedEnd, to: readonly RelayedEnd[], environment: PumpEnvironment) {
    this.from = from;
    this.#to = new Set(to);
    this.#environment = environment;
    for (const end of to) end.onAnswered = () => this.startIfReady();
  }

  get bytes(): number {
    return this.#pump?.bytes ?? 0;
  }

  has(end: RelayedEnd): boolean {
    return this.#to.has(end);
  }

  /** Once all are answered. */
  startIfReady(): void {
    const answers = [...this.#to].flatMap(({answer}) => answer ?? []);
    if (this.#pump !== null || this.#isStopped || this.#to.size === 0 || answers.length < this.#to.size)
      return;
    if (answers.some((answer) => !this.#fits(answer))) {
      this.#environment.refuse();
      return;
    }
    const pump = createPump(this.from.body, this.#events(), this.#environment.duct);
    this.#pump = pump;
    for (const {sink, downward} of answers) {
      // What the runtime still sends goes nowhere.
      downward.remove(sink);
      pump.add(sink);
    }
    pump.start();
  }

  /** An answer of a length that was announced holds no byte more or less. */
  #fits({lengthBytes, downward}: RelayedAnswer): boolean {
    return lengthBytes === null || (lengthBytes === this.from.lengthBytes && downward.bytes === 0);
  }

  #events() {
    const {number: from} = this.from;
    const {tell, isOver} = this.#environment;
    return {
      onBytes() {},
      onUploaded: () => tell({news: 'uploaded', from, bytes: this.bytes}),
      onDelivered: () => {
        for (const end of this.#to) end.gotAll();
        isOver({news: 'delivered', from, bytes: this.bytes});
      },
      onCut: () => isOver({news: 'cut', from, bytes: this.bytes}),
    };
  }

  leave(end: RelayedEnd): void {
    if (!this.#to.delete(end)) return;
    // To nobody it would read everything.
    if (this.#to.size === 0) this.#pump?.stop();
    else if (end.answer !== null) this.#pump?.remove(end.answer.sink);
    this.startIfReady();
  }

  stop(): void {
    this.#isStopped = true;
    this.#pump?.stop();
  }

  /** Null where nothing has changed since the last. */
  news(): PumpNews | null {
    const pump = this.#pump;
    if (pump === null) return null;
    const behind = [...this.#to].flatMap(({number, answer}): [number, number][] =>
      answer !== null && pump.isBehind(answer.sink) ? [[number, answer.sink.pendingBytes]] : [],
    );
    const {bytes, movements} = pump;
    if (movements === this.#toldMovements && behind.length === 0 && !this.#wasBehind) return null;
    this.#toldMovements = movements;
    this.#wasBehind = behind.length > 0;
    return {news: 'moving', from: this.from.number, bytes, movements, behind};
  }
}
