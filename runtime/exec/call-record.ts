import {AppError} from '../../schemas/errors.ts';
import type {ExecutionError} from '../../schemas/execution.ts';
import type {SeenAnswer} from './answer-sink.ts';
import type {ExecutionEnd} from './execution-recorder.ts';
import type {Attempt} from './invoke.ts';
import type {LogOptions} from './script-options.ts';

const firstServerError = 500;

/** What the record of a call says of its end. */
export function endOf(
  outcome: Attempt | AppError,
  seen: SeenAnswer,
  log: LogOptions,
  requestBody: string | null,
): ExecutionEnd {
  const isError = outcome instanceof AppError;
  return {
    status: isError ? statusOfError(outcome) : statusOf(outcome, seen.status),
    httpStatus: seen.status,
    responseBytes: seen.bytes,
    error: isError ? errorOf(outcome) : null,
    requestBody,
    responseBody: recordedBody(seen, log),
  };
}

function statusOfError({code}: AppError): ExecutionEnd['status'] {
  if (code === 'SCRIPT_TIMEOUT') return 'timed_out';
  return code === 'SCRIPT_HOST_FAILED' ? 'interrupted' : 'failed';
}

function statusOf(outcome: Attempt, status: number | null): ExecutionEnd['status'] {
  if (outcome === 'left') return 'aborted';
  if (outcome !== 'answered' && outcome !== 'failed') return 'interrupted';
  return outcome === 'failed' || (status ?? 0) >= firstServerError ? 'failed' : 'succeeded';
}

/** Bytes of the answer that the record keeps. */
export function keptBodyBytes({level, responseBody, maxBodyBytes}: LogOptions): number {
  return responseBody === 'full' || level === 'debug' ? maxBodyBytes : 0;
}

/** Null unless the script asks for them; those that open doors never. */
export function recordedHeaders(
  headers: readonly string[],
  {level, excludedHeaders}: LogOptions,
): Record<string, string> | null {
  if (level !== 'full' && level !== 'debug') return null;
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase();
    if (!excludedHeaders.includes(name)) pairs.push([name, headers[at + 1] ?? '']);
  }
  return Object.fromEntries(pairs);
}

function recordedBody({body, bytes}: SeenAnswer, log: LogOptions): string | null {
  const keptBytes = keptBodyBytes(log);
  if (keptBytes > 0) return body.slice(0, keptBytes);
  return log.responseBody === 'redacted' ? `[${bytes} bytes]` : null;
}

function errorOf({code, message, details}: AppError): ExecutionError {
  return {code, message, file: null, line: null, column: null, ...positionIn(details), stack: message};
}

function positionIn(details: unknown): Partial<Pick<ExecutionError, 'file' | 'line' | 'column'>> {
  if (typeof details !== 'object' || details === null || !('line' in details)) return {};
  const {file, line, column}: {file?: unknown; line?: unknown; column?: unknown} = details;
  if (typeof file !== 'string' || typeof line !== 'number' || typeof column !== 'number') return {};
  return {file, line, column};
}
