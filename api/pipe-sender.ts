import type {Sender} from '../runtime/pipe/parties.ts';
import type {LogEntry} from '../runtime/pipe/transfer-log.ts';
import type {ByteSink, Frame} from '../runtime/platform/byte-flow.ts';
import type {Exchange} from '../runtime/platform/http-exchange.ts';
import type {PipeAnswers} from './pipe-answers.ts';
import {senderNotes} from './pipe-headers.ts';

export interface LogPrinters {
  readonly text: (entry: LogEntry) => string;
  readonly json: (entry: LogEntry) => string;
}

/** A request that brings bytes, as the pipe sees it. Its answer is the log, as text or as JSON lines. */
export function createSender({
  exchange,
  answers,
  frameOf,
  printLog,
  boundary,
}: {
  exchange: Exchange;
  answers: PipeAnswers;
  frameOf: (bytes: Uint8Array) => Frame;
  printLog: LogPrinters;
  /** Of a form; null where the whole body is sent. */
  boundary: string | null;
}): Sender {
  const {fields} = exchange.head;
  const asJson = (fields.get('accept') ?? '').includes('application/x-ndjson');
  const print = asJson ? printLog.json : printLog.text;
  let log: SenderLog | null = null;
  return {
    source: exchange.body,
    boundary,
    metadata: {
      contentType: fields.get('content-type') ?? null,
      contentDisposition: fields.get('content-disposition') ?? null,
      lengthBytes: boundary === null ? lengthOf(exchange.head) : null,
      notes: senderNotes(fields),
    },
    accept(transferId) {
      const open = () =>
        answers.stream(
          exchange,
          [
            ['Content-Type', asJson ? 'application/x-ndjson' : 'text/plain; charset=utf-8'],
            ['X-Content-Type-Options', 'nosniff'],
            ['X-Hoody-Pipe-Transfer-Id', transferId],
            ['Access-Control-Expose-Headers', 'X-Hoody-Pipe-Transfer-Id'],
            ['X-Accel-Buffering', 'no'],
            ['Cache-Control', 'no-store'],
          ],
          null,
        );
      log = createSenderLog(open, frameOf);
    },
    say: (entry) => log?.write(print(entry)),
    close: () => log?.end(),
  };
}

/** Null where the body ends when it ends. */
function lengthOf({framing}: Exchange['head']): number | null {
  if (framing.kind === 'chunked') return null;
  return framing.kind === 'length' ? framing.bytes : 0;
}

/** The lines of a sender's answer. */
interface SenderLog {
  write(line: string): void;
  end(): void;
}

/** Who does not read its log loses lines of it, not our memory. */
const maxUnreadBytes = 256 * 1024;

/**
 * Lines of one moment go out together, the first ones with the head, after what they tell of: bytes for receivers do
 * not wait for them. `open` begins the answer.
 */
function createSenderLog(open: () => ByteSink, frameOf: (bytes: Uint8Array) => Frame): SenderLog {
  let text = '';
  let sink: ByteSink | null = null;
  let isDue = false;

  function takeLines(to: ByteSink): Frame | null {
    const lines = text;
    text = '';
    return lines !== '' && to.pendingBytes < maxUnreadBytes ? frameOf(Buffer.from(lines)) : null;
  }

  function flush(): void {
    isDue = false;
    sink ??= open();
    const lines = takeLines(sink);
    if (lines !== null) sink.write(lines);
  }

  function flushSoon(): void {
    if (!isDue) queueMicrotask(flush);
    isDue = true;
  }

  flushSoon();
  return {
    write(line) {
      text += line;
      flushSoon();
    },
    end() {
      sink ??= open();
      const lines = takeLines(sink);
      if (lines === null) sink.end();
      else sink.end(lines);
    },
  };
}
