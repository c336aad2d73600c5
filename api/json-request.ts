import type {MiddlewareHandler} from 'hono';
import {bodyLimit} from 'hono/body-limit';
import {AppError} from '../schemas/errors.ts';

/** Before a route whose body is JSON. Throws AppError UNSUPPORTED_MEDIA_TYPE, without which no body would pass for `{}`, and PAYLOAD_TOO_LARGE. */
export function jsonRequest({maxBytes}: {maxBytes: number}): [MiddlewareHandler, MiddlewareHandler] {
  const typed: MiddlewareHandler = async (c, next) => {
    if (!/^application\/json(?:\s*;|$)/i.test(c.req.header('content-type') ?? '')) {
      throw new AppError(
        'UNSUPPORTED_MEDIA_TYPE',
        'The body is JSON here: send it with "Content-Type: application/json".',
      );
    }
    await next();
  };
  const limited = bodyLimit({
    maxSize: maxBytes,
    onError: () => {
      throw new AppError('PAYLOAD_TOO_LARGE', `The body is larger than ${maxBytes} bytes.`);
    },
  });
  return [typed, limited];
}
