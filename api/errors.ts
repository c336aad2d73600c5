import type {ErrorHandler} from 'hono';
import {HTTPException} from 'hono/http-exception';
import * as z from 'zod';
import type {Log} from '../runtime/platform/log.ts';
import {AppError, isStorageFull} from '../schemas/errors.ts';

/** The one mapping from what was thrown to what goes out. Unknown errors are bugs: 500, logged with their stack. */
export function errorResponse(error: unknown, log: Log): Response {
  const known = loggedError(error, log);
  const {retryAfterSeconds} = known;
  return Response.json(known.toBody(), {
    status: known.status,
    ...(retryAfterSeconds === null ? {} : {headers: {'Retry-After': String(retryAfterSeconds)}}),
  });
}

/** What may be said of an error to others; the log has all of one that is ours. */
export function loggedError(error: unknown, log: Log): AppError {
  const known = asAppError(error);
  if (known.status >= 500) log.error('request failed', {error, code: known.code});
  return known;
}

/** For `app.onError`. */
export function errorHandler(log: Log): ErrorHandler {
  return (error) => errorResponse(error, log);
}

/** What may be said of an error to others. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof z.ZodError) return bodyError(error);
  if (error instanceof HTTPException && error.status === 400)
    return new AppError('INVALID_JSON', error.message);
  if (isStorageFull(error)) {
    return new AppError(
      'STORAGE_FULL',
      'The disk is full; nothing was changed. Free some space and try again.',
    );
  }
  return new AppError('INTERNAL_ERROR', 'Something went wrong on our side; the log has the details.');
}

function bodyError(error: z.ZodError): AppError {
  const details = error.issues.map(({path, message}) => ({path: path.map(String).join('.'), message}));
  const [first] = details;
  const where = first === undefined || first.path === '' ? 'The body' : `\`${first.path}\` in the body`;
  return new AppError('INVALID_BODY', `${where} is not valid: ${first?.message ?? 'unknown reason'}`, {
    details,
  });
}
