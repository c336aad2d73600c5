import {constants, type FileHandle, open} from 'node:fs/promises';

const chunkBytes = 256 * 1024;

/**
 * The bytes `first` to `last` (both included, from 0) of a file, read as they are taken. It is opened with the first
 * read, so that an answer nobody reads holds nothing.
 */
export function readBytes(
  path: string,
  {first, last}: {first: number; last: number},
): ReadableStream<Uint8Array> {
  let file: FileHandle | null = null;
  let position = first;

  async function close(): Promise<void> {
    const opened = file;
    file = null;
    await opened?.close();
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        try {
          file ??= await open(path, 'r');
          const length = Math.min(chunkBytes, last + 1 - position);
          const chunk = new Uint8Array(Math.max(0, length));
          const {bytesRead} = length <= 0 ? {bytesRead: 0} : await file.read(chunk, 0, length, position);
          position += bytesRead;
          if (bytesRead > 0) stream.enqueue(chunk.subarray(0, bytesRead));
          // Closed with the last byte: not every reader asks for the end.
          if (bytesRead > 0 && position <= last) return;
          await close();
          stream.close();
        } catch (error) {
          await close();
          throw error;
        }
      },
      cancel: close,
    },
    {highWaterMark: 0},
  );
}

/** Writes a new file and answers its size. Throws the system's error (EEXIST, ENOSPC, ...); what was written stays. */
export async function writeStream(
  path: string,
  body: AsyncIterable<Uint8Array>,
  {mode = 0o644}: {mode?: number} = {},
): Promise<number> {
  const file = await open(path, 'wx', mode);
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

/**
 * Writes into a file and answers its size then: at `position`, or behind its last byte where that is null, and such
 * a file is made where it is missing. A link is not followed. Throws the system's error; what was written stays.
 */
export async function writeInto(path: string, bytes: Uint8Array, position: number | null): Promise<number> {
  const {O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW} = constants;
  const file = await open(path, O_WRONLY | O_NOFOLLOW | (position === null ? O_APPEND | O_CREAT : 0), 0o644);
  try {
    for (let written = 0; written < bytes.byteLength; ) {
      const at = position === null ? null : position + written;
      written += (await file.write(bytes, written, bytes.byteLength - written, at)).bytesWritten;
    }
    await file.sync();
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}
