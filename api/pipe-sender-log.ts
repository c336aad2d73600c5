import type {ByteSink, Frame} from '../runtime/platform/byte-flow.ts';

/** The lines of a sender's answer. */
export interface SenderLog {
  write(line: string): void;
  end(): void;
}

/** Who does not read its log loses lines of it, not our memory. */
const maxUnreadBytes = 256 * 1024;

/** Lines of one moment go out together, after what they tell of: bytes for receivers do not wait for them. */
export function createSenderLog(sink: ByteSink, frameOf: (bytes: Uint8Array) => Frame): SenderLog {
  let text = '';

  function flush(): void {
    if (text !== '' && sink.pendingBytes < maxUnreadBytes) sink.write(frameOf(Buffer.from(text)));
    text = '';
  }

  return {
    write(line) {
      if (text === '') queueMicrotask(flush);
      text += line;
    },
    end() {
      flush();
      sink.end();
    },
  };
}
