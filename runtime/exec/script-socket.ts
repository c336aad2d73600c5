import type {RawSocket} from '../platform/websocket-server.ts';

type Listener = (...values: unknown[]) => unknown;
type SocketEvent = 'message' | 'close' | 'error';

/** `ws` of a websocket script. Messages that come before the script listens are kept for it. */
export interface ScriptSocket {
  readonly readyState: number;
  send(data: unknown): void;
  close(code?: number, reason?: string): void;
  on(event: SocketEvent, listener: Listener): ScriptSocket;
  off(event: SocketEvent, listener: Listener): ScriptSocket;
}

export interface ScriptSocketControl {
  readonly socket: ScriptSocket;
  message(data: string | Buffer): void;
  closed(code: number, reason: string): void;
  failed(error: unknown): void;
}

const open = 1;
const over = 3;
const mostKeptMessages = 1000;

/** Strings and bytes are sent as they are, everything else as JSON. `onError` takes what a listener throws. */
export function createScriptSocket(raw: RawSocket, onError: (error: unknown) => void): ScriptSocketControl {
  const listeners = new Map<SocketEvent, Set<Listener>>();
  let early: (string | Buffer)[] = [];
  let readyState = open;

  function emit(event: SocketEvent, ...values: unknown[]): void {
    for (const listener of listeners.get(event) ?? []) {
      try {
        Promise.resolve(listener(...values)).catch(onError);
      } catch (error) {
        onError(error);
      }
    }
  }

  const socket: ScriptSocket = {
    get readyState() {
      return readyState;
    },
    send(data) {
      if (readyState !== open) return;
      raw.send(typeof data === 'string' || data instanceof Uint8Array ? data : JSON.stringify(data));
    },
    close(code, reason) {
      raw.close(code, reason);
    },
    on(event, listener) {
      listeners.set(event, (listeners.get(event) ?? new Set()).add(listener));
      if (event === 'message') {
        const kept = early;
        early = [];
        for (const data of kept) emit('message', data);
      }
      return socket;
    },
    off(event, listener) {
      listeners.get(event)?.delete(listener);
      return socket;
    },
  };
  return {
    socket,
    message(data) {
      if ((listeners.get('message')?.size ?? 0) > 0) emit('message', data);
      else if (early.length < mostKeptMessages) early.push(data);
    },
    closed(code, reason) {
      readyState = over;
      emit('close', code, reason);
    },
    failed: onError,
  };
}
