/** One answer of `git cat-file`. */
export type ObjectReply =
  | {readonly found: false}
  | {
      readonly found: true;
      readonly id: string;
      readonly type: string;
      readonly sizeBytes: number;
      /** Null when only sizes were asked for, or the object is larger than the request allowed. */
      readonly bytes: Uint8Array | null;
    };

/** `contents` is `--batch`; `sizes` is `--batch-check`, which answers the same without the object. */
export type BatchMode = 'contents' | 'sizes';

export interface BatchHandlers {
  readonly mode: BatchMode;
  /** The limit of the request that the next answer belongs to; null when none is open. */
  maxBytes(): number | null;
  onReply(reply: ObjectReply): void;
  /** The answered object was too large and the rest of it is not worth reading: end the process. */
  onAbandon(): void;
}

const longestHeaderBytes = 8 * 1024;
/** A larger object that nobody wants is not read to its end. */
const longestSkipBytes = 1024 * 1024;
const header = /^([0-9a-f]{40}|[0-9a-f]{64}) ([a-z]+) ([0-9]+)$/;

interface Body {
  readonly id: string;
  readonly type: string;
  readonly sizeBytes: number;
  readonly bytes: Uint8Array | null;
  received: number;
}

/**
 * Parser of the output of `git cat-file --batch`, fed chunk by chunk: `<id> SP <type> SP <size> LF <bytes> LF`,
 * or `<request> SP missing LF`. Returns the feed, which throws an Error on anything else.
 */
export function createBatchParser(handlers: BatchHandlers): (chunk: Uint8Array) => void {
  let headerText = '';
  let body: Body | null = null;
  let abandoned = false;

  function onHeader(line: string): void {
    const maxBytes = handlers.maxBytes();
    if (maxBytes === null) throw new Error('git cat-file answered without being asked');
    if (line.endsWith(' missing') || line.endsWith(' ambiguous')) {
      handlers.onReply({found: false});
      return;
    }
    const match = header.exec(line);
    if (match === null) throw new Error(`git cat-file answered ${JSON.stringify(line.slice(0, 200))}`);
    const [, id = '', type = '', size = ''] = match;
    const sizeBytes = Number(size);
    if (handlers.mode === 'sizes') {
      handlers.onReply({found: true, id, type, sizeBytes, bytes: null});
      return;
    }
    if (sizeBytes > maxBytes && sizeBytes > longestSkipBytes) {
      abandoned = true;
      handlers.onReply({found: true, id, type, sizeBytes, bytes: null});
      handlers.onAbandon();
      return;
    }
    body = {id, type, sizeBytes, bytes: sizeBytes > maxBytes ? null : new Uint8Array(sizeBytes), received: 0};
  }

  /** Returns the number of bytes taken. The line feed after the object counts as its last byte. */
  function onBody(into: Body, chunk: Uint8Array): number {
    const wanted = Math.max(0, into.sizeBytes - into.received);
    const content = chunk.subarray(0, wanted);
    into.bytes?.set(content, into.received);
    into.received += content.byteLength;
    if (content.byteLength === chunk.byteLength) return content.byteLength;
    body = null;
    const {id, type, sizeBytes, bytes} = into;
    handlers.onReply({found: true, id, type, sizeBytes, bytes});
    return content.byteLength + 1;
  }

  return (chunk) => {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    while (rest.byteLength > 0 && !abandoned) {
      if (body !== null) {
        rest = rest.subarray(onBody(body, rest));
        continue;
      }
      const end = rest.indexOf(0x0a);
      headerText += rest.toString('latin1', 0, end === -1 ? rest.byteLength : end);
      if (headerText.length > longestHeaderBytes)
        throw new Error('git cat-file answered with an endless header');
      if (end === -1) return;
      rest = rest.subarray(end + 1);
      const line = headerText;
      headerText = '';
      onHeader(line);
    }
  };
}
