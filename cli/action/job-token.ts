import * as z from 'zod';
import {AppError} from '../../schemas/errors.ts';
import type {Environment} from '../settings.ts';

const requestTimeoutMs = 20_000;
/** GitHub's hold for five minutes at least. */
const lifetimeMs = 3 * 60_000;

/** Asks GitHub for a token of this job, and for another one before the first runs out. Throws UNAUTHENTICATED. */
export function createJobToken(
  environment: Environment,
  {audience, hide, now}: {audience: string; hide: (value: string) => void; now: () => number},
): () => Promise<string> {
  const {ACTIONS_ID_TOKEN_REQUEST_URL: url = '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer = ''} = environment;
  let known: {token: string; untilMs: number} | null = null;
  return async () => {
    if (known !== null && known.untilMs > now()) return known.token;
    if (url === '' || bearer === '')
      throw new AppError(
        'UNAUTHENTICATED',
        'There is no way to prove to the controller which repository this is: give the job `permissions: id-token: write`, or the step a `token`. Pull requests of forks get neither.',
      );
    const token = await request(`${url}&audience=${encodeURIComponent(audience)}`, bearer);
    hide(token);
    known = {token, untilMs: now() + lifetimeMs};
    return token;
  };
}

async function request(url: string, bearer: string): Promise<string> {
  try {
    const response = await fetch(url, {
      headers: {Authorization: `Bearer ${bearer}`, Accept: 'application/json'},
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return z.looseObject({value: z.string().min(1)}).parse(await response.json()).value;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('UNAUTHENTICATED', `GitHub gives this job no token: ${reason}`, {cause});
  }
}
