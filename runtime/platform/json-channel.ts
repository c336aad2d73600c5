import type {ByteSocket, ByteSocketEvents} from './byte-socket.ts';

export interface JsonChannelOptions<Heard> {
  /** Throws for what the other side may not say. */
  readonly parse: (value: unknown) => Heard;
  /** What this throws ends the channel, as what cannot be parsed does. */
  readonly hear: (message: Heard) => void;
  /** Once, whoever ended it. */
  readonly closed: () => void;
  readonly maxLineBytes: number;
}

/** One end of a connection on which each side says JSON values, one in each line and in ASCII. */
export class JsonChannel<Heard, Said> implements ByteSocketEvents {
  isOpen = true;
  readonly #socket: ByteSocket;
  readonly #options: JsonChannelOptions<Heard>;
  #rest = '';

  constructor(socket: ByteSocket, options: JsonChannelOptions<Heard>) {
    this.#socket = socket;
    this.#options = options;
  }

  /** That the other side has not read yet. */
  get pendingBytes(): number {
    return this.#socket.pendingBytes;
  }

  say(message: Said): void {
    if (this.isOpen) this.#socket.write(Buffer.from(`${JSON.stringify(message)}\n`, 'latin1'));
  }

  data(bytes: Uint8Array): void {
    const {parse, hear, maxLineBytes} = this.#options;
    const lines = (this.#rest + Buffer.from(bytes).toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    try {
      for (const line of lines) if (this.isOpen) hear(parse(JSON.parse(line)));
    } catch {
      // Nothing that the other side says can be relied on.
      this.end();
    }
    if (this.#rest.length > maxLineBytes) this.end();
  }

  drained(): void {}

  ended(): void {
    this.end();
  }

  closed(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#options.closed();
  }

  end(): void {
    this.closed();
    this.#socket.close();
  }
}
