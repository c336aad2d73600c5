import type {Readable} from 'node:stream';
import type {LogOptions} from './script-options.ts';

/**
 * Keeps the beginning of a request's body for its record, as it is read by others. Gives what is to be recorded so
 * far: null where there is no body, or the script does not ask for it.
 */
export function watchRequestBody(
  body: Readable | null,
  {level, requestBody, maxBodyBytes}: LogOptions,
): () => string | null {
  const isWhole = requestBody === 'full' || level === 'debug';
  if (body === null || (requestBody === 'off' && !isWhole)) return () => null;
  const kept: Buffer[] = [];
  let bytes = 0;
  body.on('data', (chunk: Buffer) => {
    if (isWhole && bytes < maxBodyBytes) kept.push(chunk.subarray(0, maxBodyBytes - bytes));
    bytes += chunk.length;
  });
  // Whoever reads it begins when a host is there.
  body.pause();
  return () => (isWhole ? Buffer.concat(kept).toString('utf8') : `[${bytes} bytes]`);
}
