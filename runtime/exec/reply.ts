import {bodylessStatuses, successStatus} from '../../schemas/errors.ts';
import type {FrameSocket} from '../platform/frame-socket.ts';
import {
  type AnswerHead,
  frameKinds,
  maxDataBytes,
  maxHeaders,
  maxHeadLength,
  windowBytes,
} from './call-frames.ts';

type Bytes = string | Uint8Array;

/**
 * The answer to one call: status and headers, then the body, in pieces or whole. After its end, and when the caller has
 * left, everything that is written is dropped.
 */
export class Reply {
  status: number = successStatus.ok;
  readonly #headers = new Map<string, string | readonly string[]>();
  readonly #socket: FrameSocket;
  readonly #channel: number;
  readonly #isHead: boolean;
  readonly #onOver: () => void;
  #listeners: (() => void)[] = [];
  #drains: (() => void)[] = [];
  #failed = false;
  #state: 'waiting' | 'streaming' | 'ended' | 'broken' | 'left' = 'waiting';
  /** What the runtime has no room for yet. */
  #kept: Uint8Array[] = [];
  #roomBytes = windowBytes;
  #isEnding = false;

  constructor(options: {
    readonly socket: FrameSocket;
    readonly channel: number;
    readonly method: string;
    readonly onOver: () => void;
  }) {
    this.#socket = options.socket;
    this.#channel = options.channel;
    this.#isHead = options.method === 'HEAD';
    this.#onOver = options.onOver;
  }

  get isHeadSent(): boolean {
    return this.#state !== 'waiting';
  }

  /** The script has said everything, or nobody listens any more. */
  get isEnded(): boolean {
    return this.#isEnding || this.isOver;
  }

  get isOver(): boolean {
    return this.#state === 'ended' || this.#state === 'broken' || this.#state === 'left';
  }

  /** The whole answer is on its way. */
  get isComplete(): boolean {
    return this.#state === 'ended';
  }

  get headerNames(): string[] {
    return [...this.#headers.keys()];
  }

  header(name: string): string | readonly string[] | undefined {
    return this.#headers.get(name.toLowerCase());
  }

  /** Throws TypeError for what HTTP does not allow. */
  setHeader(name: string, value: string | readonly string[]): void {
    if (!headerName.test(name)) throw new TypeError(`"${name}" is not a header name.`);
    for (const each of typeof value === 'string' ? [value] : value)
      if (!headerValue.test(each))
        throw new TypeError(`The value of the header ${name} has a forbidden character.`);
    this.#headers.set(name.toLowerCase(), value);
  }

  removeHeader(name: string): void {
    this.#headers.delete(name.toLowerCase());
  }

  /** The answer is the host's own: the script failed. */
  markFailed(): void {
    this.#failed = true;
  }

  /** Head and body at once; the length is said. */
  sendWhole(body: Bytes): void {
    if (this.#state !== 'waiting') return;
    if (this.#isHead && body.length > 0 && !this.#headers.has('content-length'))
      this.setHeader('content-length', String(Buffer.byteLength(body)));
    const sent = this.#isBodyless() ? '' : body;
    if (!this.#isHead) this.removeHeader('content-length');
    if (sent.length > maxDataBytes / 2) {
      const bytes = typeof sent === 'string' ? Buffer.from(sent) : sent;
      this.setHeader('content-length', String(bytes.length));
      this.write(bytes);
      this.end();
      return;
    }
    const head = `${this.#encodeHead()}\n`;
    if (typeof sent === 'string') this.#send(frameKinds.answer, head + sent);
    else this.#send(frameKinds.answer, head, sent);
    this.#finish('ended');
  }

  /** The body follows in pieces. */
  sendHead(): void {
    if (this.#state !== 'waiting') return;
    this.#send(frameKinds.head, this.#encodeHead());
    this.#state = 'streaming';
  }

  /** False when the caller is behind: `onDrain` tells when it is not any more. */
  write(chunk: Bytes): boolean {
    this.sendHead();
    if (this.isEnded || this.#isBodyless()) return true;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (bytes.length > 0) this.#kept.push(bytes);
    this.#sendKept();
    return this.#kept.length === 0 && this.#roomBytes > 0;
  }

  end(): void {
    if (this.isEnded) return;
    if (this.#state === 'waiting') {
      this.sendWhole('');
      return;
    }
    this.#isEnding = true;
    this.#sendKept();
  }

  /** Breaks the answer off, so that it does not look complete. */
  breakOff(): void {
    if (this.isOver) return;
    this.#send(frameKinds.abort, '');
    this.#finish('broken');
  }

  /** The caller has gone. */
  leave(): void {
    if (!this.isOver) this.#finish('left');
  }

  /** The caller has taken so many bytes. */
  acknowledge(bytes: number): void {
    this.#roomBytes += bytes;
    this.#sendKept();
    if (this.#kept.length > 0 || this.isOver) return;
    for (const listener of this.#drains.splice(0)) listener();
  }

  /** Called once, when there is room again or the answer is over. */
  onDrain(listener: () => void): void {
    this.#drains.push(listener);
  }

  /** Called once, when the answer is complete, broken off, or nobody waits for it. */
  onOver(listener: () => void): void {
    if (this.isOver) listener();
    else this.#listeners.push(listener);
  }

  #sendKept(): void {
    while (this.#roomBytes > 0 && !this.isOver) {
      const [first] = this.#kept;
      if (first === undefined) break;
      const part = first.subarray(0, Math.min(maxDataBytes, this.#roomBytes));
      this.#send(frameKinds.data, part);
      this.#roomBytes -= part.length;
      if (part.length === first.length) this.#kept.shift();
      else this.#kept[0] = first.subarray(part.length);
    }
    if (!this.#isEnding || this.#kept.length > 0 || this.isOver) return;
    this.#send(frameKinds.end, '');
    this.#finish('ended');
  }

  #isBodyless(): boolean {
    return this.#isHead || bodylessStatuses.includes(this.status);
  }

  /** Throws where the status is none, or the headers are longer than any client would take. */
  #encodeHead(): string {
    if (!Number.isInteger(this.status) || this.status < firstStatus || this.status > lastStatus)
      throw new RangeError(`${this.status} is no status of an answer. Use 200 to 599.`);
    const headers: string[] = [];
    for (const [name, value] of this.#headers)
      for (const each of typeof value === 'string' ? [value] : value) headers.push(name, each);
    const head: AnswerHead = {status: this.status, headers, failed: this.#failed};
    const text = JSON.stringify(head);
    if (text.length > maxHeadLength || headers.length > 2 * maxHeaders)
      throw new RangeError('The headers of the answer are too long.');
    return text;
  }

  #send(kind: number, payload: Bytes, more?: Uint8Array): void {
    this.#socket.send(kind, this.#channel, payload, more);
  }

  #finish(state: 'ended' | 'broken' | 'left'): void {
    this.#state = state;
    this.#kept = [];
    this.#onOver();
    const waiting = this.#drains.length === 0 ? this.#listeners : [...this.#drains, ...this.#listeners];
    this.#drains = [];
    this.#listeners = [];
    for (const listener of waiting) listener();
  }
}

const firstStatus = 200;
const lastStatus = 999;
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;
