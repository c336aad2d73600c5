import type {Frame} from '../runtime/platform/byte-flow.ts';
import type {Exchange} from '../runtime/platform/http-exchange.ts';
import type {AppError} from '../schemas/errors.ts';

/** Answers with an error, and with more fields where they are given: names and values in turn. */
export type RefuseExchange = (
  respond: Exchange['respond'],
  error: AppError,
  fields?: readonly string[],
) => void;

export function createExchangeRefusal(frameOf: (bytes: Uint8Array) => Frame): RefuseExchange {
  return (respond, error, more = []) => {
    const {status, retryAfterSeconds} = error;
    const body = Buffer.from(JSON.stringify(error.toBody()));
    const fields = ['Content-Type', 'application/json', 'X-Content-Type-Options', 'nosniff', ...more];
    if (retryAfterSeconds !== null) fields.push('Retry-After', String(retryAfterSeconds));
    respond({status, fields, lengthBytes: body.length}).end(frameOf(body));
  };
}
