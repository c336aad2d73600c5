import type {Clock} from '../../../runtime/platform/clock.ts';
import type {Log} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import {answerOf, createBudget} from './budget.ts';
import {createOctokits} from './octokit.ts';

export interface WebhookSetup {
  /** Without a final slash. */
  readonly apiUrl: string;
  readonly token: string;
  /** `owner/name`. */
  readonly repository: string;
  /** Where deliveries go. */
  readonly url: string;
  readonly secret: string;
  readonly events: readonly string[];
}

const requestTimeoutMs = 30_000;
/** GitHub has at most 20 webhooks of one kind in a repository. */
const mostHooks = 100;

/** Makes the webhook, or gives the one with this address the secret and the events. Throws FORGE_REFUSED, FORGE_UNAVAILABLE. */
export async function putWebhook(
  {apiUrl, token, repository, url, secret, events}: WebhookSetup,
  {version, clock, log}: {version: string; clock: Clock; log: Log},
): Promise<'created' | 'updated'> {
  const clientFor = await createOctokits({
    apiUrl,
    credentials: {kind: 'token', token},
    log,
    budget: createBudget({nowMs: () => clock.now()}),
    // One write, for a person who waits.
    writeIntervalMs: 0,
    userAgent: `branchtab/${version}`,
  });
  const [owner = '', repo = ''] = repository.split('/');
  const at = () => ({owner, repo, request: {signal: AbortSignal.timeout(requestTimeoutMs)}});
  const wanted = {
    config: {url, content_type: 'json', secret, insecure_ssl: '0'},
    events: [...events],
    active: true,
  };
  try {
    const {rest} = await clientFor(owner, repo);
    const {data} = await rest.repos.listWebhooks({...at(), per_page: mostHooks});
    const known = data.find((hook) => hook.config.url === url);
    if (known === undefined) await rest.repos.createWebhook({...at(), ...wanted});
    else await rest.repos.updateWebhook({...at(), ...wanted, hook_id: known.id});
    return known === undefined ? 'created' : 'updated';
  } catch (error) {
    const {status} = answerOf(error);
    const reason =
      error instanceof Error ? (error.message.split('\n')[0] ?? '').slice(0, 300) : String(error);
    if (status !== null && refusals.includes(status))
      throw new AppError(
        'FORGE_REFUSED',
        `GitHub does not let this token set up webhooks of ${repository} (${status}): ${reason}. It needs the permission "Webhooks: read and write", or the scope admin:repo_hook.`,
        {cause: error},
      );
    throw new AppError('FORGE_UNAVAILABLE', `GitHub cannot be asked about ${repository}: ${reason}`, {
      cause: error,
    });
  }
}

/** A repository is not found by those who may not see it. */
const refusals: readonly number[] = [401, 403, 404, 422];
