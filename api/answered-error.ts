import * as z from 'zod';
import {AppError, type ErrorCode, errorCatalogue} from '../schemas/errors.ts';

const errorBodySchema = z.object({code: z.string(), message: z.string(), details: z.unknown()});

/** What an answer that is no success says, as the error that its sender threw. `sender` is named where it says nothing. */
export async function answeredError(response: Response, sender: string): Promise<AppError> {
  const body: unknown = await response.json().catch(() => null);
  const parsed = errorBodySchema.safeParse(body);
  if (!parsed.success)
    return new AppError('INTERNAL_ERROR', `The ${sender} answered ${response.status} without an explanation`);
  const {code, message, details} = parsed.data;
  return new AppError(code in errorCatalogue ? (code as ErrorCode) : 'INTERNAL_ERROR', message, {details});
}
