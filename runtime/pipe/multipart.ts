import type {ByteSource, SourceReader} from '../platform/byte-flow.ts';

/** What stands above a part's content. */
export interface PartHead {
  readonly contentType: string | null;
  readonly contentDisposition: string | null;
}

export interface PartListener {
  /** Found: `source` brings its content. */
  found(head: PartHead, source: ByteSource): void;
  /** The body has nothing to send, breaks off, or is no multipart. */
  missing(): void;
}

const maxPartHeadBytes = 16 * 1024;
const maxTextBytes = 1024 * 1024;
const textType = 'text/plain; charset=utf-8';

/**
 * Looks for what a form sends: its first file, or where it has none the first field `input_text`. Reads the body up to
 * there; what comes after it is read and dropped.
 */
export function openPart(body: ByteSource, boundary: string, listener: PartListener): void {
  const parser = new PartFinder(body, boundary, listener);
  body.start({
    chunk: (bytes) => parser.feed(bytes),
    end: () => parser.over(),
    cut: () => parser.over(),
  });
}

type State = 'preamble' | 'after-delimiter' | 'head' | 'field' | 'dropped' | 'file' | 'through';

class PartFinder implements ByteSource {
  readonly #body: ByteSource;
  readonly #delimiter: Buffer;
  readonly #listener: PartListener;
  #state: State = 'preamble';
  /** A first delimiter needs no line before it. */
  #buffer: Buffer = Buffer.from('\r\n', 'latin1');
  #text: Buffer[] | null = null;
  #textBytes = 0;
  #reader: SourceReader | null = null;

  constructor(body: ByteSource, boundary: string, listener: PartListener) {
    this.#body = body;
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
    this.#listener = listener;
  }

  start(reader: SourceReader): void {
    this.#reader = reader;
  }

  pause(): void {
    if (this.#state === 'file') this.#body.pause();
  }

  resume(): void {
    if (this.#state === 'file') this.#body.resume();
  }

  feed(bytes: Uint8Array): void {
    if (this.#state === 'through') return;
    this.#buffer = this.#buffer.length === 0 ? asBuffer(bytes) : Buffer.concat([this.#buffer, bytes]);
    while (this.#step()) {
      // Each step takes something off the buffer or changes the state.
    }
  }

  /** The body is over, in whatever way. */
  over(): void {
    const former = this.#state;
    this.#state = 'through';
    if (former === 'file') this.#reader?.cut();
    else if (former !== 'through') this.#listener.missing();
  }

  #step(): boolean {
    switch (this.#state) {
      case 'through':
        return false;
      case 'after-delimiter':
        return this.#afterDelimiter();
      case 'head':
        return this.#head();
      default:
        return this.#content();
    }
  }

  #afterDelimiter(): boolean {
    if (this.#buffer.length < 2) return false;
    if (this.#buffer.toString('latin1', 0, 2) === '--') {
      this.#finish();
      return false;
    }
    const end = this.#buffer.indexOf('\r\n');
    if (end === -1) return this.#refuseBeyond(maxPartHeadBytes);
    // The line's CRLF stays: an empty head then ends as any other does.
    this.#buffer = this.#buffer.subarray(end);
    this.#state = 'head';
    return true;
  }

  #head(): boolean {
    const end = this.#buffer.indexOf('\r\n\r\n');
    if (end === -1) return this.#refuseBeyond(maxPartHeadBytes);
    const head = parsePartHead(this.#buffer.toString('latin1', 0, end));
    this.#buffer = this.#buffer.subarray(end + 4);
    const disposition = head.contentDisposition ?? '';
    if (/;\s*filename\*?\s*=/i.test(disposition)) {
      this.#state = 'file';
      this.#listener.found(head, this);
    } else if (this.#text === null && /;\s*name="?input_text"?\s*(?:;|$)/i.test(disposition)) {
      this.#state = 'field';
      this.#text = [];
    } else this.#state = 'dropped';
    return true;
  }

  #content(): boolean {
    const at = this.#buffer.indexOf(this.#delimiter);
    const until = at === -1 ? Math.max(0, this.#buffer.length - this.#delimiter.length + 1) : at;
    const content = this.#buffer.subarray(0, until);
    this.#buffer = this.#buffer.subarray(at === -1 ? until : at + this.#delimiter.length);
    if (content.length > 0 && !this.#take(content)) return false;
    if (at === -1) return false;
    const wasFile = this.#state === 'file';
    this.#state = wasFile ? 'through' : 'after-delimiter';
    if (wasFile) {
      this.#reader?.end();
      this.#body.resume();
    }
    return !wasFile;
  }

  #take(content: Buffer): boolean {
    if (this.#state === 'file') this.#reader?.chunk(content);
    if (this.#state !== 'field') return true;
    this.#textBytes += content.length;
    // A copy: what came with it need not stay.
    this.#text?.push(Buffer.from(content));
    return this.#textBytes <= maxTextBytes || this.#giveUp();
  }

  /** The last delimiter: now it is sure that there is no file. */
  #finish(): void {
    if (this.#text === null) {
      this.#giveUp();
      return;
    }
    this.#state = 'through';
    const text = Buffer.concat(this.#text);
    this.#listener.found({contentType: textType, contentDisposition: null}, textSource(text));
  }

  #refuseBeyond(maxBytes: number): boolean {
    if (this.#buffer.length > maxBytes) this.#giveUp();
    return false;
  }

  #giveUp(): false {
    this.#state = 'through';
    this.#listener.missing();
    return false;
  }
}

function textSource(text: Uint8Array): ByteSource {
  return {
    start(reader) {
      if (text.length > 0) reader.chunk(text);
      reader.end();
    },
    pause() {},
    resume() {},
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function parsePartHead(text: string): PartHead {
  const fields = new Map(
    text.split('\r\n').flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon <= 0 ? [] : [[line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()]];
    }),
  );
  return {
    contentType: fields.get('content-type') ?? null,
    contentDisposition: fields.get('content-disposition') ?? null,
  };
}
