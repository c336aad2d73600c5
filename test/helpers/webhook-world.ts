import {createHmac} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Hono} from 'hono';
import {createDeployers, type Deployer} from '../../api/deployers.ts';
import {errorHandler} from '../../api/errors.ts';
import {type HookSecrets, webhookRoutes} from '../../api/webhooks.ts';
import {createDeliveries, type DeliverableRepository} from '../../reconciler/deliveries.ts';
import {openDeliveryLog} from '../../reconciler/delivery-log.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import type {Forge} from '../../schemas/delivery.ts';
import type {Teardown} from './git-world.ts';

/** The controller's own token, as far as hooks know it. */
export const adminToken = 'bt_0123456789abcdef0123456789abcdef';

export const hookSecret = 'the newest secret of the hook';

export function signature(body: string | Uint8Array, secret: string = hookSecret): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/** Headers as GitHub sends them. */
export function gitHubHeaders(
  event: string,
  body: string,
  {delivery = crypto.randomUUID(), secret = hookSecret}: {delivery?: string; secret?: string} = {},
): Record<string, string> {
  return {
    'Content-Type': 'application/json',
    'X-GitHub-Event': event,
    'X-GitHub-Delivery': delivery,
    'X-Hub-Signature-256': signature(body, secret),
  };
}

type ForkNews = Parameters<Parameters<typeof createDeliveries>[0]['onFork']>[1];

export interface WebhookWorldOptions {
  readonly repositories?: readonly DeliverableRepository[];
  readonly secrets?: Partial<Record<Forge, readonly string[]>>;
  readonly renew?: HookSecrets['renew'];
  /** Bearers by token, beside the admin token. */
  readonly deployers?: Readonly<Record<string, Deployer>>;
  readonly ofJob?: (token: string) => Promise<Deployer>;
  readonly skip?: (repository: string, branch: string, commit: string) => void;
  readonly look?: (repository: string) => Promise<void>;
  readonly commitOf?: (repository: string, branch: string) => string | null | undefined;
  readonly onPullRequest?: () => void;
  readonly clock?: Clock;
}

/** The hooks in front of a real delivery log; what they make look is counted. */
export async function createWebhookWorld(t: Teardown, options: WebhookWorldOptions = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-hooks-'));
  const path = join(directory, 'deliveries.jsonl');
  const looks: string[] = [];
  const pulls: string[] = [];
  const forkNews: ForkNews[] = [];
  const gone: string[] = [];
  const openDeliveries = async () =>
    createDeliveries({
      repositories: options.repositories ?? [
        {
          repository: 'https://github.com/Codertocat/Hello-World',
          forgePath: 'github.com/codertocat/hello-world',
          servesForks: false,
        },
      ],
      async look(repository) {
        looks.push(repository);
        await options.look?.(repository);
      },
      commitOf: options.commitOf ?? (() => undefined),
      skip: options.skip ?? (() => {}),
      toldGone: (_repository, branch) => gone.push(branch),
      onPullRequest(repository) {
        pulls.push(repository);
        options.onPullRequest?.();
      },
      onFork: async (_repository, news) => void forkNews.push(news),
      deliveryLog: await openDeliveryLog({path, log: silentLog}),
      clock: options.clock ?? systemClock,
      log: silentLog,
    });
  const deliveries = await openDeliveries();
  const secrets = options.secrets ?? {github: [hookSecret]};
  const deployers = createDeployers({
    isAdmin: (authorization) => authorization === `Bearer ${adminToken}`,
    ofToken: async (token) => options.deployers?.[token] ?? null,
    ofJob: options.ofJob ?? null,
  });
  const app = new Hono();
  app.onError(errorHandler(silentLog));
  app.route(
    '/',
    webhookRoutes({
      deliveries,
      secrets: {of: (forge) => secrets[forge] ?? [], renew: options.renew ?? (async () => false)},
      deployers,
    }),
  );
  t.teardown(async () => {
    await deliveries.close();
    await rm(directory, {recursive: true, force: true});
  });
  const post = (path: string, body: string | Uint8Array, headers: Record<string, string>) =>
    app.request(path, {method: 'POST', body: typeof body === 'string' ? body : Buffer.from(body), headers});
  return {
    app,
    deployers,
    deliveries,
    looks,
    pulls,
    forkNews,
    gone,
    path,
    openDeliveries,
    post,
    /** Sends what GitHub would send. */
    send(event: string, payload: unknown, from: {delivery?: string; secret?: string} = {}) {
      const body = JSON.stringify(payload);
      return post('/hooks/github', body, gitHubHeaders(event, body, from));
    },
  };
}
