import {executionHeader} from './call.ts';
import type {AnswerSink} from './invoke.ts';

/** What an answer turned out to be. */
export interface SeenAnswer {
  readonly status: number | null;
  readonly bytes: number;
  /** At most as many bytes as were asked for. */
  readonly body: string;
}

export interface WatchedSink extends AnswerSink {
  seen(): SeenAnswer;
}

/** Passes everything on, adds headers to the head, and keeps the beginning of the body. */
export function watchSink(
  sink: AnswerSink,
  {added, keptBytes}: {added: readonly string[]; keptBytes: number},
): WatchedSink {
  let status: number | null = null;
  let bytes = 0;
  const kept: Uint8Array[] = [];
  let keptLength = 0;
  function note(chunk: Uint8Array): void {
    bytes += chunk.length;
    if (keptLength >= keptBytes) return;
    const part = chunk.slice(0, keptBytes - keptLength);
    kept.push(part);
    keptLength += part.length;
  }

  return {
    head(code, headers) {
      status = code;
      const passed: string[] = [];
      for (let at = 0; at + 1 < headers.length; at += 2)
        if (headers[at] !== executionHeader) passed.push(headers[at] ?? '', headers[at + 1] ?? '');
      for (let at = 0; at + 1 < added.length; at += 2) {
        // What a script says itself stands, but for the id.
        const name = added[at] ?? '';
        const isSet = passed.some((known, index) => index % 2 === 0 && known === name);
        if (!isSet) passed.push(name, added[at + 1] ?? '');
      }
      sink.head(code, passed);
    },
    write(chunk) {
      note(chunk);
      return sink.write(chunk);
    },
    end(last) {
      if (last !== undefined) note(last);
      sink.end(last);
    },
    destroy: () => sink.destroy(),
    onDrain: (listener) => sink.onDrain(listener),
    onLeave: (listener) => sink.onLeave(listener),
    seen: () => ({status, bytes, body: Buffer.concat(kept).toString('utf8')}),
  };
}

/** An answer of ours, whole. */
export function sendWhole(sink: AnswerSink, status: number, headers: readonly string[], text: string): void {
  const body = Buffer.from(text);
  sink.head(status, [...headers, 'content-length', String(body.length)]);
  sink.end(body);
}
