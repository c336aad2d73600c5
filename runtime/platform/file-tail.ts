import {open} from 'node:fs/promises';
import {isErrno} from './durable-file.ts';

/** The last `maxBytes` bytes of a file as text; empty when there is none. */
export async function readTail(path: string, maxBytes: number): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const {size} = await file.stat();
      const start = Math.max(0, size - maxBytes);
      const {buffer, bytesRead} = await file.read(Buffer.alloc(Math.min(size, maxBytes)), {position: start});
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw error;
  }
}
