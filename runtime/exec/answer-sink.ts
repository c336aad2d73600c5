import {executionHeader} from './call.ts';
import type {AnswerSink} from './invoke.ts';

/** What an answer turned out to be. */
export interface SeenAnswer {
  readonly status: number | null;
  readonly bytes: number;
  /** At most as many bytes as were asked for. */
  readonly body: string;
  /** Header that the host marks its own answers with. */
  readonly failure: string | null;
}

export interface WatchedSink extends AnswerSink {
  seen(): SeenAnswer;
}

/** Passes everything on, adds headers to the head, takes out those named, and keeps the beginning of the body. */
export function watchSink(
  sink: AnswerSink,
  {added, failureHeader, keptBytes}: {added: readonly string[]; failureHeader: string; keptBytes: number},
): WatchedSink {
  let status: number | null = null;
  let bytes = 0;
  let failure: string | null = null;
  const kept: Uint8Array[] = [];
  let keptLength = 0;
  return {
    head(code, headers) {
      status = code;
      const passed: string[] = [];
      for (let at = 0; at + 1 < headers.length; at += 2) {
        const name = headers[at] ?? '';
        const value = headers[at + 1] ?? '';
        if (name === failureHeader) failure = value;
        else if (name === executionHeader) continue;
        else passed.push(name, value);
      }
      for (let at = 0; at + 1 < added.length; at += 2) {
        // What a script says itself stands, but for the id.
        const name = added[at] ?? '';
        const isSet = passed.some((known, index) => index % 2 === 0 && known === name);
        if (!isSet) passed.push(name, added[at + 1] ?? '');
      }
      sink.head(code, passed);
    },
    write(chunk) {
      bytes += chunk.length;
      if (keptLength < keptBytes) {
        const part = chunk.slice(0, keptBytes - keptLength);
        kept.push(part);
        keptLength += part.length;
      }
      return sink.write(chunk);
    },
    end: () => sink.end(),
    destroy: () => sink.destroy(),
    onDrain: (listener) => sink.onDrain(listener),
    onLeave: (listener) => sink.onLeave(listener),
    seen: () => ({status, bytes, body: Buffer.concat(kept).toString('utf8'), failure}),
  };
}

/** An answer of ours, whole. */
export function sendWhole(sink: AnswerSink, status: number, headers: readonly string[], text: string): void {
  const body = Buffer.from(text);
  sink.head(status, [...headers, 'content-length', String(body.length)]);
  if (body.length > 0) sink.write(body);
  sink.end();
}
