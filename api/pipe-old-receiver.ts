import type {IncomingMessage} from 'node:http';
import {AppError} from '../schemas/errors.ts';
import {readPipePath} from './pipe-path.ts';

/**
 * In HTTP/1.0 the end of a body of unknown length is the end of the connection, and `node:http` on this engine cannot
 * end one as an error: a transfer that breaks off would look complete. Throws HTTP_VERSION_TOO_OLD. `target` is that
 * of the kit.
 */
export function refuseOldReceiver({httpVersion, method}: IncomingMessage, target: string): void {
  if (httpVersion !== '1.0' || method !== 'GET') return;
  if (readPipePath(target.split('?', 1)[0] ?? '/').kind === 'page') return;
  throw new AppError(
    'HTTP_VERSION_TOO_OLD',
    "With HTTP/1.0 a transfer that breaks off looks complete here. Use HTTP/1.1, or the pipe service's own address (--pipe-listen).",
  );
}
