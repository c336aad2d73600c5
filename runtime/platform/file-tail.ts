import {open, stat} from 'node:fs/promises';
import {isErrno} from './durable-file.ts';

/** The size of a file in bytes; 0 when there is none. */
export async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** The last `maxBytes` bytes of what a file holds behind `fromByte`, as text; empty when there is none. */
export async function readTail(
  path: string,
  {fromByte, maxBytes}: {fromByte: number; maxBytes: number},
): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const {size} = await file.stat();
      const start = Math.max(fromByte, size - maxBytes);
      const length = Math.max(0, size - start);
      const {buffer, bytesRead} = await file.read(Buffer.alloc(length), {position: start});
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw error;
  }
}
