import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import type {Hono} from 'hono';
import {streamSSE} from 'hono/streaming';
import * as z from 'zod';
import type {ContainerService} from '../reconciler/container-service.ts';
import type {Controller} from '../reconciler/controller.ts';
import type {BranchChange} from '../reconciler/controller-context.ts';
import type {Deliveries} from '../reconciler/deliveries.ts';
import type {UserTokens} from '../reconciler/user-tokens.ts';
import type {Log} from '../runtime/platform/log.ts';
import {branchListSchema, branchSchema, rollbackRequestSchema} from '../schemas/branch.ts';
import type {ForgeStatus} from '../schemas/delivery.ts';
import {environmentListSchema} from '../schemas/environment.ts';
import {AppError} from '../schemas/errors.ts';
import {queueStatusSchema} from '../schemas/queue.ts';
import {repositoryListSchema} from '../schemas/repository.ts';
import {runListSchema, runStatusSchema} from '../schemas/run.ts';
import {accountRoutes} from './account-routes.ts';
import {type Auth, sessionCookie} from './auth.ts';
import {branchPage} from './branch-page.ts';
import {containerRoutes} from './container-routes.ts';
import {errors, json, keyParameter, refuseInvalid} from './controller-openapi.ts';
import {dataRoutes} from './data-routes.ts';
import {deliveryRoutes} from './delivery-routes.ts';
import {deployRoutes} from './deploy-routes.ts';
import type {Deployers} from './deployers.ts';
import {errorResponse} from './errors.ts';
import {forgeMetrics} from './forge-metrics.ts';
import {handChangeRoutes} from './hand-change-routes.ts';
import {jsonRequest} from './json-request.ts';
import {shellRoutes} from './shell-routes.ts';
import {suspensionRoutes} from './suspension-routes.ts';
import {tokenRoutes} from './token-routes.ts';

const acceptedSchema = z.object({request_id: z.string()}).meta({id: 'Accepted'});
const adoptedSchema = z.object({adopted: z.int()}).meta({id: 'Adopted'});

const maxBodyBytes = 4 * 1024;

