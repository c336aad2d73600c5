import {bodylessStatuses} from '../../schemas/errors.ts';
import {connectFrames, type FrameSocket} from '../platform/frame-socket.ts';
import {
  type AnswerHead,
  type CallFrame,
  creditBytes,
  decodeAnswer,
  decodeCredit,
  decodeHead,
  encodeCredit,
  frameKinds,
  maxDataBytes,
  windowBytes,
} from './call-frames.ts';

export interface ExchangeEvents {
  head(head: AnswerHead): void;
  body(chunk: Uint8Array): void;
  /** The answer is complete; `last` is what is left of its body. */
  end(last?: Uint8Array): void;
  /** The script broke its answer off; nothing follows. */
  breakOff(): void;
  /** The host ended; nothing follows. */
  fail(): void;
  /** More of the request's body may be written. */
  drain(): void;
}

/** One call and its answer. */
export interface Exchange {
  /** A piece of the request's body; false when the host is behind. */
  write(bytes: Uint8Array): boolean;
  /** The request's body is complete. */
  end(): void;
  /** Stops and goes on with the reading of the answer. */
  pause(): void;
  resume(): void;
  /** Gives up; no event follows. */
  abort(): void;
}

/** The runtime's end of the connection with one script host. */
export interface HostLink {
  exchange(frame: CallFrame, events: ExchangeEvents): Exchange;
  close(): void;
}

/** Rejects where the host does not take the connection. */
export async function connectHost(socketPath: string): Promise<HostLink> {
  const exchanges = new Map<number, LinkedExchange>();
  const connected = Promise.withResolvers<FrameSocket>();
  let last = 0;
  let isClosed = false;
  const opening = connectFrames(socketPath, (socket) => {
    connected.resolve(socket);
    return {
      frame: (kind, channel, payload) => exchanges.get(channel)?.receive(kind, payload),
      closed() {
        isClosed = true;
        for (const exchange of exchanges.values()) exchange.fail();
      },
    };
  });
  opening.catch(connected.reject);
  const socket = await connected.promise;
  return {
    exchange(frame, events) {
      last = (last + 1) % 2 ** 32;
      const exchange = new LinkedExchange({socket, channel: last, frame, events, exchanges});
      // Later, since whoever asks has to know the exchange first.
      if (isClosed) queueMicrotask(() => exchange.fail());
      return exchange;
    },
    close: () => socket.close(),
  };
}

interface ExchangeOptions {
  readonly socket: FrameSocket;
  readonly channel: number;
  readonly frame: CallFrame;
  readonly events: ExchangeEvents;
  /** It takes itself out when it is over. */
  readonly exchanges: Map<number, LinkedExchange>;
}

class LinkedExchange implements Exchange {
  readonly #options: ExchangeOptions;
  #roomBytes = windowBytes;
  /** Taken, and not acknowledged yet. */
  #takenBytes = 0;
  #isPaused = false;
  /** Bytes of the answer that are still to come; null where nobody said. */
  #expectedBytes: number | null = null;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const {socket, channel, frame, exchanges} = options;
    exchanges.set(channel, this);
    socket.send(frameKinds.call, channel, JSON.stringify(frame));
  }

  write(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; at += maxDataBytes)
      this.#send(frameKinds.data, bytes.subarray(at, at + maxDataBytes));
    this.#roomBytes -= bytes.length;
    return this.#roomBytes > 0;
  }

  end(): void {
    this.#send(frameKinds.end, '');
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#acknowledge();
  }

  abort(): void {
    if (this.#remove()) this.#options.socket.send(frameKinds.abort, this.#options.channel, '');
  }

  fail(): void {
    if (this.#remove()) this.#options.events.fail();
  }

  /** Throws for a frame that does not belong here. */
  receive(kind: number, payload: Buffer): void {
    const {events} = this.#options;
    if (kind === frameKinds.answer) {
      const {head, body} = decodeAnswer(payload);
      this.#remove();
      if (this.#hasBody(head)) {
        head.headers.push('content-length', String(body.length));
        events.head(head);
        events.end(body);
      } else {
        events.head(head);
        events.end();
      }
    } else if (kind === frameKinds.head) {
      const head = decodeHead(payload);
      this.#expectedBytes = this.#hasBody(head) ? declaredBytes(head.headers) : null;
      events.head(head);
    } else if (kind === frameKinds.data) this.#take(payload);
    else if (kind === frameKinds.end) {
      if ((this.#expectedBytes ?? 0) > 0) this.#breakOff();
      else if (this.#remove()) events.end();
    } else if (kind === frameKinds.credit) {
      this.#roomBytes += decodeCredit(payload);
      if (this.#roomBytes > 0) events.drain();
    } else if (kind === frameKinds.abort) {
      if (this.#remove()) events.breakOff();
    } else throw new TypeError(`No frame of kind ${kind} belongs into an answer.`);
  }

  #take(payload: Buffer): void {
    if (this.#expectedBytes !== null) this.#expectedBytes -= payload.length;
    // More than was announced would be taken for the next answer of the client's connection.
    if ((this.#expectedBytes ?? 0) < 0) {
      this.#breakOff();
      return;
    }
    this.#takenBytes += payload.length;
    this.#options.events.body(payload);
    this.#acknowledge();
  }

  #acknowledge(): void {
    if (this.#isPaused || this.#takenBytes < creditBytes) return;
    this.#send(frameKinds.credit, encodeCredit(this.#takenBytes));
    this.#takenBytes = 0;
  }

  #breakOff(): void {
    this.abort();
    this.#options.events.breakOff();
  }

  #hasBody({status}: AnswerHead): boolean {
    return this.#options.frame.method !== 'HEAD' && !bodylessStatuses.includes(status);
  }

  #send(kind: number, payload: string | Uint8Array): void {
    const {socket, channel, exchanges} = this.#options;
    if (exchanges.has(channel)) socket.send(kind, channel, payload);
  }

  #remove(): boolean {
    return this.#options.exchanges.delete(this.#options.channel);
  }
}

function declaredBytes(headers: readonly string[]): number | null {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name === 'content-length');
  return at === -1 ? null : Number(headers[at + 1]);
}
