import {connectBytes} from './byte-socket.ts';

/** Joins standard input and output with a unix socket; resolves when the socket has ended. Rejects where nobody listens. */
export async function relayStandardStreams(socketPath: string): Promise<void> {
  const over = Promise.withResolvers<void>();
  await connectBytes(socketPath, (socket) => {
    process.stdin.on('data', (bytes: Buffer) => {
      if (!socket.write(bytes)) process.stdin.pause();
    });
    process.stdin.on('end', () => socket.finish());
    process.stdin.on('error', () => socket.close());
    process.stdout.on('drain', () => socket.resume());
    // Whoever asked has gone.
    process.stdout.on('error', () => socket.close());
    return {
      data(bytes) {
        if (!process.stdout.write(bytes)) socket.pause();
      },
      drained: () => process.stdin.resume(),
      ended: () => process.stdout.end(() => over.resolve()),
      closed: () => over.resolve(),
    };
  });
  await over.promise;
}
