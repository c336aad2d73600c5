import type {ByteSink, ByteSource, Frame, SinkShortcut} from './byte-flow.ts';
import {type ByteSocket, type ByteSocketEvents, connectBytes} from './byte-socket.ts';
import {fieldLine, lastChunk, shortcutTo} from './http-exchange.ts';
import {MessageBody} from './message-body.ts';
import type {BodyFraming} from './request-head.ts';
import {type AnswerHead, isInterim, parseAnswerHead} from './response-head.ts';

/** One request, on a connection of its own. */
export interface Question {
  readonly socketPath: string;
  readonly method: string;
  readonly target: string;
  /** Names and values in turn, without those that delimit the body or speak of the connection. */
  readonly fields: readonly string[];
  readonly framing: BodyFraming;
  /** The protocol that is asked for where an answer may switch to one; websockets otherwise. */
  readonly protocol?: string;
}

export interface AnswerEvents {
  /** The head is sent; the body goes here. */
  connected(body: ByteSink): void;
  answered(head: AnswerHead, body: ByteSource): void;
  /**
   * With it another protocol is asked for. Instead of `answered`: the connection speaks it from here on, with what has
   * come behind the head.
   */
  readonly switched?: (head: AnswerHead, early: Uint8Array, socket: ByteSocket) => ByteSocketEvents;
  /** Instead of `answered`: nobody listens there, or what came is no answer. */
  failed(error: Error): void;
}

/** Gives the question up; nothing is told any more but that a body is cut. */
export type GiveUp = () => void;

/** What an answer may have before its body, the interim ones together. */
const maxHeadBytes = 64 * 1024;
const switchingProtocols = 101;

/** Asks over a unix socket. Bodies go both ways at the same time, each as fast as its reader takes it. */
export function ask(question: Question, events: AnswerEvents): GiveUp {
  let connection: AskingConnection | null = null;
  let isGivenUp = false;
  connectBytes(question.socketPath, (socket) => {
    connection = new AskingConnection(socket, question, events);
    return connection;
  }).then(
    () => (isGivenUp ? connection?.giveUp() : connection?.begin()),
    (error: unknown) => {
      if (!isGivenUp) events.failed(error instanceof Error ? error : new Error(String(error)));
    },
  );
  return () => {
    isGivenUp = true;
    connection?.giveUp();
  };
}

const endOfHead = Buffer.from('\r\n\r\n', 'latin1');

class AskingConnection implements ByteSocketEvents {
  readonly #socket: ByteSocket;
  readonly #question: Question;
  readonly #events: AnswerEvents;
  readonly #sink: QuestionSink;
  #received: Buffer = Buffer.alloc(0);
  #headBytes = 0;
  #body: MessageBody | null = null;
  #taken: ByteSocketEvents | null = null;
  #isOver = false;

  constructor(socket: ByteSocket, question: Question, events: AnswerEvents) {
    this.#socket = socket;
    this.#question = question;
    this.#events = events;
    this.#sink = new QuestionSink(socket, question.framing);
  }

  begin(): void {
    if (this.#isOver) return;
    const isSwitching = this.#events.switched !== undefined;
    this.#socket.write(Buffer.from(headOf(this.#question, isSwitching), 'latin1'));
    this.#events.connected(this.#sink);
  }

  giveUp(): void {
    this.#isOver = true;
    this.#socket.close();
  }

  data(bytes: Uint8Array): void {
    if (this.#taken !== null) this.#taken.data(bytes);
    else if (this.#isOver) return;
    else if (this.#body === null) this.#readHeads(bytes);
    else this.#feed(this.#body, bytes);
  }

  drained(): void {
    if (this.#taken !== null) this.#taken.drained();
    else this.#sink.drained();
  }

  ended(): void {
    if (this.#taken !== null) {
      this.#taken.ended();
      return;
    }
    if (this.#body === null) this.#fail('The connection ended before there was an answer.');
    else this.#body.close();
    this.#socket.close();
  }

  closed(): void {
    this.#taken?.closed();
    if (this.#taken !== null) return;
    if (this.#body === null) this.#fail('The connection broke before there was an answer.');
    else this.#body.cut();
  }

  #fail(problem: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.close();
    this.#events.failed(new Error(problem));
  }

  #feed(body: MessageBody, bytes: Uint8Array): void {
    if (!body.feed(bytes)) this.#socket.close();
  }

  #readHeads(bytes: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    while (this.#body === null && this.#taken === null && !this.#isOver) {
      const end = this.#received.indexOf(endOfHead);
      if (this.#headBytes + (end === -1 ? this.#received.length : end) > maxHeadBytes) {
        this.#fail(`The head of the answer is larger than ${maxHeadBytes} bytes.`);
        return;
      }
      if (end === -1) return;
      const head = parseAnswerHead(this.#received.toString('latin1', 0, end), this.#question.method);
      this.#headBytes += end;
      this.#received = this.#received.subarray(end + endOfHead.length);
      if (head === null) this.#fail('What came is no answer of HTTP/1.1 as RFC 9112 writes it.');
      else if (head.status === switchingProtocols) this.#switch(head);
      else if (!isInterim(head.status)) this.#answer(head);
    }
  }

  #answer(head: AnswerHead): void {
    const body = new MessageBody(this.#socket, head.framing);
    this.#body = body;
    const rest = this.#received;
    // Also where nothing is left, since a body of length 0 is complete already.
    this.#feed(body, rest);
    this.#events.answered(head, body);
  }

  #switch(head: AnswerHead): void {
    const {switched} = this.#events;
    if (switched === undefined) this.#fail('Nobody asked for another protocol.');
    else this.#taken = switched(head, this.#received, this.#socket);
  }
}

function headOf(
  {method, target, fields, framing, protocol = 'websocket'}: Question,
  isSwitching: boolean,
): string {
  let text = `${method} ${target} HTTP/1.1\r\n`;
  for (let at = 0; at + 1 < fields.length; at += 2) text += fieldLine(fields[at] ?? '', fields[at + 1] ?? '');
  if (framing.kind === 'length') text += `Content-Length: ${framing.bytes}\r\n`;
  if (framing.kind === 'chunked') text += 'Transfer-Encoding: chunked\r\n';
  return `${text}${isSwitching ? `Connection: Upgrade\r\nUpgrade: ${protocol}` : 'Connection: close'}\r\n\r\n`;
}

class QuestionSink implements ByteSink {
  readonly #socket: ByteSocket;
  readonly #isChunked: boolean;
  #onDrained: () => void = () => {};

  constructor(socket: ByteSocket, {kind}: BodyFraming) {
    this.#socket = socket;
    this.#isChunked = kind === 'chunked';
  }

  get pendingBytes(): number {
    return this.#socket.pendingBytes;
  }

  write(frame: Frame): boolean {
    return this.#socket.write(this.#isChunked ? frame.chunk : frame.payload);
  }

  end(last?: Frame): void {
    if (last !== undefined) this.write(last);
    if (this.#isChunked) this.#socket.write(lastChunk);
  }

  cut(): void {
    this.#socket.close();
  }

  onDrained(listener: () => void): void {
    this.#onDrained = listener;
  }

  drained(): void {
    this.#onDrained();
  }

  shortcut(): SinkShortcut | null {
    return this.#isChunked ? null : shortcutTo(this.#socket);
  }
}
