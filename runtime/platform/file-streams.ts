import {open} from 'node:fs/promises';

const chunkBytes = 256 * 1024;

/** The bytes `first` to `last` (both included, from 0) of a file, read as they are taken. */
export function readBytes(
  path: string,
  {first, last}: {first: number; last: number},
): ReadableStream<Uint8Array> {
  const opened = open(path, 'r');
  // A reader that never comes leaves the failure to nobody.
  opened.catch(() => {});
  let position = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        const file = await opened;
        const length = Math.min(chunkBytes, last + 1 - position);
        const {bytesRead, buffer} =
          length <= 0
            ? {bytesRead: 0, buffer: new Uint8Array()}
            : await file.read(new Uint8Array(length), 0, length, position);
        if (bytesRead === 0) {
          await file.close();
          stream.close();
          return;
        }
        position += bytesRead;
        stream.enqueue(buffer.subarray(0, bytesRead));
      },
      async cancel() {
        await (await opened).close();
      },
    },
    {highWaterMark: 0},
  );
}

/** Writes a new file and answers its size. Throws the system's error (EEXIST, ENOSPC, ...); what was written stays. */
export async function writeStream(path: string, body: AsyncIterable<Uint8Array>): Promise<number> {
  const file = await open(path, 'wx', 0o644);
  let bytes = 0;
  try {
    for await (const chunk of body) {
      await file.writeFile(chunk);
      bytes += chunk.byteLength;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return bytes;
}