/** The controller's HTTP API. Host and Origin are checked before this app; tokens here. */
export function createControllerApp({
  controller,
  containers,
  tokens,
  deliveries,
  forge,
  hooks,
  auth,
  deployers,
  forgePathOf,
  version,
  baseUrl,
  ready,
  log,
}: {
  controller: Controller;
  containers: ContainerService;
  tokens: UserTokens;
  deliveries: Deliveries;
  /** Null where no forge is asked. */
  forge: () => ForgeStatus | null;
  /** Routes that know by themselves who may call them. */
  hooks: Hono;
  auth: Auth;
  deployers: Deployers;
  /** `host/owner/name` of a watched repository; null where no forge has it. */
  forgePathOf: (repository: string) => string | null;
  version: string;
  baseUrl: () => string;
  ready: () => boolean;
  log: Log;
}): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.onError((error) => errorResponse(error, log));
  app.notFound(() =>
    errorResponse(new AppError('NOT_FOUND', 'No such route; /openapi.json lists them'), log),
  );

  app.get('/livez', (c) => c.text('ok\n'));
  app.get('/readyz', (c) => (ready() ? c.text('ok\n') : c.text('starting\n', 503)));
  app.get('/login', (c) => {
    const session = auth.redeem(c.req.query('code') ?? '');
    if (session === null)
      return c.text('This login link was used or is older than 15 minutes. Run: branchtab login\n', 401);
    c.header('Set-Cookie', `${sessionCookie}=${session}; HttpOnly; SameSite=Strict; Path=/`);
    c.header('Referrer-Policy', 'no-referrer');
    return c.redirect('/');
  });
  app.route('/', hooks);

  const forDeployers = deployRoutes({controller, deliveries, forgePathOf, log});
  app.use(async (c, next) => {
    if (!auth.accepts(c.req.raw.headers)) {
      const deployer = await deployers.of(c.req.header('authorization') ?? '');
      if (deployer !== null) return forDeployers.fetch(c.req.raw, {deployer});
      const user = auth.userOf(c.req.header('authorization') ?? '');
      if (user !== null)
        throw new AppError(
          'FORBIDDEN',
          `This token is for the crontab of ${user} in containers; the controller's own API needs the token of <state>/token`,
        );
      if (c.req.path === '/') return c.text('Open the login link that `branchtab login` prints.\n', 401);
      throw new AppError(
        'UNAUTHENTICATED',
        'Send the token of <state>/token as "Authorization: Bearer <token>", or open the link of `branchtab login`',
      );
    }
    await next();
    return undefined;
  });

  app.get('/', (c) => {
    c.header(
      'Content-Security-Policy',
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    return c.html(branchPage(controller.branches()));
  });

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/branches',
      request: {query: z.object({limit: z.coerce.number().int().min(1).max(100_000).optional()})},
      responses: {
        200: json(
          branchListSchema,
          'Every branch that is served, live first; complete unless `limit` is given.',
        ),
        ...errors(401),
      },
    }),
    (c) => c.json({items: controller.branches().slice(0, c.req.valid('query').limit)}, 200),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/branches/{key}',
      request: {params: keyParameter},
      responses: {200: json(branchSchema, 'The branch.'), ...errors(401, 404, 409)},
    }),
    (c) => c.json(controller.branch(c.req.valid('param').key), 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/reconcile',
      request: {params: keyParameter},
      responses: {
        202: json(acceptedSchema, 'Queued; the branch echoes the id as `handled_request` when done.'),
        ...errors(401, 404, 409),
      },
    }),
    (c) => c.json({request_id: controller.reconcile(c.req.valid('param').key)}, 202),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/reconcile',
      request: {query: z.object({confirm_deletions: z.enum(['true', 'false']).default('false')})},
      responses: {
        202: json(acceptedSchema, 'Every repository is listed and every branch looked at again.'),
        ...errors(401),
      },
    }),
    (c) =>
      c.json(
        {
          request_id: controller.reconcileAll({
            confirmDeletions: c.req.valid('query').confirm_deletions === 'true',
          }),
        },
        202,
      ),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/restore',
      request: {params: keyParameter},
      responses: {
        200: json(branchSchema, 'The branch, its container out of the trash.'),
        ...errors(401, 404, 409),
      },
    }),
    async (c) => c.json(await controller.restore(c.req.valid('param').key), 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/release',
      request: {
        params: keyParameter,
        query: z.object({
          job: z
            .string()
            .max(8192)
            .optional()
            .meta({description: 'Name or rule of one job; all without it.'}),
        }),
      },
      responses: {
        200: json(branchSchema, 'The branch; its held jobs run from now on.'),
        ...errors(401, 404, 409),
      },
    }),
    async (c) =>
      c.json(await controller.release(c.req.valid('param').key, c.req.valid('query').job ?? null), 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/rollback',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {
        params: keyParameter,
        body: {...json(rollbackRequestSchema, 'All of it may be left out.'), required: true},
      },
      responses: {
        200: json(
          branchSchema,
          'The branch; it runs the older commit until one newer than the bad one arrives.',
        ),
        ...errors(400, 401, 404, 409, 500),
      },
    }),
    async (c) => c.json(await controller.rollback(c.req.valid('param').key, c.req.valid('json')), 200),
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/v1/branches/{key}/rollback',
      request: {params: keyParameter},
      responses: {
        200: json(branchSchema, 'The branch; it runs its newest commit again.'),
        ...errors(401, 404, 409),
      },
    }),
    async (c) => c.json(await controller.undoRollback(c.req.valid('param').key), 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/adopt',
      responses: {
        200: json(adoptedSchema, 'Containers whose records were lost belong to their branches again.'),
        ...errors(401),
      },
    }),
    async (c) => c.json({adopted: await controller.adopt()}, 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/forget',
      request: {params: keyParameter},
      responses: {
        204: {description: 'Branch, container and data are gone; run records stay in the archive.'},
        ...errors(401, 404, 409),
      },
    }),
    async (c) => {
      await controller.forget(c.req.valid('param').key);
      return c.body(null, 204);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/branches/{key}/environment',
      request: {params: keyParameter},
      responses: {
        200: json(environmentListSchema, 'What the configuration gives to the branch, without values.'),
        ...errors(401, 404, 409),
      },
    }),
    (c) => c.json({items: controller.environment(c.req.valid('param').key)}, 200),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/branches/{key}/runs',
      request: {
        params: keyParameter,
        query: z.object({
          user: z.string().optional(),
          entry: z.string().optional(),
          status: runStatusSchema.optional(),
          since: z.string().optional(),
          until: z.string().optional(),
          limit: z.coerce.number().int().min(1).max(200).optional(),
          cursor: z.string().optional(),
        }),
      },
      responses: {
        200: json(
          runListSchema,
          'Runs of the branch, newest first; from the archive when its container is gone.',
        ),
        ...errors(400, 401, 404, 409, 503),
      },
    }),
    async (c) => {
      const query = Object.entries(c.req.valid('query')).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, String(value)]],
      );
      return c.json(await controller.runs(c.req.valid('param').key, Object.fromEntries(query)), 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/repositories',
      responses: {
        200: json(repositoryListSchema, 'The watched repositories.'),
        ...errors(401),
      },
    }),
    (c) => c.json({items: controller.repositories()}, 200),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/queue',
      responses: {
        200: json(queueStatusSchema, 'What is worked on, what waits, and what failed and is tried again.'),
        ...errors(401),
      },
    }),
    (c) => c.json(controller.queue(), 200),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/metrics',
      responses: {
        200: {
          content: {'text/plain': {schema: z.string()}},
          description:
            'Branches, queue and times since the start of the controller, and what GitHub was asked, for Prometheus.',
        },
        ...errors(401),
      },
    }),
    (c) => c.text(controller.metrics() + forgeMetrics(forge()), 200, {'Content-Type': prometheusText}),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/login-codes',
      responses: {
        201: json(z.object({url: z.string()}), 'A link that logs one browser in, once, within 15 minutes.'),
        ...errors(401),
      },
    }),
    (c) => c.json({url: `${baseUrl()}/login?code=${auth.createLoginCode()}`}, 201),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/events',
      responses: {
        200: {
          description:
            'Server-sent events: `branch_changed`, `branch_forgotten`, `run_started`, `run_finished`, each with `{key}`.',
          content: {'text/event-stream': {schema: z.string()}},
        },
        ...errors(401),
      },
    }),
    (c) => streamSSE(c, (stream) => sendEvents(stream, controller)),
  );

  app.route('/', containerRoutes(containers));
  app.route('/', dataRoutes(controller));
  app.route('/', accountRoutes(controller));
  app.route('/', handChangeRoutes(controller));
  app.route('/', suspensionRoutes(controller));
  app.route('/', shellRoutes(controller));
  app.route('/', tokenRoutes(tokens));
  app.route('/', deliveryRoutes(deliveries, forge));

  app.doc31('/openapi.json', {openapi: '3.1.0', info: {title: 'Branchtab controller', version}});
  return app;
}

