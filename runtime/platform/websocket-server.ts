/** One end of a websocket. */
export interface RawSocket {
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
}

export interface SocketHandler {
  message(data: string | Buffer): void;
  closed(code: number, reason: string): void;
}

/** Takes websockets on a unix socket. `onOpen` is called for each and says who handles it. */
export function serveWebsockets(
  socketPath: string,
  onOpen: (request: Request, socket: RawSocket) => SocketHandler,
): void {
  Bun.serve<{request: Request; handler: SocketHandler | null}>({
    unix: socketPath,
    development: false,
    fetch(request, server) {
      if (server.upgrade(request, {data: {request, handler: null}})) return;
      return new Response('Only websockets are taken here.\n', {status: upgradeRequired});
    },
    websocket: {
      // The script decides how long it waits for its other side. Half of that time into silence the other side is
      // asked for a sign of life; every websocket gives it, and only one that has vanished does not.
      idleTimeout: vanishedSeconds,
      sendPings: true,
      maxPayloadLength: 16 * 1024 * 1024,
      open(socket) {
        const raw: RawSocket = {
          send: (data) => void socket.send(data),
          close: (code, reason) => socket.close(code, reason),
        };
        socket.data.handler = onOpen(socket.data.request, raw);
      },
      message: (socket, data) => socket.data.handler?.message(data),
      close: (socket, code, reason) => socket.data.handler?.closed(code, reason),
    },
  });
}

const vanishedSeconds = 120;
const upgradeRequired = 426;
