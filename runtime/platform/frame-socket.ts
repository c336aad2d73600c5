import type {Socket} from 'bun';

/** One end of a connection that carries frames: a kind, the channel it belongs to, and bytes. */
export interface FrameSocket {
  /** Strings go as UTF-8. A few frames that are sent in one turn of the event loop go out in one write. */
  send(kind: number, channel: number, payload: string | Uint8Array, more?: Uint8Array): void;
  close(): void;
}

export interface FrameEvents {
  /** The payload belongs to the receiver. What this throws closes the connection. */
  frame(kind: number, channel: number, payload: Buffer): void;
  closed(): void;
}

/** A longer payload is not taken. */
export const maxPayloadBytes = 2 * 1024 * 1024;

/** Connects with the other end on a unix socket. Rejects where nobody listens there. */
export async function connectFrames(
  socketPath: string,
  accept: (socket: FrameSocket) => FrameEvents,
): Promise<void> {
  await Bun.connect<Connection>({unix: socketPath, socket: handlersFor(accept)});
}

/** Waits on a unix socket for the other end: the first that connects is the only one. */
export function awaitFrames(socketPath: string, accept: (socket: FrameSocket) => FrameEvents): void {
  const listener = Bun.listen<Connection>({
    unix: socketPath,
    socket: handlersFor((socket) => {
      listener.stop();
      return accept(socket);
    }),
  });
}

function handlersFor(accept: (socket: FrameSocket) => FrameEvents) {
  return {
    open(raw: Socket<Connection>) {
      raw.data = new Connection(raw, accept);
    },
    data: (raw: Socket<Connection>, bytes: Buffer) => raw.data.receive(bytes),
    drain: (raw: Socket<Connection>) => raw.data.drained(),
    end: (raw: Socket<Connection>) => raw.data.close(),
    close: (raw: Socket<Connection>) => raw.data.onClosed(),
    error: (raw: Socket<Connection>) => raw.data.close(),
  };
}

const headerBytes = 9;
const kindAt = 4;
const channelAt = 5;
/** More frames than that do not wait for the end of the turn: meanwhile the other end could be working. */
const framesPerWrite = 8;
const firstBufferBytes = 16 * 1024;
/** UTF-8 takes at most so many bytes for one unit of a string. */
const mostBytesPerUnit = 3;

class Connection implements FrameSocket {
  readonly #raw: Socket<Connection>;
  readonly #events: FrameEvents;
  /** What is to be sent; its first `#length` bytes. */
  #buffer = Buffer.allocUnsafeSlow(firstBufferBytes);
  #length = 0;
  /** The beginning of a frame whose end has not come yet. */
  #received: Buffer | null = null;
  #isScheduled = false;
  #frames = 0;
  /** The kernel takes no more for now. */
  #isFull = false;
  #isClosed = false;

  constructor(raw: Socket<Connection>, accept: (socket: FrameSocket) => FrameEvents) {
    this.#raw = raw;
    this.#events = accept(this);
  }

  send(kind: number, channel: number, payload: string | Uint8Array, more?: Uint8Array): void {
    if (this.#isClosed) return;
    const mostBytes = typeof payload === 'string' ? payload.length * mostBytesPerUnit : payload.length;
    this.#makeRoom(headerBytes + mostBytes + (more?.length ?? 0));
    const buffer = this.#buffer;
    const start = this.#length;
    let end = start + headerBytes;
    if (typeof payload === 'string') end += buffer.write(payload, end, 'utf8');
    else {
      buffer.set(payload, end);
      end += payload.length;
    }
    if (more !== undefined) {
      buffer.set(more, end);
      end += more.length;
    }
    buffer.writeUInt32LE(end - start - headerBytes, start);
    buffer[start + kindAt] = kind;
    buffer.writeUInt32LE(channel, start + channelAt);
    this.#length = end;
    this.#frames += 1;
    if (this.#isFull) return;
    // Never at once: whoever sends is in the middle of something, and a connection may end with a write.
    if (this.#frames === framesPerWrite) queueMicrotask(() => this.#flush());
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  close(): void {
    if (!this.#isClosed) this.#raw.terminate();
  }

  receive(bytes: Buffer): void {
    const input = this.#received === null ? bytes : Buffer.concat([this.#received, bytes]);
    let at = 0;
    while (input.length - at >= headerBytes && !this.#isClosed) {
      const length = input.readUInt32LE(at);
      const end = at + headerBytes + length;
      if (length > maxPayloadBytes) {
        this.close();
        return;
      }
      if (end > input.length) break;
      try {
        const payload = input.subarray(at + headerBytes, end);
        this.#events.frame(input[at + kindAt] ?? 0, input.readUInt32LE(at + channelAt), payload);
      } catch {
        // The other end does not keep to what was agreed; nothing that it says can be relied on.
        this.close();
        return;
      }
      at = end;
    }
    this.#received = at === input.length ? null : input.subarray(at);
  }

  drained(): void {
    this.#isFull = false;
    this.#flush();
  }

  onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#length = 0;
    this.#events.closed();
  }

  #flush(): void {
    this.#frames = 0;
    if (this.#length === 0 || this.#isClosed) return;
    const taken = this.#raw.write(this.#buffer.subarray(0, this.#length));
    if (taken < 0) {
      this.close();
      return;
    }
    this.#isFull = taken < this.#length;
    this.#buffer.copyWithin(0, taken, this.#length);
    this.#length -= taken;
    if (this.#length === 0 && this.#buffer.length > firstBufferBytes)
      this.#buffer = Buffer.allocUnsafeSlow(firstBufferBytes);
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
