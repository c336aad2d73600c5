import {type ByteSink, Frame} from '../platform/byte-flow.ts';
import type {Exchange} from '../platform/http-exchange.ts';
import type {AnswerSink} from './invoke.ts';

/** The answer of a call goes where the call came from. */
export class ExchangeAnswer implements AnswerSink {
  readonly #exchange: Exchange;
  #sink: ByteSink | null = null;
  #onDrain: () => void = () => {};

  readonly #keepsConnection: boolean;

  /** `keepsConnection`: false where the client may have sent on in another protocol already. */
  constructor(exchange: Exchange, {keepsConnection}: {keepsConnection: boolean}) {
    this.#exchange = exchange;
    this.#keepsConnection = keepsConnection;
  }

  head(status: number, headers: readonly string[]): void {
    let lengthBytes: number | null = null;
    const fields: string[] = [];
    for (let at = 0; at + 1 < headers.length; at += 2) {
      const [name = '', value = ''] = [headers[at], headers[at + 1]];
      if (lengthBytes === null && name.toLowerCase() === 'content-length') lengthBytes = Number(value);
      else fields.push(name, value);
    }
    const keepsConnection = this.#keepsConnection;
    this.#sink = this.#exchange.respond({status, fields, lengthBytes, keepsConnection});
  }

  write(chunk: Uint8Array): boolean {
    if (this.#sink === null || this.#sink.write(new Frame(chunk))) return true;
    this.#sink.onDrained(this.#onDrain);
    return false;
  }

  end(last?: Uint8Array): void {
    if (last === undefined || last.length === 0) this.#sink?.end();
    else this.#sink?.end(new Frame(last));
  }

  destroy(): void {
    this.#sink?.cut();
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  onLeave(listener: () => void): void {
    this.#exchange.onLeft(listener);
  }
}
