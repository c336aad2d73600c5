import {type ByteServer, serveByteSockets} from '../../../runtime/platform/byte-socket.ts';
import type {Log} from '../../../runtime/platform/log.ts';
import type {WebsocketStream} from '../../../runtime/platform/websocket-stream.ts';
import type {Incus} from './incus.ts';

/** A socket here of which every connection is one with a socket inside of an instance, wherever that runs. */
export interface SocketCarrier {
  readonly instance: string;
  close(): void;
}

/** `command` is run in the instance for each connection and joins its standard streams with the socket there. */
export async function carrySocket(
  incus: Incus,
  {
    path,
    instance,
    command,
    log,
  }: {
    readonly path: string;
    readonly instance: string;
    readonly command: readonly string[];
    readonly log: Log;
  },
): Promise<SocketCarrier> {
  const server: ByteServer = await serveByteSockets({kind: 'unix', path}, (near) => {
    let far: WebsocketStream | null = null;
    let isClosed = false;
    let hasEnded = false;
    // What comes before the other end is there waits in the kernel.
    near.pause();
    const open = async () => {
      const stream = await incus.openCommand(instance, command, {
        data(bytes) {
          if (!near.write(bytes)) stream.pause();
        },
        drained() {
          // Of what the connection itself had to say; until there is somebody to pass them on to no bytes are taken.
          if (far !== null) near.resume();
        },
        ended: () => near.finish(),
        closed() {
          if (near.pendingBytes > 0) near.finish();
          else near.close();
        },
      });
      far = stream;
      if (isClosed) stream.close();
      else near.resume();
      if (hasEnded) stream.finish();
    };
    void open().catch((error: unknown) => {
      log.info('an instance could not be reached', {instance, error});
      near.close();
    });
    return {
      data(bytes) {
        if (far?.write(bytes) === false) near.pause();
      },
      drained: () => far?.resume(),
      ended() {
        hasEnded = true;
        far?.finish();
      },
      closed() {
        isClosed = true;
        far?.close();
      },
    };
  });
  return {instance, close: () => server.close()};
}