const prometheusText = 'text/plain; version=0.0.4; charset=utf-8';
const keepAliveMs = 15_000;

interface EventStream {
  readonly aborted: boolean;
  onAbort(listener: () => void): void;
  writeSSE(message: {event: string; data: string}): Promise<void>;
  write(text: string): Promise<unknown>;
  sleep(ms: number): Promise<unknown>;
}

/** A slow reader gets each branch's newest change once, however many there were. */
async function sendEvents(stream: EventStream, controller: Controller): Promise<void> {
  const pending = new Map<string, BranchChange>();
  let wake = () => {};
  const unsubscribe = controller.subscribe((change) => {
    pending.set(`${change.type} ${change.key}`, change);
    wake();
  });
  stream.onAbort(() => {
    unsubscribe();
    wake();
  });
  // Whoever reads the state now and follows the events misses nothing.
  await stream.writeSSE({event: 'connected', data: '{}'});
  while (!stream.aborted) {
    for (const [id, {type, key}] of pending) {
      pending.delete(id);
      await stream.writeSSE({event: type, data: JSON.stringify({key})});
    }
    if (pending.size > 0 || stream.aborted) continue;
    const woken = new Promise<'woken'>((resolve) => {
      wake = () => resolve('woken');
    });
    if ((await Promise.race([woken, stream.sleep(keepAliveMs)])) !== 'woken')
      await stream.write(': keep-alive\n\n');
  }
}
