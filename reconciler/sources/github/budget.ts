import type {Octokit} from '@octokit/rest';
import type {ForgeBudget} from '../../../schemas/delivery.ts';
import {AppError} from '../../../schemas/errors.ts';

/** Of so much of the limit nothing is used for reports, so that pull requests can still be read. */
const reservedShare = 0.05;

const mostEtags = 500;

/** Counts what goes to GitHub, keeps answers by their ETag, and says when too little of the limit is left. */
export interface Budget {
  /** A plugin of Octokit, the first one: it stands nearest to the network and sees what others try again. */
  readonly plugin: (octokit: Pick<Octokit, 'hook' | 'request'>) => void;
  /** Throws FORGE_UNAVAILABLE while what is left of the limit is kept for other calls. */
  requireForReport(): void;
  now(): ForgeBudget;
}

interface Limit {
  readonly remaining: number;
  readonly limit: number;
  readonly resetsAtMs: number;
}

export function createBudget({nowMs}: {nowMs: () => number}): Budget {
  const answers = new Map<string, {etag: string; response: Awaited<ReturnType<Octokit['request']>>}>();
  const counts = {requests: 0, not_modified: 0, failures: 0, limited: 0};
  let limit: Limit | null = null;

  const note = (headers: Readonly<Record<string, string | number | undefined>>) => {
    const [remaining, all, reset] = ['remaining', 'limit', 'reset'].map((name) =>
      Number(headers[`x-ratelimit-${name}`] ?? Number.NaN),
    );
    if (remaining === undefined || all === undefined || reset === undefined) return;
    if ([remaining, all, reset].every(Number.isFinite))
      limit = {remaining, limit: all, resetsAtMs: reset * 1000};
  };

  const remember = (url: string, response: Awaited<ReturnType<Octokit['request']>>) => {
    const {etag} = response.headers;
    if (etag === undefined) return;
    answers.delete(url);
    answers.set(url, {etag, response});
    for (const oldest of answers.keys()) {
      if (answers.size <= mostEtags) break;
      answers.delete(oldest);
    }
  };

  return {
    plugin(octokit) {
      octokit.hook.wrap('request', async (request, options) => {
        const {url} = octokit.request.endpoint(options);
        const known = options.method === 'GET' ? answers.get(url) : undefined;
        if (known !== undefined) options.headers = {...options.headers, 'if-none-match': known.etag};
        counts.requests += 1;
        try {
          const response = await request(options);
          note(response.headers);
          if (options.method === 'GET') remember(url, response);
          return response;
        } catch (error) {
          const {status, headers} = answerOf(error);
          note(headers);
          if (status === notModified && known !== undefined) {
            counts.not_modified += 1;
            return known.response;
          }
          counts.failures += 1;
          if (limitStatuses.includes(status ?? 0) && headers['x-ratelimit-remaining'] === '0')
            counts.limited += 1;
          throw error;
        }
      });
    },
    requireForReport() {
      if (limit === null || limit.resetsAtMs <= nowMs()) return;
      if (limit.remaining > limit.limit * reservedShare) return;
      throw new AppError(
        'FORGE_UNAVAILABLE',
        `Only ${limit.remaining} of ${limit.limit} requests to GitHub are left; reports wait until more are allowed.`,
        {retryAfterSeconds: Math.ceil((limit.resetsAtMs - nowMs()) / 1000)},
      );
    },
    now: () => ({
      ...counts,
      remaining: limit?.remaining ?? null,
      limit: limit?.limit ?? null,
      resets_at: limit === null ? null : new Date(limit.resetsAtMs).toISOString(),
    }),
  };
}

const notModified = 304;
const limitStatuses = [403, 429];

/** What GitHub answered, of an error that Octokit throws. */
export function answerOf(error: unknown): {
  status: number | null;
  headers: Readonly<Record<string, string | number | undefined>>;
} {
  const status =
    error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : null;
  const response = error instanceof Error && 'response' in error ? error.response : null;
  const headers =
    typeof response === 'object' && response !== null && 'headers' in response ? response.headers : null;
  return {
    status,
    headers: (typeof headers === 'object' && headers !== null ? headers : {}) as Record<string, string>,
  };
}
