import type {Hook} from '@hono/zod-openapi';
import type {Env} from 'hono';
import * as z from 'zod';
import {AppError} from '../schemas/errors.ts';

const errorSchema = z
  .object({code: z.string(), message: z.string(), details: z.unknown()})
  .meta({id: 'Error', description: 'Every error has this body; `code` is stable.'});

/** A JSON body in the description of a route. */
export const json = <T extends z.ZodType>(schema: T, description: string) => ({
  content: {'application/json': {schema}},
  description,
});

/** Names the branch in the path of a route. */
export const keyParameter = z.object({
  key: z.string().max(1024).meta({
    description: 'Key of a branch, or its name where only one branch has it.',
    example: 'main-1f0c9a3e',
  }),
});

/** Answers of these statuses in the description of a route. */
export const errors = (...statuses: number[]) =>
  Object.fromEntries(statuses.map((status) => [status, json(errorSchema, 'Error')]));

/** For `defaultHook`: throws AppError INVALID_QUERY for a parameter, and for a body what `errorResponse` knows as INVALID_BODY. */
export const refuseInvalid: Hook<unknown, Env, string, unknown> = (result) => {
  if (result.success) return;
  if (result.target === 'json') throw result.error;
  const [first] = result.error.issues;
  throw new AppError(
    'INVALID_QUERY',
    `${first?.path.join('.') ?? 'A parameter'}: ${first?.message ?? 'is not valid'}`,
    {cause: result.error},
  );
};
