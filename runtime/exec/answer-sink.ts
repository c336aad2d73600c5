import {executionHeader} from './call.ts';
import type {AnswerSink} from './invoke.ts';

/** What an answer turned out to be. */
export interface SeenAnswer {
  readonly status: number | null;
  readonly bytes: number;
  /** At most as many bytes as were asked for. */
  readonly body: string;
}

/** Passes everything on, adds headers to the head, and keeps the beginning of the body. */
export class WatchedSink implements AnswerSink {
  readonly #sink: AnswerSink;
  readonly #added: readonly string[];
  readonly #keptBytes: number;
  readonly #kept: Uint8Array[] = [];
  #keptLength = 0;
  #status: number | null = null;
  #bytes = 0;

  constructor(sink: AnswerSink, {added, keptBytes}: {added: readonly string[]; keptBytes: number}) {
    this.#sink = sink;
    this.#added = added;
    this.#keptBytes = keptBytes;
  }

  head(status: number, headers: readonly string[]): void {
    this.#status = status;
    const passed: string[] = [];
    for (let at = 0; at + 1 < headers.length; at += 2)
      if (headers[at] !== executionHeader) passed.push(headers[at] ?? '', headers[at + 1] ?? '');
    const said = passed.length;
    for (let at = 0; at + 1 < this.#added.length; at += 2) {
      // What a script says itself stands, but for the id.
      const name = this.#added[at] ?? '';
      if (!hasHeader(passed, said, name)) passed.push(name, this.#added[at + 1] ?? '');
    }
    this.#sink.head(status, passed);
  }

  write(chunk: Uint8Array): boolean {
    this.#note(chunk);
    return this.#sink.write(chunk);
  }

  end(last?: Uint8Array): void {
    if (last !== undefined) this.#note(last);
    this.#sink.end(last);
  }

  destroy(): void {
    this.#sink.destroy();
  }

  onDrain(listener: () => void): void {
    this.#sink.onDrain(listener);
  }

  onLeave(listener: () => void): void {
    this.#sink.onLeave(listener);
  }

  seen(): SeenAnswer {
    const body = this.#keptLength === 0 ? '' : Buffer.concat(this.#kept).toString('utf8');
    return {status: this.#status, bytes: this.#bytes, body};
  }

  #note(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#keptLength >= this.#keptBytes) return;
    const part = chunk.slice(0, this.#keptBytes - this.#keptLength);
    this.#kept.push(part);
    this.#keptLength += part.length;
  }
}

function hasHeader(headers: readonly string[], end: number, name: string): boolean {
  for (let at = 0; at < end; at += 2) if (headers[at] === name) return true;
  return false;
}

/** An answer of ours, whole. */
export function sendWhole(sink: AnswerSink, status: number, headers: readonly string[], text: string): void {
  const body = Buffer.from(text);
  sink.head(status, [...headers, 'content-length', String(body.length)]);
  sink.end(body);
}
