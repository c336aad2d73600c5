import type {Duct} from './byte-duct.ts';
import type {ByteSink, ByteSource} from './byte-flow.ts';
import {createPump, type Pump} from './byte-pump.ts';
import type {ByteSocket, ByteSocketEvents} from './byte-socket.ts';
import {ask, type Question} from './http-asking.ts';
import {type Exchange, fieldLine} from './http-exchange.ts';
import type {AnswerHead} from './response-head.ts';

/** An exchange on its way to a unix socket, and its answer on the way back. */
export interface Relayed extends Omit<Question, 'method' | 'framing'> {
  readonly exchange: Exchange;
  /** Names and values in turn, without those that delimit the body or speak of the connection. */
  readonly answerFields: (head: AnswerHead) => string[];
  /** Nobody answered; nothing has been sent to the client yet. */
  readonly onUnreachable: (error: Error) => void;
}

/** Who may bring the bodies of an exchange by another way. */
export interface RelayWatch {
  /** The request's body goes up once `begin` is called. Not for a request without one. */
  connected(begin: () => void): void;
  /** `downward` brings what the other side sends to `sink`. */
  answered(answer: RelayedAnswer): void;
  /** Whether the client has its whole answer; `isComplete` is what the other side says. */
  isWhole(isComplete: boolean): boolean;
  /** Last, before the other side can know; the client gets no more either. */
  over(): void;
}

export interface RelayedAnswer {
  readonly sink: ByteSink;
  /** Announced to the client; null where it is not. */
  readonly lengthBytes: number | null;
  readonly downward: Pump;
}

/**
 * Streams bodies both ways with back-pressure. An answer that breaks off, and a client that leaves, break the other
 * side off; what a client still sends behind its answer is thrown away. Bytes of known length go through `duct`, where
 * it gives one.
 */
export function relayExchange(
  relayed: Relayed,
  duct: () => Duct | null,
  watch: RelayWatch | null = null,
): void {
  const {exchange, answerFields, onUnreachable, ...question} = relayed;
  const {head, body, respond} = exchange;
  let upward: Pump | null = null;
  const giveUp = ask(
    {...question, method: head.method, framing: head.framing},
    {
      connected(sink) {
        if (head.framing.kind === 'none') return;
        const begin = () => {
          upward = pass(body, sink, {end: () => sink.end(), cut: () => giveUp()}, duct);
        };
        if (watch === null) begin();
        else watch.connected(begin);
      },
      answered(answer, source) {
        const {status, lengthBytes} = answer;
        const sink = respond({status, fields: answerFields(answer), lengthBytes, keepsConnection: true});
        const over = (isComplete: boolean) => () => {
          upward?.stop();
          const isWhole = watch?.isWhole(isComplete) ?? isComplete;
          watch?.over();
          giveUp();
          if (isWhole) sink.end();
          else sink.cut();
        };
        const downward = pass(source, sink, {end: over(true), cut: over(false)}, duct);
        watch?.answered({sink, lengthBytes, downward});
      },
      failed(error) {
        upward?.stop();
        watch?.over();
        onUnreachable(error);
      },
    },
  );
  exchange.onLeft(() => {
    watch?.over();
    giveUp();
  });
}

function pass(
  source: ByteSource,
  sink: ByteSink,
  {end, cut}: {end: () => void; cut: () => void},
  duct: () => Duct | null,
): Pump {
  const pump = createPump(source, {onBytes() {}, onUploaded() {}, onDelivered: end, onCut: cut}, duct);
  pump.add(sink);
  pump.start();
  return pump;
}

/**
 * Joins a client with the websocket that the other side opens for it. Before that nothing but the request reaches
 * the other side: what a client sends at once could be read as another request there. An answer without a
 * websocket is passed on, and the connection ends with it.
 */
export function relayWebsocket({exchange, answerFields, onUnreachable, ...question}: Relayed): void {
  const giveUp = ask(
    {...question, method: 'GET', framing: {kind: 'none'}},
    {
      connected() {},
      answered(head, source) {
        const {status, lengthBytes} = head;
        const sink = exchange.respond({status, fields: answerFields(head), lengthBytes});
        pass(source, sink, {end: () => sink.end(), cut: () => sink.cut()}, () => null);
      },
      switched: (head, early, other) => join(exchange, {fields: answerFields(head), early, other}),
      failed: onUnreachable,
    },
  );
  exchange.onLeft(giveUp);
}

function join(
  exchange: Exchange,
  {fields, early, other}: {fields: string[]; early: Uint8Array; other: ByteSocket},
): ByteSocketEvents {
  let text = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
  for (let at = 0; at + 1 < fields.length; at += 2) text += fieldLine(fields[at] ?? '', fields[at + 1] ?? '');
  let ofOther: ByteSocketEvents = nobody;
  exchange.takeOver((client) => {
    client.write(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), early]));
    ofOther = passOn(other, client);
    return passOn(client, other);
  });
  return ofOther;
}

/** Until the client is taken over. */
const nobody: ByteSocketEvents = {data() {}, drained() {}, ended() {}, closed() {}};

/** What comes at `from` goes to `to`, read only as fast as that takes it. A side that ends ends the other one. */
function passOn(from: ByteSocket, to: ByteSocket): ByteSocketEvents {
  return {
    data(bytes) {
      if (!to.write(bytes)) from.pause();
    },
    // What `from` could not take at once is with it now.
    drained: () => to.resume(),
    ended: () => to.finish(),
    closed: () => (to.pendingBytes === 0 ? to.close() : to.finish()),
  };
}
